"""What is read from a file without onnxruntime, compared with what the package onnx reads."""

import numpy as np
import onnx
import pytest
from graphs import FLOAT, INT64, identity, model_of, node, perceptron, value

from srv_onnx import OnnxRuntime
from srv_onnx.model_file import NotOnnx, is_onnx, read_model_file


@pytest.fixture
def file(tmp_path):
    return tmp_path / "model.onnx"


def test_opsets_and_producer_are_those_that_onnx_reads(file):
    made = model_of([value("x")], [value("y")], [node("Identity", ["x"], ["y"])], domains=["ai.onnx.ml", "my.own"])
    made.producer_version = "2.0é"
    onnx.save(made, file)

    described = read_model_file(file)

    assert described.opsets == {"ai.onnx": 17, "ai.onnx.ml": 1, "my.own": 1}
    assert described.producer_version == "2.0é"


def test_a_shape_that_is_not_said_is_told_from_that_of_a_scalar(file):
    nodes = [node("Identity", ["a"], ["y"]), node("Identity", ["b"], ["z"])]
    inputs = [value("a", FLOAT, None), value("b", FLOAT, []), value("c", INT64, ["n"])]
    onnx.save(model_of(inputs, [value("y", FLOAT, None), value("z", FLOAT, [])], nodes), file)

    assert read_model_file(file).of_any_rank == {"a", "y"}


def test_labels_may_be_negative_and_come_in_the_order_of_the_file(file):
    labels = {"classlabels_int64s": [5, -3, 2**40]}
    nodes = [node("ZipMap", ["x"], ["y"], domain="ai.onnx.ml", **labels), node("Identity", ["x"], ["z"])]
    onnx.save(model_of([value("x")], [value("z")], nodes, domains=["ai.onnx.ml"]), file)

    assert read_model_file(file).labels == {"y": (5, -3, 2**40)}


def test_any_cut_of_a_file_is_an_error_or_a_shorter_model_and_never_another_exception(file):
    whole = perceptron()
    rng = np.random.default_rng(0)
    for length in range(0, len(whole), 7):
        file.write_bytes(whole[:length])
        try:
            read_model_file(file)
        except NotOnnx:
            continue
    for _ in range(300):
        broken = bytearray(whole)
        broken[rng.integers(len(broken))] = rng.integers(256)
        file.write_bytes(broken)
        try:
            read_model_file(file)
        except NotOnnx:
            continue


@pytest.mark.parametrize(
    "content, is_model",
    [
        (perceptron(), True),
        (perceptron(width=4000), True),
        (identity(), True),
        (b"", False),
        (b"\x08", False),
        (b"PK\x03\x04 an archive", False),
        (b'{"a": 1}', False),
        (b"\x80\x04\x95 a pickle", False),
        (b"tree\nversion=v4\n", False),
    ],
    ids=["small", "large", "no weights", "empty", "cut off", "zip", "JSON", "pickle", "text"],
)
def test_a_file_is_recognised_by_its_first_bytes(file, content, is_model):
    file.write_bytes(content)
    assert is_onnx(file) is OnnxRuntime.recognise(file) is is_model


@pytest.mark.parametrize("name", ["modules.json", "1_Pooling/config.json", "sentence_bert_config.json"])
def test_a_part_of_an_embedding_model_is_left_to_its_own_runtime(file, name):
    file.write_bytes(perceptron())
    (file.parent / name).mkdir(parents=True)
    assert not OnnxRuntime.recognise(file)


def test_a_file_that_is_not_there_is_not_recognised(file):
    assert not OnnxRuntime.recognise(file)

"""Served by srv, each kind of ONNX model does what every runtime must do."""

import numpy as np
import pytest
from graphs import FLOAT, TEXT, bytes_of, convolution, identity, node, perceptron, value
from onnx import TensorProto
from pipelines import FOREST, HOMES, HOMES_MODEL, ROWS, answers, feed_of

from srv.testing import FORMS, assert_runtime_conforms, assert_tables

IMAGE = np.random.default_rng(1).normal(size=(2, 3, 6, 5)).astype(np.float32)
TEXTS = np.array([["a", "é"], ["", "b\0c"]], dtype=object)
TWO = bytes_of(
    [value("a", FLOAT, ["n", 2]), value("b", FLOAT, ["n", 2])],
    [value("sum", FLOAT, ["n", 2]), value("product", FLOAT, ["n", 2])],
    [node("Add", ["a", "b"], ["sum"]), node("Mul", ["a", "b"], ["product"])],
)


@pytest.mark.parametrize(
    "model, request_, settings",
    [
        pytest.param(perceptron(), {"x": ROWS}, {}, id="perceptron"),
        pytest.param(perceptron(), {"x": ROWS}, {"max_batch_size": 16}, id="in batches"),
        pytest.param(convolution(), {"image": IMAGE}, {}, id="convolution"),
        pytest.param(FOREST, {"X": ROWS}, {}, id="forest with a map"),
        pytest.param(identity(TEXT, ["n", 2]), {"x": TEXTS}, {}, id="texts"),
        pytest.param(TWO, {"a": ROWS[:, :2], "b": ROWS[:, 2:]}, {}, id="two inputs"),
        pytest.param(identity(TensorProto.FLOAT16), {"x": ROWS[:, :2].astype(np.float16)}, {}, id="halves"),
    ],
)
def test_it_conforms(model, request_, settings):
    deep = np.zeros((1, 1, 1, 1, 1), np.float32)
    assert_runtime_conforms(
        "onnx",
        request=request_,
        expected=answers(model, **request_),
        wrong=[{"input": deep}, {"one": deep, "another": deep}],
        files={"model.onnx": model},
        settings=settings,
    )


def test_a_table_is_taken_in_every_form_that_clients_send():
    expected = answers(HOMES_MODEL, **feed_of(HOMES))
    tried = assert_tables("onnx", frame=HOMES, expected=expected, files={"model.onnx": HOMES_MODEL})
    assert tried == 4 * len(FORMS)


def test_a_table_conforms():
    request = feed_of(HOMES.assign(area=[50.5, 60.0, 10.0, 40.0]))
    assert_runtime_conforms(
        "onnx",
        request=request,
        expected=answers(HOMES_MODEL, **request),
        wrong=[{"city": ["Ulm"]}, request | {"rooms": [1, 2]}, request | {"city": [1, 2, 3, 4]}],
        files={"model.onnx": HOMES_MODEL},
    )

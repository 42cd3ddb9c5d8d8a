"""ONNX models served by a real server, as people start it."""

import time

import numpy as np
import pytest
from graphs import convolution, perceptron, save_apart
from pipelines import FOREST, HOMES_MODEL, answers

from srv.testing import Client, model
from srv.testing.thread_stress import run_in_threads

ROWS = np.random.default_rng(3).normal(size=(1000, 4)).astype(np.float32)
FORMS = ["json", "binary", "grpc", "grpc-typed"]


@pytest.fixture(scope="module")
def rows():
    """A thousand rows with missing values, infinities left out because JSON has none."""
    missing = ROWS.copy()
    missing[::7, 1] = np.nan
    return missing


def test_bare_folders_are_served_with_versions_and_weights_apart(srv_server, tmp_path, rows):
    import onnx

    (tmp_path / "net").mkdir()
    (tmp_path / "net/model.onnx").write_bytes(perceptron())
    for version in (1, 2):
        (tmp_path / f"versions/{version}").mkdir(parents=True)
        (tmp_path / f"versions/{version}/model.onnx").write_bytes(perceptron(version))
    (tmp_path / "apart").mkdir()
    save_apart(onnx.load_from_string(convolution()), tmp_path / "apart/model.onnx")

    server = srv_server(tmp_path)

    expected = answers(perceptron(), x=rows)
    for form in FORMS:
        answer = server.infer("net", {"x": rows}, form=form)
        assert np.array_equal(answer["logits"], expected["logits"], equal_nan=True), form
        assert np.array_equal(answer["label"], expected["label"]), form
    for version in (1, 2):
        answer = server.infer("versions", {"x": ROWS}, version=str(version), form="binary")
        assert np.array_equal(answer["logits"], answers(perceptron(version), x=ROWS)["logits"])
    assert np.array_equal(server.infer("versions", {"x": ROWS})["logits"], answers(perceptron(2), x=ROWS)["logits"])
    image = np.random.default_rng(1).normal(size=(2, 3, 8, 9)).astype(np.float32)
    assert np.allclose(server.infer("apart", {"image": image})["scores"], answers(convolution(), image=image)["scores"])
    assert server.metadata("net").json["platform"] == "onnx"


def test_a_thousand_rows_of_pipelines_are_answered_as_onnxruntime_does(srv_server, rows):
    rng = np.random.default_rng(4)
    area = rng.normal(50, 10, (1000, 1))
    area[::5] = np.nan
    cities = np.array(["Ulm", "Bonn", "Kiel", "Rom", ""], object)[rng.integers(0, 5, (1000, 1))]
    table = {
        "city": cities,
        "area": area.astype(np.float32),
        "rooms": rng.integers(1, 9, (1000, 1)),
        "balcony": rng.random((1000, 1)) > 0.5,
    }
    server = srv_server(
        model("onnx", name="homes", files={"model.onnx": HOMES_MODEL}),
        model("onnx", name="forest", files={"model.onnx": FOREST}),
    )
    for name, made, request in (("homes", HOMES_MODEL, table), ("forest", FOREST, {"X": rows})):
        expected = answers(made, **request)
        for form in FORMS:
            answer = server.infer(name, request, form=form)
            for output, wanted in expected.items():
                given = answer[output]
                if wanted.dtype == object:
                    assert given.tolist() == [each.encode() for each in wanted.tolist()], (name, form)
                else:
                    assert np.array_equal(given, wanted, equal_nan=wanted.dtype.kind == "f"), (name, form, output)


@pytest.mark.parametrize("batch", [0, 64], ids=["alone", "in batches"])
def test_eight_threads_get_each_their_own_answers(batch):
    made = perceptron()
    expected = answers(made, x=ROWS)["logits"]
    faults = []

    def ask(number):
        rng = np.random.default_rng(number)
        end = time.monotonic() + 0.8
        while time.monotonic() < end and not faults:
            start = int(rng.integers(900))
            count = int(rng.integers(1, 30))
            answer = client.infer("net", {"x": ROWS[start : start + count]}, outputs=["logits"], form="binary")
            if not np.allclose(answer["logits"], expected[start : start + count], rtol=1e-5, atol=1e-5):
                faults.append(start)

    with Client.of(model("onnx", name="net", files={"model.onnx": made}, max_batch_size=batch)) as client:
        run_in_threads(ask, 8)

    assert faults == []

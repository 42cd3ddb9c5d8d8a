import json

import pytest
from falcon import testing

from srv import errors
from srv.discovery import discover
from srv.metrics_types import Kind
from srv.planes.statistics import outcome_of
from srv.runtime import Runtime
from srv.serve.assembly import assemble
from srv.settings import ServerSettings
from srv.testing import model

ERRORS = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.SrvError)]
CODE = """
import numpy as np
from numpy.typing import NDArray
from srv import Runtime
class Model(Runtime):
    def predict(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        if not x.size:
            raise ValueError("nothing")
        return 2 * x
"""
SETTINGS = {
    "implementation": "models.Model",
    "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 2]}],
    "outputs": [{"name": "output", "datatype": "FP32", "shape": [-1, 2]}],
    "parameters": {"uri": "/etc/passwd", "extra": {"password": "geheim"}},
}


@pytest.fixture
def client(tmp_path):
    for place, version in (("m/1", "1"), ("m/2", "2"), ("plain", None)):
        folder = tmp_path / place
        folder.mkdir(parents=True)
        (folder / "models.py").write_text(CODE)
        (folder / "model-settings.json").write_text(json.dumps(SETTINGS | ({} if version else {"inputs": None})))
    server = assemble(ServerSettings(folder=tmp_path, access_log=False), discover())
    server.load_models(lambda _: None, server.wanted())
    yield testing.TestClient(server.app)
    server.close()


def infer(client, rows, model="m"):
    shape = [rows, 2]
    body = {"inputs": [{"name": "x", "datatype": "FP32", "shape": shape, "data": [1.0] * (rows * 2)}]}
    return client.simulate_post(f"/v2/models/{model}/infer", json=body).status_code


def stats(client, path="/v2/models/m/stats"):
    return {row["version"]: row for row in client.simulate_get(path).json["model_stats"]}


# -- statistics --------------------------------------------------------------------------------------------------------


def test_inferences_are_elements_of_a_batch_and_executions_are_calls(client):
    assert [infer(client, rows) for rows in (3, 4)] == [200, 200]

    row = stats(client)["2"]

    assert (row["inference_count"], row["execution_count"], row["batch_stats"]) == (7, 2, [])
    assert row["last_inference"] > 0
    assert {name: part["count"] for name, part in row["inference_stats"].items()} == {
        "success": 2, "fail": 0, "queue": 2, "compute_input": 2, "compute_infer": 2, "compute_output": 2,
        "cache_hit": 0, "cache_miss": 0,
    }  # fmt: skip
    assert 0 < row["inference_stats"]["compute_infer"]["ns"] < row["inference_stats"]["success"]["ns"]


def test_a_model_that_declares_no_batch_counts_a_request_as_one(client):
    infer(client, 3, "plain")
    row = stats(client, "/v2/models/plain/stats")["1"]
    assert (row["inference_count"], row["execution_count"]) == (1, 1)
    assert [batch["batch_size"] for batch in row["batch_stats"]] == [1]


def test_what_could_not_be_read_or_run_counts_as_failed(client):
    client.simulate_post("/v2/models/m/infer", body="{")
    infer(client, 0)
    client.simulate_post("/v2/models/m/generate", body="[]")
    row = stats(client)["2"]
    assert (row["inference_stats"]["fail"]["count"], row["inference_stats"]["success"]["count"]) == (3, 0)


def test_statistics_are_told_by_version_by_model_and_of_all(client):
    assert list(stats(client)) == ["1", "2"]
    assert list(stats(client, "/v2/models/m/versions/1/stats")) == ["1"]
    assert len(client.simulate_get("/v2/models/stats").json["model_stats"]) == 3


@pytest.mark.parametrize("path", ["/v2/models/nobody/stats", "/v2/models/m/versions/9/stats", "/v2/models/no/config"])
def test_statistics_and_configuration_of_nobody_are_404(client, path):
    assert client.simulate_get(path).json["code"] == "NOT_FOUND"


def test_a_name_that_nobody_has_is_counted_nowhere(client):
    infer(client, 1, "nobody")
    assert "nobody" not in client.simulate_get("/v2/models/stats").text


@pytest.mark.parametrize("kind", ERRORS, ids=lambda kind: kind.__name__)
def test_an_outcome_is_the_code_that_the_client_is_told(kind):
    assert outcome_of(kind.__new__(kind)) == kind.code in errors.CODES


def test_what_the_worker_refuses_itself_is_counted_for_no_model(client):
    class Full:
        code = "QUEUE_FULL"

    client.app.srv_refused(Full)
    sums = client.app._turned_away.__self__.sums()
    assert sums[Kind("", None, "rest", "QUEUE_FULL")].count == 1
    assert {row["name"] for row in client.simulate_get("/v2/models/stats").json["model_stats"]} == {"m", "plain"}


# -- configuration -----------------------------------------------------------------------------------------------------


def test_a_configuration_is_tritons_and_shows_of_extra_the_keys_only(client):
    config = client.simulate_get("/v2/models/m/versions/1/config").json
    assert {name: config[name] for name in ("name", "platform", "backend", "max_batch_size", "input")} == {
        "name": "m",
        "platform": "python",
        "backend": "python",
        "max_batch_size": 0,
        "input": [{"name": "x", "data_type": "TYPE_FP32", "dims": [-1, 2]}],
    }
    assert config["parameters"]["extra"] == {"string_value": '["password"]'}
    assert "geheim" not in json.dumps(config)
    assert "passwd" not in json.dumps(config)


class Scalar(Runtime):
    def predict(self, x: float, y: list[float]) -> float:
        return x


class Rows(Runtime):
    def predict(self, x: list[float], y: list[float]) -> list[float]:
        return x


class Stream(Runtime):
    def predict_stream(self, x: list[float], y: list[float]):
        yield x


FIXED = [{"name": "x", "datatype": "FP64", "shape": [4]}, {"name": "y", "datatype": "FP64", "shape": [-1]}]


@pytest.mark.parametrize(
    "runtime, settings, told, dims",
    [
        (Scalar, {}, 0, [1]),
        (Stream, {}, 0, [-1]),
        (Rows, {"inputs": FIXED}, 0, [4]),
        (Rows, {}, 8, []),
    ],
    ids=["single values", "streams only", "a fixed first length", "rows"],
)
def test_a_configuration_tells_a_batch_size_only_where_requests_run_together(srv_client, runtime, settings, told, dims):
    client = srv_client(model(runtime, name="m", max_batch_size=8, **settings))

    config = client.get("/v2/models/m/config").json

    assert config["max_batch_size"] == told
    assert config["input"][0]["dims"] == dims

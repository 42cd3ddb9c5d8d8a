"""The example of the quickstart, asked as its users would ask it."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tritonclient.http
from servers import running

IRIS = Path(__file__).parents[2] / "docs/examples/iris"
FLOWERS = np.array([[5.1, 3.5, 1.4, 0.2], [6.7, 3.0, 5.2, 2.3]])

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("example") / "iris"
    shutil.copytree(IRIS, folder, ignore=shutil.ignore_patterns("model.*"))
    subprocess.run([sys.executable, folder / "train.py"], check=True)
    with running(folder) as server:
        yield server


@pytest.fixture
def triton(server):
    client = tritonclient.http.InferenceServerClient(server.url().removeprefix("http://"))
    yield client
    client.close()


def test_curl_gets_names_and_probabilities(server):
    command = ["curl", "-sS", f"{server.url()}/v2/models/iris/infer", "-d", f"@{IRIS / 'request.json'}"]
    answer = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    predict, probabilities = answer["outputs"]
    assert (predict["name"], predict["data"]) == ("predict", ["setosa", "virginica"])
    assert (probabilities["name"], probabilities["shape"]) == ("predict_proba", [2, 3])


def test_tritonclient_finds_the_server_and_the_model_ready(triton):
    assert triton.is_server_live()
    assert triton.is_server_ready()
    assert triton.is_model_ready("iris")
    assert not triton.is_model_ready("isir")


def test_tritonclient_reads_the_metadata(triton):
    metadata = triton.get_model_metadata("iris")
    (told,) = metadata["inputs"]
    assert (told["name"], told["datatype"], told["shape"]) == ("input", "FP64", [-1, 4])
    assert metadata["parameters"]["classes"] == ["setosa", "versicolor", "virginica"]


@pytest.mark.parametrize("datatype, kind", [("FP64", np.float64), ("FP32", np.float32), ("INT32", np.int32)])
def test_tritonclient_infers_in_json(triton, datatype, kind):
    given = tritonclient.http.InferInput("input", [2, 4], datatype)
    given.set_data_from_numpy(FLOWERS.astype(kind), binary_data=False)
    wanted = [tritonclient.http.InferRequestedOutput(name, binary_data=False) for name in ("predict_proba", "predict")]
    answer = triton.infer("iris", [given], outputs=wanted, request_id="two flowers")
    assert answer.get_response()["id"] == "two flowers"
    assert answer.as_numpy("predict").tolist() == ["setosa", "virginica"]
    assert answer.as_numpy("predict_proba").argmax(axis=1).tolist() == [0, 2]


def test_too_few_features_are_the_clients_fault(server):
    body = {"inputs": [{"name": "input", "datatype": "FP64", "shape": [1, 2], "data": [5.1, 3.5]}]}
    answer = server.post("/v2/models/iris/infer", body)
    assert (answer.status, answer.json["code"]) == (400, "INVALID_INPUT")
    assert "takes rows of 4 features" in answer.json["error"]


def test_a_bare_file_is_served_by_the_runtime_that_knows_it(tmp_path):
    shutil.copy(IRIS / "train.py", tmp_path)
    subprocess.run([sys.executable, tmp_path / "train.py"], check=True)
    (tmp_path / "repository" / "flowers").mkdir(parents=True)
    shutil.move(tmp_path / "model.skops", tmp_path / "repository" / "flowers" / "model.skops")
    with running(tmp_path / "repository") as other:
        assert other.get("/v2/models").json == {"models": ["flowers"]}
        assert other.get("/v2/models/flowers").json["platform"] == "sklearn"

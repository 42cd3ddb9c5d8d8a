"""MLServer's own runtimes as `implementation`: as they are, or srv's native ones in their place."""

import json
import urllib.request

import joblib
import pytest
from sklearn.linear_model import LogisticRegression

from srv.testing import Client, srv_server

ROWS = [[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [5.0, 5.0]]
SETTINGS = {"implementation": "mlserver_sklearn.SKLearnModel", "parameters": {"uri": "./model.joblib", "version": "v1"}}


@pytest.fixture
def served(folder):
    """A folder with a model of scikit-learn, as MLServer's users write it."""
    path = folder(iris=(SETTINGS, None))
    joblib.dump(LogisticRegression().fit(ROWS, [0, 0, 0, 1]), path / "iris" / "model.joblib")
    return path


def test_mlservers_runtime_for_scikit_learn_serves_its_folder_unchanged(served):
    with Client.of(served) as client:
        for form in ("json", "grpc"):
            assert client.infer("iris", {"anything": ROWS}, form=form)["predict"].tolist() == [[0], [0], [0], [1]]
        sent = {"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [5, 5]}
        answer = client.post(
            "/v2/models/iris/versions/v1/infer",
            {"inputs": [sent], "outputs": [{"name": "predict_proba"}, {"name": "predict"}]},
        )
        assert [each["name"] for each in answer.json["outputs"]] == ["predict_proba", "predict"]
        refused = client.post("/v2/models/iris/infer", {"inputs": [sent], "outputs": [{"name": "odd"}]})
        assert (refused.status, refused.code) == (400, "INVALID_INPUT")
        assert "SKLearnModel only supports" in refused.error


def test_srvs_own_runtime_takes_its_place_where_that_is_preferred(served):
    pytest.importorskip("srv_sklearn", reason="srv-sklearn is not installed beside it")
    (served / "settings.json").write_text(json.dumps({"mlserver": {"prefer_native": True}, "debug": False}))

    with Client.of(served) as client:
        assert client.infer("iris", {"anything": ROWS})["predict"].tolist() == [0, 0, 0, 1]


def test_variables_alone_make_a_model_of_a_folder_that_has_an_artifact_only(tmp_path):
    joblib.dump(LogisticRegression().fit(ROWS, [0, 0, 0, 1]), tmp_path / "model.joblib")
    environ = {
        "MLSERVER_MODEL_NAME": "income",
        "MLSERVER_MODEL_IMPLEMENTATION": "mlserver_sklearn.SKLearnModel",
        "MLSERVER_MODEL_URI": str(tmp_path),
        "MLSERVER_MODEL_PARALLEL_WORKERS": "1",
        "MLSERVER_SERVER_NAME": "of-the-environment",
    }

    with srv_server(tmp_path, environ=environ) as server:
        assert json.load(urllib.request.urlopen(f"{server.url}/v2"))["name"] == "of-the-environment"
        sent = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [5, 5]}]}
        answer = urllib.request.urlopen(f"{server.url}/v2/models/income/infer", data=json.dumps(sent).encode())
        assert json.load(answer)["outputs"][0]["data"] == [1]
        assert "'MLSERVER_MODEL_PARALLEL_WORKERS'" in server.logs

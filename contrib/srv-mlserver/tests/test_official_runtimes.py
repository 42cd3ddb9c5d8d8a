"""MLServer's own runtimes as `implementation`: as they are, or srv's native ones in their place."""

import json

import joblib
import pytest
from sklearn.linear_model import LogisticRegression

from srv.testing import Client

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

"""The requests that MLServer's and KServe's guides send to scikit-learn models, as they stand there."""

import json
from functools import partial

import grpc
import joblib
import numpy as np
import pytest
from google.protobuf import json_format
from sklearn.datasets import load_digits, load_iris
from sklearn.model_selection import train_test_split
from sklearn.svm import SVC

from srv.grpc.descriptors import INFERENCE, ModelInferRequest, ModelInferResponse
from srv.testing import Client, model

IRIS = SVC(gamma="scale").fit(*load_iris(return_X_y=True))
#: MLServer's guide trains on half of the digits, and asks for the first of the other half.
DIGITS, ASKED, NUMBERS, _ = train_test_split(
    load_digits().images.reshape((1797, -1)), load_digits().target, test_size=0.5, shuffle=False
)
DIGIT = SVC(gamma=0.001).fit(DIGITS, NUMBERS)

MLSERVERS = {
    "inputs": [{"name": "predict", "shape": [1, 64], "datatype": "FP32", "data": ASKED[:1].tolist()}],
}
KSERVES = {
    "inputs": [
        {
            "name": "input-0",
            "shape": [2, 4],
            "datatype": "FP32",
            "data": [[6.8, 2.8, 4.8, 1.4], [6.0, 3.4, 4.5, 1.6]],
        }
    ]
}
KSERVES_OVER_GRPC = """
{
  "model_name": "sklearn-v2-iris",
  "inputs": [
    {
      "name": "input-0",
      "shape": [2, 4],
      "datatype": "FP32",
      "contents": {
        "fp32_contents": [6.8, 2.8, 4.8, 1.4, 6.0, 3.4, 4.5, 1.6]
      }
    }
  ]
}
"""


@pytest.fixture(scope="module")
def client():
    def served(name, estimator, **parameters):
        file = {"model.joblib": partial(joblib.dump, estimator)}
        return model("sklearn", name=name, files=file, parameters=parameters)

    models = [
        served("mnist-svm", DIGIT, uri="./model.joblib", version="v0.1.0"),
        served("sklearn-iris", IRIS),
        served("sklearn-v2-iris", IRIS),
    ]
    with Client.of(*models) as client:
        yield client


@pytest.mark.parametrize("path", ["/v2/models/mnist-svm/versions/v0.1.0/infer", "/v2/models/mnist-svm/infer"])
def test_the_request_of_mlservers_guide_is_answered(client, path):
    answer = client.post(path, MLSERVERS)

    assert answer.json["model_version"] == "v0.1.0"
    assert answer["predict"].tolist() == DIGIT.predict(ASKED[:1]).tolist() == [8]


def test_the_request_of_mlservers_guide_with_its_outputs_is_answered(client):
    answer = client.post("/v2/models/mnist-svm/infer", MLSERVERS | {"outputs": [{"name": "predict"}]})

    assert [output.name for output in answer.response.outputs] == ["predict"]


def test_the_request_of_kserves_guide_is_answered(client):
    answer = client.post("/v2/models/sklearn-iris/infer", KSERVES)

    rows = np.array(KSERVES["inputs"][0]["data"])
    assert answer.json["model_version"] == "1"
    assert answer["predict"].tolist() == IRIS.predict(rows).tolist() == [1, 1]


def test_the_request_of_kserves_guide_over_grpc_is_answered(client):
    asked = json_format.Parse(KSERVES_OVER_GRPC, ModelInferRequest())
    with grpc.insecure_channel(client.grpc_address) as channel:
        infer = channel.unary_unary(f"/{INFERENCE}/ModelInfer")
        answer = ModelInferResponse.FromString(infer(asked.SerializeToString(), timeout=30))

    told = json_format.MessageToDict(answer, preserving_proto_field_name=True)
    assert (told["model_name"], told["model_version"]) == ("sklearn-v2-iris", "1")
    [output] = told["outputs"]
    assert output["contents"] == {"int64_contents": ["1", "1"]}


def test_the_first_call_of_both_guides_is_answered(client):
    metadata = client.get("/v2/models/sklearn-iris").json

    assert metadata["versions"] == ["1"]
    assert json.dumps(metadata["inputs"][0]["shape"]) == "[-1, 4]"
    assert client.get("/v2/models/sklearn-iris/ready").json == {"name": "sklearn-iris", "ready": True}


@pytest.mark.parametrize("change", [{"datatype": "FP64"}, {"datatype": "INT64", "data": [[6, 2, 4, 1], [6, 3, 4, 1]]}])
def test_other_numbers_under_the_same_name_are_answered_as_the_estimator_does(client, change):
    asked = KSERVES["inputs"][0] | change

    answer = client.post("/v2/models/sklearn-iris/infer", {"inputs": [asked]})

    assert answer["predict"].tolist() == IRIS.predict(np.array(asked["data"])).tolist()


@pytest.mark.parametrize(
    "inputs",
    [KSERVES["inputs"] * 2, [*KSERVES["inputs"], KSERVES["inputs"][0] | {"name": "input-1"}], []],
    ids=["twice", "two", "none"],
)
def test_two_inputs_or_none_are_refused(client, inputs):
    answer = client.post("/v2/models/sklearn-iris/infer", {"inputs": inputs})

    assert (answer.status, answer.code) == (400, "INVALID_INPUT")


def test_settings_may_call_the_only_input_as_the_guide_does():
    file = {"model.joblib": partial(joblib.dump, IRIS)}
    declared = [{"name": "predict", "datatype": "FP32", "shape": [-1, 4]}]
    with Client.of(model("sklearn", name="m", files=file, inputs=declared)) as client:
        for name in ("predict", "input-0", "input"):
            answer = client.post("/v2/models/m/infer", {"inputs": [KSERVES["inputs"][0] | {"name": name}]})
            assert answer["predict"].tolist() == [1, 1]
        assert [one["name"] for one in client.metadata("m").json["inputs"]] == ["predict"]

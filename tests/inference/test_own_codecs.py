"""A runtime that says `own_codecs` reads content types, parameters and declared inputs itself."""

import base64
import json

import pytest

from srv.messages import InferenceRequest, InferenceResponse
from srv.runtime import Runtime
from srv.tensors import Tensor
from srv.testing import model
from srv.testing.streaming import events_of

IMAGE = {"parameters": {"content_type": "image"}}
DECLARED = {
    "inputs": [{"name": "x", "datatype": "FP32", "shape": [3], **IMAGE}],
    "outputs": [{"name": "heard", "datatype": "BYTES"}],
}


class Own(Runtime):
    own_codecs = True

    def predict(self, request: InferenceRequest) -> InferenceResponse:
        heard = {
            "request": {name: value for name, value in request.parameters.items() if name != "binary_data_output"},
            "inputs": [[each.name, each.datatype, [*each.shape], dict(each.parameters)] for each in request.inputs],
            "data": [str(each.data.tolist()) for each in request.inputs],
        }
        return InferenceResponse(
            [Tensor("heard", [json.dumps(heard)], parameters={"content_type": "words"}), Tensor("one", [1])]
        )

    def predict_stream(self, request: InferenceRequest):
        yield self.predict(request)


def asked(name="x", datatype="INT64", data=(1, 2), parameters=None, **more):
    tensor = {"name": name, "datatype": datatype, "shape": [len(data)], "data": [*data], "parameters": parameters or {}}
    return {"inputs": [tensor], **more}


@pytest.fixture
def client(srv_client):
    return srv_client(model(Own, name="m", **DECLARED, parameters={"content_type": "tensor-of-mine"}))


@pytest.mark.parametrize("route", ["infer", "infer_stream"])
def test_content_types_that_no_codec_provides_reach_the_runtime(client, route):
    request = asked(parameters={"content_type": "nobodys", "deep": [1, {"a": None}]})

    answer = client.post(f"/v2/models/m/{route}", {**request, "parameters": {"content_type": "hg_json"}})

    heard = json.loads((answer if route == "infer" else events_of(answer)[0])["heard"][0])
    assert heard["request"] == {"content_type": "hg_json"}
    assert heard["inputs"] == [["x", "INT64", [2], {"content_type": "nobodys", "deep": [1, {"a": None}]}]]


def test_declared_inputs_are_metadata_and_no_contract(client):
    answer = client.post("/v2/models/m/infer", asked("other", "BOOL", [True]))

    assert answer.status == 200
    told = client.get("/v2/models/m").json
    assert told["inputs"] == [{"name": "x", "datatype": "FP32", "shape": [3], **IMAGE}]


def test_base64_stays_as_the_client_wrote_it(client):
    text = base64.b64encode(b"\x00\xff").decode()

    answer = client.post("/v2/models/m/infer", asked("x", "BYTES", [text], {"content_type": "base64"}))

    assert json.loads(answer["heard"][0])["data"] == [str([text.encode()])]


def test_outputs_are_picked_by_name_and_keep_the_form_that_the_runtime_gave(client):
    outputs = [{"name": "heard", "parameters": {"content_type": "nobodys"}}]

    answer = client.post("/v2/models/m/infer", asked(outputs=outputs))

    assert [(each["name"], each["parameters"]) for each in answer.json["outputs"]] == [
        ("heard", {"content_type": "words"})
    ]


def test_an_output_that_the_answer_lacks_is_a_400_that_names_it(client):
    answer = client.post("/v2/models/m/infer", asked(outputs=[{"name": "two"}]))

    assert (answer.status, answer.json["code"]) == (400, "INVALID_INPUT")
    assert "'two'" in answer.json["error"]


def test_requests_are_still_read_by_the_protocol(client):
    wrong = {"name": "x", "datatype": "INT64", "shape": [3], "data": [1, 2], "parameters": {"content_type": "nobodys"}}
    answer = client.post("/v2/models/m/infer", {"inputs": [wrong]})

    assert (answer.status, answer.json["code"]) == (400, "INVALID_INPUT")


def test_a_predict_by_signature_cannot_have_codecs_of_its_own(srv_client):
    class BySignature(Runtime):
        own_codecs = True

        def predict(self, x: list[str]) -> list[str]:
            return x

    with pytest.raises(Exception, match="BySignature says own_codecs, and its predict takes inputs by name"):
        srv_client(model(BySignature, name="m"))

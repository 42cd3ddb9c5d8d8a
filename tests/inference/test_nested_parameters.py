"""A runtime that says `nested_parameters` gets lists and objects in parameters; every other one refuses them."""

import json

import pytest

from srv.hookspecs import hookimpl
from srv.messages import InferenceRequest, InferenceResponse
from srv.runtime import Runtime
from srv.tensors import Tensor
from srv.testing import model

NESTED = {"tools": [{"name": "a", "of": [1, None, {"b": 1.5}]}], "schema": {"type": "object"}, "plain": 7}
FORM = "binary_data_output"


class Strict(Runtime):
    def predict(self, request: InferenceRequest) -> InferenceResponse:
        heard = {
            "request": {name: value for name, value in request.parameters.items() if name != FORM},
            "input": dict(request.tensor("x").parameters),
            "output": dict(request.outputs[0].parameters) if request.outputs else {},
        }
        return InferenceResponse([Tensor("heard", [json.dumps(heard)])])

    def predict_stream(self, request: InferenceRequest):
        yield self.predict(request)


class Nested(Strict):
    nested_parameters = True


def asked(**said):
    tensor = {"name": "x", "datatype": "FP32", "shape": [1], "data": [1.5]}
    return {
        "inputs": [tensor | ({"parameters": said["input"]} if "input" in said else {})],
        **({"parameters": said["request"]} if "request" in said else {}),
        **({"outputs": [{"name": "heard", "parameters": said["output"]}]} if "output" in said else {}),
    }


PLACES = {"request": "parameters", "input": "inputs[0].parameters", "output": "outputs[0].parameters"}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("settings", [{}, {"max_batch_size": 8}], ids=["alone", "batched"])
def test_lists_and_objects_reach_a_runtime_that_takes_them(srv_client, place, settings):
    client = srv_client(model(Nested, name="m", **settings))

    answer = client.post("/v2/models/m/infer", asked(**{place: NESTED}))

    assert json.loads(answer["heard"][0])[place] == NESTED


@pytest.mark.parametrize("route", ["infer", "infer_stream"])
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("value, kind", [([], "array"), ({}, "object"), ([1], "array"), ({"a": [1]}, "object")])
def test_another_runtime_refuses_them_and_names_the_place(srv_client, route, place, value, kind):
    client = srv_client(model(Strict, name="m"))

    answer = client.post(f"/v2/models/m/{route}", asked(**{place: {"ok": 1, "p": value}}))

    assert (answer.status, answer.code) == (400, "INVALID_INPUT")
    assert answer.error == f"{PLACES[place]}['p']: expected boolean or integer or number or string, got {kind}."


@pytest.mark.parametrize("place", PLACES)
def test_null_is_no_parameter(srv_client, place):
    client = srv_client(model(Nested, name="m"))

    answer = client.post("/v2/models/m/infer", asked(**{place: {"p": None, "q": [None]}}))

    assert json.loads(answer["heard"][0])[place] == {"q": [None]}


def test_integers_have_64_bits_however_deep_they_are(srv_client):
    client = srv_client(model(Nested, name="m"))

    answer = client.post("/v2/models/m/infer", json.dumps(asked(request={"p": {"a": [2**64]}})).encode())

    assert (answer.status, answer.error) == (400, "parameters['p']: integer out of range.")


def test_a_number_that_no_float_holds_is_named_however_deep_it_is(srv_client):
    body = json.dumps(asked(request={"ok": 1.5, "p": {"a": ["NUMBER"]}})).replace('"NUMBER"', "1e999").encode()

    answer = srv_client(model(Nested, name="m")).post("/v2/models/m/infer", body)

    assert (answer.status, answer.code) == (400, "INVALID_INPUT")
    assert answer.error.startswith("parameters['p']")
    assert answer.error.endswith("number out of range.")


@pytest.mark.parametrize("name", ["content_type", "binary_data_output"])
def test_a_parameter_that_means_something_is_no_list_for_any_runtime(srv_client, name):
    answer = srv_client(model(Nested, name="m")).post("/v2/models/m/infer", asked(request={name: ["np"]}))

    assert (answer.status, answer.code) == (400, "INVALID_INPUT")


def test_warm_up_requests_may_have_them(srv_client):
    client = srv_client(model(Nested, name="m", warmup=[asked(request=NESTED)]))

    assert client.get("/v2/models/m/ready").ok


def test_a_response_has_none_because_grpc_cannot_say_them(srv_client):
    class Tells(Nested):
        def predict(self, request: InferenceRequest) -> InferenceResponse:
            return InferenceResponse([], request.parameters)

    answer = srv_client(model(Tells, name="m")).post("/v2/models/m/infer", asked(request=NESTED))

    assert (answer.status, answer.code) == (500, "MODEL_ERROR")
    assert "'tools' is a list, which the protocol cannot carry" in answer.error


def test_the_memory_of_answers_tells_them_apart(srv_client, isolated_plugins):
    class Counts(Runtime):
        nested_parameters = True
        count = 0

        def predict(self, request: InferenceRequest) -> list[str]:
            self.count += 1
            return [str(self.count)]

    isolated_plugins()
    client = srv_client(model(Counts, name="m"), settings={"cache": {"models": ["m"]}})

    answers = [
        client.post("/v2/models/m/infer", asked(request=said))["output"].tolist()
        for said in ({"p": [1, 2]}, {"p": [2, 1]}, {"p": [1, 2]}, {"p": {"a": 1}}, {"p": "[1, 2]"})
    ]

    assert answers == [[b"1"], [b"2"], [b"1"], [b"3"], [b"4"]]


def test_hooks_that_bring_them_are_no_way_around(srv_client, isolated_plugins):
    class Brings:
        @hookimpl
        def srv_before_infer(self, model, request):
            request.parameters["p"] = [1]

    isolated_plugins(hooks={"brings": Brings()})

    assert srv_client(model(Strict, name="m")).post("/v2/models/m/infer", asked()).code == "INVALID_INPUT"

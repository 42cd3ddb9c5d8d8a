"""The same request in every form gets the same answer, good or bad, in process and from a real server."""

import numpy as np
import pytest

from srv import InvalidInput, Runtime, Tensor
from srv.tensors import DTYPES
from srv.testing import FORMS
from srv.testing.requests import as_request

EVERY_FORM = pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)


class Mirror(Runtime):
    def predict(self, request):
        if request.parameters.get("refuse"):
            raise InvalidInput("You asked for it.")
        if request.parameters.get("fail"):
            raise ZeroDivisionError
        return {tensor.name: tensor for tensor in request.inputs}


def sample(datatype):
    if datatype == "BYTES":
        return Tensor("x", [["ü", ""], ["\0", "a\0"]])
    return Tensor("x", np.array([[0, 1], [1, 0]], DTYPES[datatype]), datatype)


@EVERY_FORM
@pytest.mark.parametrize("datatype", DTYPES)
def test_a_form_carries_what_it_says_there_and_back(srv_client, form, datatype):
    request = as_request([sample(datatype)], id="seven", parameters={"a": 1, "b": "two", "c": True, "d": 0.5})
    if not form.carries(request):
        assert (form.name, datatype) in {("JSON", "BF16"), ("gRPC, typed", "FP16"), ("gRPC, typed", "BF16")}
        return
    response = form.infer(srv_client(Mirror), "Mirror", request).response
    [output] = response.outputs
    assert (output.name, output.datatype, output.shape) == ("x", datatype, (2, 2))
    assert output.data.tolist() == request.inputs[0].data.tolist()
    assert (response.id, response.model_name, response.model_version) == ("seven", "Mirror", "1")


@EVERY_FORM
def test_a_form_asks_for_outputs(srv_client, form):
    request = as_request({"a": [1], "b": [2], "c": [3]}, outputs=["c", "a"])
    outputs = form.infer(srv_client(Mirror), "Mirror", request).response.outputs
    assert [(output.name, output.data.tolist()) for output in outputs] == [("c", [3]), ("a", [1])]


@EVERY_FORM
@pytest.mark.parametrize(
    "model, parameters, status, code",
    [
        ("Mirror", {"refuse": True}, 400, "INVALID_INPUT"),
        ("Mirror", {"fail": True}, 500, "MODEL_ERROR"),
        ("Miror", {}, 404, "NOT_FOUND"),
    ],
    ids=["refused", "failed", "unknown"],
)
def test_what_goes_wrong_is_told_in_the_same_words_in_every_form(srv_client, form, model, parameters, status, code):
    answer = form.infer(srv_client(Mirror), model, as_request({"x": [1.0]}, parameters=parameters))
    assert (answer.status, answer.code) == (status, code)
    assert answer.error


def test_forms_say_what_they_carry():
    bytes_, nothing = as_request({"x": [b"\xff"]}), as_request({})
    assert [form.carries(bytes_) for form in FORMS] == [False, True, True, True]
    assert [form.carries(nothing) for form in FORMS] == [True, False, True, False]


@pytest.mark.e2e
def test_a_real_server_is_asked_in_every_form(srv_server):
    server = srv_server(Mirror)
    answers = [form.infer(server, "Mirror", as_request({"x": [1.5]}))["x"].tolist() for form in FORMS]
    assert answers == [[1.5]] * len(FORMS)

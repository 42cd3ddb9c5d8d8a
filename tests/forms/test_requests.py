"""What a request may say, in each of the four forms, and what comes back of it."""

import json

import numpy as np
import pytest

from srv import Tensor

pytestmark = pytest.mark.e2e

THREE = {"a": [1], "b": [2], "c": [3]}


@pytest.fixture
def hears(infer):
    """What reaches the runtime of such a request."""
    return lambda *arguments, **said: json.loads(infer("hears", *arguments, **said).good["heard"][0])


def test_an_id_comes_back_when_given_and_reaches_the_runtime(infer, hears):
    assert infer("echo", id="seven").good.id == "seven"
    assert hears(id="ü seven")["id"] == "ü seven"


def test_no_id_comes_back_when_none_was_given(infer, hears):
    assert infer("echo").good.id is None
    assert hears()["id"] is None


def test_the_answer_names_the_model(infer, hears):
    answer = infer("echo").good
    assert (answer.model_name, answer.model_version) == ("echo", "1")
    assert hears()["model"] == ["hears", "1"]


def test_all_outputs_come_back_in_the_models_order_when_none_are_asked_for(infer, hears):
    assert [output.name for output in infer("echo", THREE).good.outputs] == ["a", "b", "c"]
    assert hears()["outputs"] is None


def test_outputs_are_chosen_and_ordered_by_the_request(infer):
    outputs = infer("echo", THREE, outputs=["c", "a"]).good.outputs
    assert [(output.name, output.data.tolist()) for output in outputs] == [("c", [3]), ("a", [1])]


def test_an_unknown_output_is_refused_with_the_known_ones(infer, refused):
    sentence = refused(infer("echo", THREE, outputs=["a", "d"]), "INVALID_INPUT")
    assert sentence == "Output 'd' is unknown; the model gives a, b, c."


@pytest.mark.parametrize("value", [True, False, 0, -(2**63), 2**63 - 1, 2**64 - 1, 0.5, -1e300, "", "é\0\"'"], ids=repr)
def test_a_parameter_of_every_kind_goes_in_and_comes_out(infer, hears, value):
    given = Tensor("x", [1.5], parameters={"p": value})
    answer = infer("echo", {"x": given}, parameters={"p": value}).good
    of_the_tensor = hears({"x": given}, parameters={"p": value})
    for said in (answer.parameters, answer.outputs[0].parameters, of_the_tensor["parameters"]["x"]):
        assert (said["p"], type(said["p"])) == (value, type(value))
    assert of_the_tensor["kinds"]["p"] == type(value).__name__


def test_headers_reach_the_runtime_but_for_credentials_that_settings_do_not_name(hears):
    given = {"X-One": "1", "Authorization": "Bearer a", "Cookie": "b", "Proxy-Authorization": "c", "X-Api-Key": "d"}
    heard = hears(headers=given)["headers"]
    assert (heard["x-one"], heard["x-api-key"]) == ("1", "d")
    assert {"authorization", "cookie", "proxy-authorization"} & set(heard) == set()


def test_a_runtimes_headers_and_the_requests_id_go_out(infer):
    heard = infer("hears", headers={"X-Request-Id": "mine-7"})
    assert (heard.headers["x-mine"], heard.headers["x-request-id"]) == ("yours", "mine-7")


@pytest.mark.parametrize("given", [None, "mine-7", "not one id"])
def test_the_requests_id_that_goes_out_is_in_the_headers_that_reach_the_runtime(infer, given):
    heard = infer("hears", headers={} if given is None else {"X-Request-Id": given})
    identity = json.loads(heard.good["heard"][0])["headers"]["x-request-id"]
    assert identity == heard.headers["x-request-id"]
    assert (identity == given) is (given == "mine-7")


def test_a_request_has_an_id_in_the_headers_also_when_it_is_refused(infer):
    made = {infer("echo").headers["x-request-id"], infer("nobody").headers["x-request-id"]}
    assert len(made) == 2
    assert all(made)


@pytest.mark.parametrize("asked, answers", [(None, "10"), ("1", "1"), ("2", "2"), ("10", "10")])
def test_a_version_is_chosen_by_the_request_and_else_it_is_the_highest(infer, asked, answers):
    answer = infer("versions", version=asked).good
    assert (answer["output"].tolist(), answer.model_version) == ([answers.encode()], answers)


@pytest.mark.parametrize("asked", [None, "1"])  # over gRPC none is an empty one
def test_a_model_without_a_version_is_version_1(infer, asked):
    assert infer("echo", version=asked).good.model_version == "1"


def test_a_model_without_a_version_has_no_other(infer, refused):
    assert refused(infer("echo", version="2"), "NOT_FOUND") == "Model 'echo' has no version '2'; it has 1."


def test_each_output_keeps_its_shape_and_datatype(infer):
    values = {"scalar": np.array(2.5), "empty": np.zeros((0, 3), np.int16), "deep": np.ones((1, 2, 1, 2), np.uint8)}
    outputs = infer("echo", values).good.outputs
    assert [(output.datatype, output.shape) for output in outputs] == [
        ("FP64", ()),
        ("INT16", (0, 3)),
        ("UINT8", (1, 2, 1, 2)),
    ]


def test_an_optional_input_may_stay_away(infer):
    x, weights = np.ones((2, 2), np.float32), np.full((2, 2), 2, np.float32)
    assert infer("typed", {"x": x}).good["total"].tolist() == [4]
    assert infer("typed", {"weights": weights, "x": x}).good["total"].tolist() == [8]

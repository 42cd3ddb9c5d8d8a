"""Agents of MLflow: their bodies as they are, and their fields as inputs."""

import json

import mlflow.pyfunc
import pytest

from srv.testing import Client

MESSAGES = [{"role": "user", "content": "good day"}]

pytestmark = pytest.mark.skipif(not hasattr(mlflow.pyfunc, "ResponsesAgent"), reason="MLflow has agents since 3.0.")


@pytest.fixture(scope="module")
def client(given):
    with Client.of(given("agent")) as made:
        yield made


def test_the_body_of_an_agent_is_answered_unwrapped(client):
    answer = client.post("/v2/models/m/invocations", {"input": MESSAGES}, headers={"content-type": "application/json"})
    assert answer.json["output"][0]["content"][0]["text"] == "good day"


def test_the_fields_of_an_agent_are_inputs_and_outputs(client):
    answer = client.infer("m", {"input": [json.dumps(MESSAGES)]})
    assert json.loads(answer["output"][0])["content"][0]["text"] == "good day"
    inputs = {each["name"]: each["parameters"] for each in client.metadata("m").json["inputs"]}
    assert inputs["input"] == {"content_type": "json"}
    assert inputs["max_output_tokens"]["optional"] is True


def test_an_agent_streams_its_events(client):
    answers = list(client.stream("m", {"input": [json.dumps(MESSAGES)]}))
    assert [answer["delta"].tolist() for answer in answers] == [[b"good"], [b"day"]]


def test_a_message_that_is_none_is_a_400(client):
    answer = client.infer("m", {"input": ['"good day"']})
    assert (answer.status, answer.error) == (
        400,
        "Column 'input', row 0: Expected data to be list or numpy array, got str.",
    )

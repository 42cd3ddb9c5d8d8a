import json

import pytest
from falcon import testing

from srv.discovery import discover
from srv.serve.assembly import assemble
from srv.settings import ServerSettings

CODE = """
import asyncio
from collections.abc import AsyncIterator, Iterator

import numpy as np

from srv import InferenceRequest, InvalidInput, Runtime

class Count(Runtime):
    ended = []
    def predict_stream(self, to: np.ndarray) -> Iterator[dict]:
        if to[0] < 0:
            raise InvalidInput("to must not be negative.")
        try:
            for number in range(int(to[0])):
                if number == 5:
                    raise ValueError("five is a secret")
                yield {"number": np.array([number])}
        finally:
            self.ended.append(True)

class Later(Runtime):
    ended = []
    def predict(self, text_input: list[str]) -> list[str]:
        return [text_input[0].upper()]
    async def predict_stream(self, text_input: list[str]) -> AsyncIterator[list[str]]:
        try:
            for word in text_input[0].split():
                await asyncio.sleep(0)
                yield [word]
        finally:
            self.ended.append(True)
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    for name, kind in (("count", "Count"), ("later", "Later")):
        (folder / name).mkdir()
        (folder / name / "models.py").write_text(CODE)
        (folder / name / "model-settings.json").write_text(json.dumps({"implementation": f"models.{kind}"}))
    server = assemble(ServerSettings(folder=folder, access_log=False), discover())
    server.load_models(lambda _: None, server.wanted())
    yield server
    server.close()


@pytest.fixture
def client(server):
    return testing.TestClient(server.app)


def numbers(to):
    return json.dumps({"id": "7", "inputs": [{"name": "to", "shape": [1], "datatype": "INT64", "data": [to]}]})


def frames(answer):
    *texts, end = answer.content.decode().split("\n\n")
    assert end == ""
    assert all(text.startswith("data: ") for text in texts)
    return [json.loads(text.removeprefix("data: ")) for text in texts]


def test_each_response_is_a_frame(client):
    answer = client.simulate_post("/v2/models/count/infer_stream", body=numbers(3))

    assert answer.headers["content-type"] == "text/event-stream"
    assert [frame["outputs"][0]["data"] for frame in frames(answer)] == [[0], [1], [2]]
    assert {frame["id"] for frame in frames(answer)} == {"7"}
    assert frames(answer)[0]["model_name"] == "count"


def test_a_stream_of_nothing_has_no_frames(client):
    answer = client.simulate_post("/v2/models/count/infer_stream", body=numbers(0))

    assert (answer.status_code, frames(answer)) == (200, [])


def test_what_fails_before_the_first_frame_is_an_ordinary_error(client):
    answer = client.simulate_post("/v2/models/count/infer_stream", body=numbers(-1))

    assert (answer.status_code, answer.json["error"]) == (400, "to must not be negative.")


def test_what_fails_after_the_first_frame_is_a_frame_that_says_no_more_than_the_class(client):
    answer = client.simulate_post("/v2/models/count/infer_stream", body=numbers(9))

    *good, last = frames(answer)
    assert len(good) == 5
    assert last == {"error": "Model 'count' raised ValueError; the server's log says more.", "code": "MODEL_ERROR"}


def test_an_empty_list_of_outputs_asks_a_stream_for_all(client):
    body = json.loads(numbers(2)) | {"outputs": [], "id": ""}

    answer = client.simulate_post("/v2/models/count/infer_stream", json=body)

    assert [len(frame["outputs"]) for frame in frames(answer)] == [1, 1]
    assert "id" not in frames(answer)[0]


def test_a_model_that_only_streams_says_so(client):
    answer = client.simulate_post("/v2/models/count/infer", body=numbers(1))

    assert (answer.status_code, answer.json["code"]) == (501, "UNIMPLEMENTED")
    assert answer.json["error"] == "Model 'count' answers with streams only."


@pytest.mark.parametrize(
    "name, route, body",
    [
        ("count", "infer_stream", numbers(5)),
        ("later", "generate_stream", json.dumps({"text_input": "a b c d"})),
    ],
)
def test_a_client_that_leaves_ends_the_models_iterator(server, name, route, body):
    runtime = server.registry.find(name).runtime
    runtime.ended.clear()
    environ = testing.create_environ(path=f"/v2/models/{name}/{route}", method="POST", body=body)
    answer = server.app(environ, lambda *_: None)
    assert next(iter(answer)).startswith(b"data: ")
    assert runtime.ended == []

    answer.close()

    assert runtime.ended == [True]


def test_text_in_text_out(client):
    answer = client.simulate_post("/v2/models/later/generate", json={"text_input": "hello", "id": "1"})

    assert answer.json == {"model_name": "later", "model_version": "1", "id": "1", "text_output": "HELLO"}


def test_text_in_pieces_of_text_out(client):
    answer = client.simulate_post("/v2/models/later/generate_stream", json={"text_input": "one two"})

    assert [frame["text_output"] for frame in frames(answer)] == ["one", "two"]


@pytest.mark.parametrize(
    "body, sentence",
    [
        ({}, "text_input is missing."),
        ({"text_input": 5}, "text_input: expected string, got integer."),
        (
            {"text_input": "a", "parameters": {"a": []}},
            "parameters['a']: expected boolean or integer or number or string, got array.",
        ),
    ],
)
def test_what_is_no_request_to_generate_is_refused(client, body, sentence):
    answer = client.simulate_post("/v2/models/later/generate", json=body)

    assert (answer.status_code, answer.json["error"]) == (400, sentence)


def test_a_model_that_takes_no_text_refuses_to_generate(client):
    answer = client.simulate_post("/v2/models/count/generate_stream", json={"text_input": "a"})

    assert answer.status_code == 400
    assert "'text_input' is unknown" in answer.json["error"]

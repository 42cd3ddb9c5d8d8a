"""The plugin event_log, through the kit alone."""

import http.client
import json
import os
import time
from urllib.parse import urlsplit

import pytest

from srv import InvalidInput, Runtime, Tensor
from srv.client.bodies import as_json
from srv.client.grpc_messages import as_message
from srv.discovery import PluginBroken
from srv.testing import Client, model
from srv.testing.requests import as_request


class Doubler(Runtime):
    def predict(self, x: list[str]) -> list[str]:
        if not x:
            raise InvalidInput("Input 'x' is empty.")
        return x + x


class Broken(Runtime):
    def load(self):
        raise OSError("no disk")


class Ticks(Runtime):
    def predict_stream(self, request):
        for place in range(request.parameters.get("most", 1_000_000)):
            yield {"place": [place]}


@pytest.fixture
def event_log(tmp_path, srv_client, isolated_plugins):
    """Serve models with an event log; gives the client, and a function that reads the event_log."""
    isolated_plugins()
    file = tmp_path / "event_log.jsonl"

    def serve(*models, **settings):
        client = srv_client(
            *models, settings={"on_load_error": "continue", "event_log": {"file": str(file), **settings}}
        )
        return client, lambda: [json.loads(line) for line in file.read_text().splitlines()]

    return serve


def events(lines):
    return [line["event"] for line in lines]


def test_srv_worker_started_is_the_first_line(event_log):
    _, read = event_log(Doubler)
    first = read()[0]
    assert (first["event"], first["worker"], first["server"], first["workers"]) == (
        "worker started",
        os.getpid(),
        "srv",
        1,
    )


def test_srv_worker_stopping_is_the_last_line_after_the_models_are_unloaded(event_log):
    client, read = event_log(Doubler)
    client.close()
    assert events(read()) == ["worker started", "model loaded", "model unloaded", "worker stopping"]


def test_srv_model_loaded_tells_of_each_load(event_log):
    client, read = event_log(Doubler)
    client.assembled.loader.load(client.assembled.registry.find("Doubler").settings)
    assert events(read())[1:] == ["model loaded", "model loaded"]


def test_srv_model_unloaded_tells_of_the_end_and_not_of_what_a_reload_replaces(event_log):
    client, read = event_log(Doubler)
    client.assembled.loader.load(client.assembled.registry.find("Doubler").settings)
    client.assembled.loader.unload(client.assembled.registry.find("Doubler"))
    assert events(read())[1:] == ["model loaded", "model loaded", "model unloaded"]
    assert {line["model"] for line in read()[1:]} == {"Doubler"}


def test_srv_model_failed_tells_why(event_log):
    _, read = event_log(Broken)
    failed = read()[-1]
    assert (failed["event"], failed["model"], failed["reason"]) == ("model failed", "Broken", "OSError: no disk")


def test_srv_after_infer_tells_what_was_asked_and_what_came_of_it_but_no_values(event_log):
    client, read = event_log(model(Doubler, parameters={"version": "3"}))
    client.infer("Doubler", {"x": ["secret"]}, id="one")
    client.infer("Doubler", {"x": Tensor("x", [], "BYTES")}, id="two")
    good, bad = read()[-2:]
    assert (good["model"], good["version"], good["id"], good["outcome"]) == ("Doubler", "3", "one", "ok")
    assert (good["inputs"], good["outputs"]) == (["x BYTES [1]"], ["output BYTES [2]"])
    assert good["total"] >= good["compute"] >= 0
    assert bad["outcome"] == "InvalidInput"
    assert "secret" not in json.dumps(good)


def test_srv_after_infer_tells_the_id_of_the_request_that_the_access_log_has(event_log):
    client, read = event_log(Doubler)
    answer = client.infer("Doubler", {"x": ["a"]})
    assert read()[-1]["request_id"] == answer.headers["x-request-id"]


def test_srv_after_infer_tells_what_was_sent_of_a_stream(event_log):
    client, read = event_log(Ticks)
    answers = client.stream("Ticks", {"x": [1.0]}, parameters={"most": 3})
    line = read()[-1]
    assert (line["outcome"], line["outputs"]) == ("ok", ["place INT64 [1]"])
    assert (line["stream"]["responses"], line["stream"]["client_left"]) == (len(answers), False)
    assert line["stream"]["bytes"] > sum(len(answer.body) for answer in answers)
    assert 0 <= line["stream"]["time_to_first"] <= line["total"]


def leave_a_stream_of_rest(server):
    connection = http.client.HTTPConnection(urlsplit(server.url).netloc)
    body = as_json(as_request({"x": [1.0]}))
    connection.request("POST", "/v2/models/Ticks/infer_stream", body, {"Content-Type": "application/json"})
    with connection.getresponse() as answer:
        assert answer.readline().startswith(b"data: ")
    connection.close()


def leave_a_stream_of_grpc(server):
    with server.grpc_channel() as channel:
        stream = channel.stream_stream("/inference.GRPCInferenceService/ModelStreamInfer")
        call = stream(iter([as_message("Ticks", as_request({"x": [1.0]}))]))
        assert next(call)
        call.cancel()


@pytest.mark.e2e
def test_srv_after_infer_tells_that_the_client_of_a_stream_left(srv_server, tmp_path):
    file = tmp_path / "event_log.jsonl"
    server = srv_server(Ticks, settings={"event_log": {"file": str(file)}})
    for leave in (leave_a_stream_of_rest, leave_a_stream_of_grpc):
        file.write_text("")
        leave(server)
        end = time.monotonic() + 60
        while not file.read_text().endswith("\n") and time.monotonic() < end:
            time.sleep(0.01)
        line = json.loads(file.read_text())
        assert (line["event"], line["outcome"]) == ("request", "ClientLeft")
        assert line["stream"]["client_left"] is True
        assert 1 <= line["stream"]["responses"] < 1_000_000
        assert line["stream"]["bytes"] > 0


def test_a_share_of_the_requests_is_written(event_log):
    client, read = event_log(Doubler, requests=0.25)
    for _ in range(8):
        client.infer("Doubler", {"x": ["a"]})
    assert events(read()).count("request") == 2


def test_a_journal_that_cannot_be_written_fails_no_request(srv_client, isolated_plugins):
    isolated_plugins()
    client = srv_client(Doubler, settings={"event_log": {"file": "/dev/full"}})
    assert client.infer("Doubler", {"x": ["a"]}).ok


def test_srv_settings_schema_wants_a_file(isolated_plugins):
    isolated_plugins()
    with pytest.raises(PluginBroken, match=r"event_log\.file: Missing data"):
        Client.of(settings={"event_log": {}})

import json

import pytest
from falcon import testing

from srv.discovery import discover
from srv.serve.assembly import assemble
from srv.settings import ServerSettings
from srv.testing import Client

ANSWERS = """
from srv import Runtime

class Answers(Runtime):
    routes = [("GET", "{path}", "told")]
    def predict(self, x: list[str]) -> list[str]:
        return x
    def told(self, request):
        return "{path}"
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "model-settings.json").write_text(json.dumps({"implementation": "code.Answers"}))
    write(tmp_path, "one")
    return tmp_path


def write(folder, path):
    (folder / "m" / "code.py").write_text(ANSWERS.replace("{path}", path))


def test_a_reload_adds_and_removes_routes(folder):
    with Client.of(folder) as client:
        assert client.call("GET", "m", "one").body == b"one"
        write(folder, "two")
        assert client.post("/v2/repository/models/m/load", {}).status == 200
        assert client.call("GET", "m", "two").body == b"two"
        assert client.call("GET", "m", "one").status == 404


def test_a_reload_that_fails_keeps_the_routes_that_there_were(folder):
    with Client.of(folder) as client:
        write(folder, "infer")
        assert client.post("/v2/repository/models/m/load", {}).code == "LOAD_FAILED"
        assert client.call("GET", "m", "one").body == b"one"


def test_below_a_model_that_is_not_ready_everything_answers_so(folder):
    with Client.of(folder) as client:
        client.post("/v2/repository/models/m/unload", {})
        for path in ("one", "any/other"):
            answer = client.call("GET", "m", path)
            assert (answer.status, answer.code) == (503, "UNAVAILABLE")
            assert answer.error == "Model 'm' is not ready, it is UNAVAILABLE: unloaded."
        assert client.call("GET", "other", "one").code == "NOT_FOUND"


def test_a_request_whose_model_is_replaced_meanwhile_is_answered_by_the_new_one(folder):
    with Client.of(folder) as client:
        before = client.assembled.registry.find("m")
        found = client.assembled.app.model_routes.find("/v2/models/m/one")
        client.post("/v2/repository/models/m/load", {})
        assert client.assembled.registry.find("m") is not before
        client.assembled.app._routes.elsewhere = lambda path: found
        assert client.call("GET", "m", "one").body == b"one"
        write(folder, "two")
        client.post("/v2/repository/models/m/load", {})
        answer = client.call("GET", "m", "one")
        assert (answer.code, answer.error) == ("NOT_FOUND", "Model 'm' no longer has the route GET one.")


def test_a_model_that_loses_its_routes_while_one_is_looked_for_is_looked_for_again(folder, monkeypatch):
    with Client.of(folder) as client:
        dataplane = client.assembled.dataplane
        before, find = dataplane.model("m"), dataplane.model
        client.post("/v2/repository/models/m/load", {})
        client.assembled.loader.wait_gone()
        assert not before.routes
        found = iter([before])
        monkeypatch.setattr(dataplane, "model", lambda name, version: next(found, None) or find(name, version))
        assert client.call("GET", "m", "one").body == b"one"


def test_before_the_first_load_has_ended_no_route_is_known_and_that_is_a_503(folder):
    server = assemble(ServerSettings(folder=folder), discover())
    client = testing.TestClient(server.app)
    answer = client.simulate_get("/v2/models/m/one")
    assert (answer.status_code, answer.json["code"]) == (503, "UNAVAILABLE")
    assert client.simulate_get("/v2/elsewhere").status_code == 404
    server.load_models(lambda _: None, server.wanted())
    assert client.simulate_get("/v2/models/m/one").text == "one"
    server.close()

import json

import pytest

from srv import Runtime
from srv.settings import read_server_settings
from srv.settings.errors import SettingError
from srv.testing import Client, model


class Scoring(Runtime):
    routes = (("POST", "/score", "score"), ("GET", "/v1/{what}", "score"), ("GET", "score", "score"))

    def predict(self, x: list[str]) -> list[str]:
        return x

    def score(self, request):
        return {"model": self.name, "what": request.path_parameters.get("what"), "path": request.path}


def test_settings_say_which_model_has_a_path_at_the_root():
    models = [model(Scoring, name="first"), model(Scoring, name="second")]
    with Client.of(*models, settings={"root_routes": {"/score": "second", "/v1/{what}": "first"}}) as client:
        assert client.post("/score", {}).json == {"model": "second", "what": None, "path": "/score"}
        assert client.get("/v1/all").json == {"model": "first", "what": "all", "path": "/v1/all"}
        assert client.get("/score").status == 405
        rows = client.metadata("first").json["parameters"]["routes"]
        assert [row["path"] for row in rows] == ["/v2/models/first/score", "/v1/{what}"]
        paths = client.get("/v2/docs/dataplane.json").json["paths"]
        assert {"/score", "/v1/{what}", "/v2/models/first/score", "/v2/models/second/score"} <= paths.keys()


def test_without_settings_nobody_has_a_path_at_the_root_and_the_log_says_what_to_write(caplog):
    caplog.set_level("INFO")
    with Client.of(Scoring) as client:
        assert client.post("/score", {}).code == "NOT_FOUND"
        assert client.get("/v2/models/Scoring/score").status == 200
    assert '"root_routes": {"/score": "Scoring"}' in caplog.text


def test_one_line_without_a_warning_tells_of_all_paths_that_a_model_does_not_serve_at_the_root(caplog):
    caplog.set_level("INFO")
    models = [model(Scoring, name="first"), model(Scoring, name="second")]
    with Client.of(*models, settings={"root_routes": {"/score": "second"}}):
        pass
    [of_first, of_second] = [record for record in caplog.records if "at the root" in record.message]
    assert of_first.levelname == of_second.levelname == "INFO"
    assert of_first.message == (
        "Model 'first' does not serve /score, /v1/{what} at the root, because the setting root_routes does not give that to it. "
        'It gives /score to model \'second\'. To serve it there, write "root_routes": {"/score": "first"} into settings.json.'
    )
    assert "does not serve /v1/{what} at the root" in of_second.message


def test_a_path_that_settings_give_to_a_model_without_that_route_is_told(caplog):
    with Client.of(Scoring, settings={"root_routes": {"/scores": "Scoring"}}) as client:
        assert client.get("/scores").code == "NOT_FOUND"
    assert "gives /scores to model 'Scoring', which has no such route; it has /score, /v1/{what}, score." in caplog.text


def test_a_root_path_of_a_model_that_is_not_ready_is_a_503():
    with Client.of(Scoring, settings={"root_routes": {"/score": "Scoring"}}) as client:
        client.post("/v2/repository/models/Scoring/unload", {})
        answer = client.post("/score", {})
        assert (answer.status, answer.code, answer.headers["retry-after"]) == (503, "UNAVAILABLE", "1")
        assert client.get("/v1/all").status == 404


def test_below_root_path_they_stand_below_it_too():
    settings = {"root_routes": {"/score": "Scoring"}, "root_path": "/ml"}
    with Client.of(Scoring, settings=settings) as client:
        assert client.post("/ml/score", {}).status == client.post("/score", {}).status == 200
        assert client.get("/ml/v2/models/Scoring/score").status == 200


@pytest.mark.parametrize("given", [{"score": "m"}, {"/": "m"}, {"/a b": "m"}, {"/score": 3}, {"/score": "a model"}, []])
def test_root_routes_of_another_form_are_refused(tmp_path, given):
    (tmp_path / "settings.json").write_text(json.dumps({"root_routes": given}))
    with pytest.raises(SettingError, match="root_routes"):
        read_server_settings(tmp_path, environ={})


def test_the_environment_may_say_it_as_json(tmp_path):
    settings = read_server_settings(tmp_path, environ={"SRV_ROOT_ROUTES": '{"/v1/score": "iris"}'})
    assert settings.root_routes == {"/v1/score": "iris"}

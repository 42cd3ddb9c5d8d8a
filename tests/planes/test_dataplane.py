import json

import pytest

from srv.discovery import discover
from srv.hookspecs import hookimpl
from srv.messages import InferenceRequest
from srv.planes.readiness import ModelNotReady
from srv.serve.assembly import assemble
from srv.settings import ServerSettings

CODE = """
from srv import Runtime

class M(Runtime):
    def predict(self, request):
        return {answer}

    def predict_stream(self, request):
        yield {answer}
        yield {answer}
"""


class Recorder:
    """Hooks that note each call, and do something to the models before the first request runs."""

    def __init__(self):
        self.calls = []
        self.meanwhile = lambda: None

    @hookimpl
    def srv_before_infer(self, model, request):
        self.calls.append(("before", request.model_version))
        meanwhile, self.meanwhile = self.meanwhile, lambda: None
        meanwhile()

    @hookimpl
    def srv_after_infer(self, model, request, response, error):
        self.calls.append(("after", request.model_version, type(error).__name__ if error else "ok"))


@pytest.fixture
def hooks():
    return Recorder()


@pytest.fixture
def server(tmp_path, isolated_plugins, hooks):
    isolated_plugins(hooks={"recorder": hooks})
    write(tmp_path / "m" / "1", 1)
    made = assemble(ServerSettings(folder=tmp_path, model_control=True), discover())
    made.load_models(lambda _: None, made.wanted())
    yield made
    made.close()


def write(folder, answer):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "models.py").write_text(CODE.format(answer=answer))
    (folder / "model-settings.json").write_text(json.dumps({"implementation": "models.M"}))


def infer(server, version=None):
    response = server.dataplane.infer("m", version, InferenceRequest([]))
    return response.model_version, response["output"].tolist()


def stream(server, version=None):
    return [
        (response.model_version, response["output"].tolist())
        for response in server.dataplane.stream("m", version, InferenceRequest([]), as_it_is)
    ]


def answered(server):
    return {
        (row["version"], row["inference_stats"]["success"]["count"], row["inference_stats"]["fail"]["count"])
        for row in server.dataplane.statistics("m")
    }


def test_hooks_are_called_once_for_a_request_whose_model_is_replaced_meanwhile(server, hooks, tmp_path):
    write(tmp_path / "m" / "1", 2)
    hooks.meanwhile = lambda: server.modelplane.load("m")

    assert infer(server) == ("1", 2)

    assert hooks.calls == [("before", "1"), ("after", "1", "ok")]
    assert answered(server) == {("1", 1, 0)}


def test_hooks_are_called_once_for_a_stream_whose_model_is_replaced_before_it_begins(server, hooks, tmp_path):
    write(tmp_path / "m" / "1", 2)
    hooks.meanwhile = lambda: server.modelplane.load("m")

    assert stream(server) == [("1", 2), ("1", 2)]

    assert hooks.calls == [("before", "1"), ("after", "1", "ok")]
    assert answered(server) == {("1", 1, 0)}


@pytest.mark.parametrize("ask", [infer, stream])
def test_where_the_default_version_goes_meanwhile_the_one_after_it_answers_and_is_counted(server, hooks, tmp_path, ask):
    write(tmp_path / "m" / "2", 2)
    (tmp_path / "m" / "1" / "model-settings.json").unlink()
    hooks.meanwhile = lambda: server.modelplane.load("m")

    answers = ask(server)

    assert ("2", 2) in (answers, answers[0])
    assert hooks.calls == [("before", "1"), ("after", "2", "ok")]
    assert answered(server) == {("2", 1, 0)}


@pytest.mark.parametrize("ask", [infer, stream])
def test_a_model_that_is_unloaded_meanwhile_is_not_ready_and_hooks_hear_of_it_once(server, hooks, ask):
    hooks.meanwhile = lambda: server.modelplane.unload("m")

    with pytest.raises(ModelNotReady, match="Model 'm version 1' is not ready"):
        ask(server)

    assert hooks.calls == [("before", "1"), ("after", "1", "ModelNotReady")]
    assert answered(server) == {("1", 0, 1)}


def as_it_is(response):
    return response

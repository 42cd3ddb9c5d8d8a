"""What plugins are told of loads and reloads, in which order, and of which model."""

import json
import threading

import numpy as np
import pytest

from srv.discovery import discover
from srv.errors import LoadFailed
from srv.hookspecs import hookimpl
from srv.messages import InferenceRequest
from srv.serve.assembly import assemble
from srv.settings import ServerSettings
from srv.tensors import Tensor

PATIENCE = 30


class Notes:
    """What was told, as (hook, title of the model); the arguments of the last reload."""

    def __init__(self):
        self.told = []
        self.reload = None

    @hookimpl
    def srv_model_loaded(self, model):
        self.told.append(("loaded", model.title))

    @hookimpl
    def srv_model_reloaded(self, model, previous, seconds):
        self.told.append(("reloaded", model.title))
        self.reload = (model, previous, seconds)

    @hookimpl
    def srv_model_failed(self, model):
        self.told.append(("failed", model.title))

    @hookimpl
    def srv_model_unloaded(self, model):
        self.told.append(("unloaded", model.title))

    def since(self):
        """What was told since the last call."""
        told, self.told = self.told, []
        return told


CODE = """
import threading
import numpy as np
from srv import Runtime

started, go = threading.Event(), threading.Event()

class M(Runtime):
    def predict(self, x: np.ndarray) -> np.ndarray:
        if x[0] < 0:
            started.set()
            go.wait(30)
        return x
"""


def write(folder, name, code=CODE):
    (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / name / "models.py").write_text(code)
    (folder / name / "model-settings.json").write_text(json.dumps({"implementation": "models.M"}))


def request(x=1.0):
    return InferenceRequest([Tensor("x", np.array([x]))])


@pytest.fixture
def notes():
    return Notes()


@pytest.fixture
def server(tmp_path, isolated_plugins, notes):
    isolated_plugins(hooks={"notes": notes})
    write(tmp_path, "m")
    made = assemble(ServerSettings(folder=tmp_path, model_control=True), discover())
    made.load_models(lambda _: None, made.wanted())
    yield made
    made.close(PATIENCE)


def test_srv_model_reloaded_is_told_after_srv_model_loaded_with_the_model_that_served(server, notes):
    before = server.registry.find("m")
    assert notes.since() == [("loaded", "m")]

    server.modelplane.load("m")

    assert notes.since() == [("loaded", "m"), ("reloaded", "m")]
    model, previous, seconds = notes.reload
    assert (model, previous) == (server.registry.find("m"), before)
    assert model is not previous
    assert seconds > 0


def test_srv_model_reloaded_is_told_while_a_request_still_runs_in_the_previous_model(server, notes):
    code = server.registry.find("m").runtime.predict.__func__.__globals__
    asked = threading.Thread(target=server.dataplane.infer, args=("m", None, request(-1.0)), daemon=True)
    asked.start()
    assert code["started"].wait(PATIENCE)

    server.modelplane.load("m")

    assert ("reloaded", "m") in notes.since()
    assert asked.is_alive()
    code["go"].set()
    asked.join(PATIENCE)
    assert server.loader.wait_gone(seconds=PATIENCE) == []
    assert notes.since() == []


def test_srv_model_reloaded_is_not_told_where_the_model_did_not_serve(server, notes, tmp_path):
    server.modelplane.unload("m")
    server.modelplane.load("m")
    assert notes.since() == [("loaded", "m"), ("unloaded", "m"), ("loaded", "m")]

    write(tmp_path, "m", "1 / 0")
    with pytest.raises(LoadFailed):
        server.modelplane.load("m")
    assert notes.since() == [("failed", "m")]

    write(tmp_path, "late", "1 / 0")
    with pytest.raises(LoadFailed):
        server.modelplane.load("late")
    write(tmp_path, "late")
    server.modelplane.load("late")
    assert notes.since() == [("failed", "late"), ("loaded", "late")]


def test_srv_model_reloaded_is_told_of_the_versions_that_served_before(server, notes, tmp_path):
    write(tmp_path, "n/1")
    write(tmp_path, "n/2")
    server.modelplane.load("n")
    assert notes.since() == [("loaded", "m"), ("loaded", "n version 1"), ("loaded", "n version 2")]

    (tmp_path / "n" / "1" / "model-settings.json").unlink()
    write(tmp_path, "n/3")
    server.modelplane.load("n")
    assert server.loader.wait_gone(seconds=PATIENCE) == []

    assert notes.since() == [
        ("loaded", "n version 2"),
        ("reloaded", "n version 2"),
        ("loaded", "n version 3"),
        ("unloaded", "n version 1"),
    ]


def test_srv_model_reloaded_that_fails_is_logged_and_the_model_serves(server, notes, caplog):
    notes.told = None  # so that every hook of the plugin fails

    server.modelplane.load("m")

    assert "srv_model_reloaded failed in the hook module 'notes'" in caplog.text
    assert server.dataplane.infer("m", None, request(2.0))["output"].tolist() == [2.0]

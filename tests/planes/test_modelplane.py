import json
from contextlib import contextmanager

import pytest

from srv import hookimpl
from srv.discovery import discover
from srv.errors import Forbidden, LoadFailed, LoadIncomplete, Unavailable, UnknownModel
from srv.messages import InferenceRequest
from srv.planes.modelplane import ControlOff, StateNotWritten
from srv.planes.readiness import StillLoading
from srv.serve.assembly import assemble
from srv.settings import ServerSettings
from srv.testing import Client

CODE = "from srv import Runtime\nclass M(Runtime):\n    def predict(self, request):\n        return {}\n"


@pytest.fixture
def serve(tmp_path):
    made = []

    def make(**settings):
        server = assemble(ServerSettings(folder=tmp_path, **({"model_control": True} | settings)), discover())
        server.load_models(lambda _: None, server.wanted())
        made.append(server)
        return server

    yield make
    for server in made:
        server.close()


@pytest.fixture
def write(tmp_path):
    def write(place, answer=1, **settings):
        folder = tmp_path / place
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "models.py").write_text(CODE.format(answer))
        (folder / "model-settings.json").write_text(json.dumps({"implementation": "models.M"} | settings))
        return folder

    return write


def rows(server, **wish):
    return [(row.name, row.version, row.state.value, row.reason) for row in server.modelplane.index(**wish)]


def infer(server, name, version=None):
    return server.dataplane.infer(name, version, InferenceRequest([]))["output"].tolist()


def test_the_index_lists_what_is_loaded_and_what_could_be(serve, write):
    write("a")
    server = serve()
    write("b")
    write("c", colour="red")

    assert rows(server)[:2] == [("a", "1", "READY", ""), ("b", "1", "UNAVAILABLE", "not loaded")]
    assert rows(server)[2][:3] == ("c", "1", "UNAVAILABLE")
    assert "colour" in rows(server)[2][3]
    assert rows(server, ready=True) == [("a", "1", "READY", "")]


def test_a_model_that_came_later_is_loaded_on_demand(serve, write):
    server = serve()
    write("late", 7)

    server.modelplane.load("late")

    assert infer(server, "late") == 7


def test_a_load_takes_the_files_as_they_are_now(serve, write):
    write("a", 1)
    server = serve()
    write("a", 2)

    server.modelplane.load("a")

    assert infer(server, "a") == 2


def test_a_load_that_fails_keeps_what_was_serving_and_the_index_says_why(serve, write):
    folder = write("a", 1)
    server = serve()
    (folder / "models.py").write_text("broken!")

    with pytest.raises(LoadFailed, match="SyntaxError"):
        server.modelplane.load("a")

    assert infer(server, "a") == 1
    assert rows(server)[0][2] == "READY"
    assert "SyntaxError" in rows(server)[0][3]
    assert server.dataplane.readiness.problem() is None


def test_versions_come_and_go_with_the_repository(serve, write, tmp_path):
    write("a/1", 1)
    write("a/2", 2)
    server = serve()
    write("a/3", 3)
    (tmp_path / "a" / "1" / "model-settings.json").unlink()

    server.modelplane.load("a")

    assert infer(server, "a") == 3
    assert [row[1] for row in rows(server)] == ["2", "3"]


def test_where_one_version_cannot_be_loaded_all_go_on_as_they_were(serve, write):
    write("a/1", 1)
    write("a/3", 3)
    server = serve()
    first = write("a/1", 10)
    (first / "models.py").write_text(
        CODE.format(10) + "    def unload(self):\n        (self.settings.folder / 'taken back').touch()\n"
    )
    write("a/2", 2)
    write("a/3").joinpath("models.py").write_text("broken!")
    before = server.registry.versions("a")

    with pytest.raises(LoadFailed, match="Model 'a version 3' could not be loaded: SyntaxError"):
        server.modelplane.load("a")

    assert (infer(server, "a"), infer(server, "a", "1")) == (3, 1)
    assert server.registry.versions("a") == before
    assert [(row[1], row[2]) for row in rows(server)] == [("1", "READY"), ("2", "UNAVAILABLE"), ("3", "READY")]
    assert (first / "taken back").exists()


def test_all_versions_of_a_model_change_at_once(serve, write):
    write("a/1", 1)
    write("a/2", 2)
    server = serve()
    seen = set()
    server.loader._events.model_loaded = lambda model, seconds: seen.add(
        (infer(server, "a", "1"), infer(server, "a", "2"))
    )
    write("a/1", 10)
    write("a/2", 20)

    server.modelplane.load("a")

    assert seen == {(10, 20)}


def test_an_unloaded_model_serves_no_more_and_is_not_missed(serve, write):
    write("a")
    server = serve()

    server.modelplane.unload("a")

    assert rows(server) == [("a", "1", "UNAVAILABLE", "unloaded")]
    assert server.dataplane.readiness.problem() is None


@pytest.mark.parametrize("act", ["load", "unload"])
def test_what_the_repository_does_not_hold_is_not_found(serve, write, act):
    write("iris")
    server = serve()

    with pytest.raises(UnknownModel, match="Did you mean 'iris'"):
        getattr(server.modelplane, act)("irsi")


@pytest.mark.parametrize("act", ["load", "unload"])
def test_model_control_can_be_off(serve, write, act):
    write("a")

    with pytest.raises(ControlOff):
        getattr(serve(model_control=False).modelplane, act)("a")


def test_nothing_is_changed_before_the_first_load_has_ended(serve, write):
    write("a")
    server = serve()
    server.dataplane.readiness.loaded = False

    with pytest.raises(StillLoading):
        server.modelplane.unload("a")


class Loads:
    """A plugin that loads model a in whichever hook is called `where`."""

    def __init__(self, where):
        self._where = where
        self.told = []

    @hookimpl
    def srv_worker_started(self, server):
        self._server = server

    @hookimpl
    def srv_model_reloaded(self, model):
        self._load("reloaded")

    @hookimpl
    def srv_model_unloaded(self, model):
        self._load("unloaded")

    @hookimpl
    def srv_worker_stopping(self):
        self._load("stopping")

    def _load(self, where):
        if where == self._where:
            try:
                self._server.load("a")
            except (Forbidden, Unavailable) as error:
                self.told.append(str(error))


@pytest.mark.parametrize("where", ["reloaded", "unloaded"])
def test_a_hook_that_is_told_of_a_model_may_not_change_models_for_which_workers_would_wait_for_each_other(
    write, isolated_plugins, where
):
    plugin = Loads(where)
    isolated_plugins(hooks={"loads": plugin})
    with Client.of(write("a"), settings={"model_control": True}) as client:
        client.assembled.modelplane.load("a")
        client.assembled.modelplane.unload("a")
        client.assembled.modelplane.load("a")  # the hook has let go of what it held

    assert plugin.told
    assert all("Do it in a thread of your own" in told for told in plugin.told)


def test_no_model_is_loaded_any_more_when_the_worker_has_unloaded_them_all(write, isolated_plugins):
    plugin = Loads("stopping")
    isolated_plugins(hooks={"loads": plugin})
    with Client.of(write("a"), settings={"model_control": True}) as client:
        modelplane = client.assembled.modelplane

    assert plugin.told == ["The server is shutting down."]
    assert [row.state.value for row in modelplane.index()] == ["UNAVAILABLE"]


def test_a_worker_that_follows_an_unload_of_what_it_never_had_is_done(serve):
    serve().modelplane.follow({"do": "unload", "name": "a"}, lambda: None)


def test_a_worker_keeps_only_what_all_serve_and_lists_what_was_unloaded_as_the_others_do(serve, write):
    write("a")
    write("b")
    server = serve()
    write("c")

    server.modelplane.keep_only([("a", None)], ["c"])

    assert rows(server) == [
        ("a", "1", "READY", ""),
        ("b", "1", "UNAVAILABLE", "unloaded"),
        ("c", "1", "UNAVAILABLE", "unloaded"),
    ]
    assert server.dataplane.model("c").reason == "unloaded"


def test_what_is_wanted_leaves_out_what_was_unloaded(serve, write):
    write("a")
    write("b")

    assert serve().wanted(loaded=["a"], unloaded=["b"]) == [("a", None)]


def test_where_nothing_is_loaded_at_the_start_only_what_was_loaded_is_wanted(serve, write):
    write("a")
    write("b")
    server = serve(load_models_at_startup=False)

    assert server.wanted() == ()
    assert server.wanted(loaded=["b", "gone"]) == [("b", None)]


class Others:
    """Other workers that note what they hear, and fail as the test says."""

    def __init__(self, *failures, error=None):
        self.failures = failures
        self.error = error
        self.heard = []

    @contextmanager
    def changing(self, name, *, seconds=None):
        self.heard.append(f"changing {name}")
        try:
            yield lambda: None
        finally:
            self.heard.append("changed")

    def write(self, name, versions):
        if self.error is not None:
            raise self.error
        self.heard.append((name, list(versions)))
        return 7

    def tell(self, order, generation):
        self.heard.append((dict(order), generation))
        return self.failures


def test_the_other_workers_are_told_what_is_served_now_after_this_one_has_done_it(serve, write):
    write("a")
    server = serve()
    write("b")
    server.modelplane.peers = others = Others()

    server.modelplane.load("b")

    assert others.heard == ["changing b", ("b", [None]), ({"do": "load", "name": "b"}, 7), "changed"]


def test_the_other_workers_hear_nothing_of_a_load_that_fails_here(serve, write):
    server = serve()
    write("b").joinpath("models.py").write_text("broken!")
    server.modelplane.peers = others = Others()

    with pytest.raises(LoadFailed):
        server.modelplane.load("b")

    assert others.heard == ["changing b", "changed"]


def test_a_worker_that_cannot_follow_is_named(serve, write):
    write("a")
    server = serve()
    server.modelplane.peers = Others("Worker 7: no memory.")

    with pytest.raises(LoadIncomplete, match=r"Model 'a' could not be loaded in every worker\. Worker 7: no memory\."):
        server.modelplane.load("a")


@pytest.mark.parametrize("do", ["load", "unload"])
def test_where_the_workers_models_cannot_be_written_nothing_changes_and_the_error_says_so(serve, write, do, caplog):
    write("a", 1)
    server = serve()
    before = server.registry.versions("a")
    folder = write("a", 2)
    unload = "    def unload(self):\n        (self.settings.folder / 'unloaded').touch()\n"
    (folder / "models.py").write_text(CODE.format(2) + unload)
    server.modelplane.peers = others = Others(error=OSError(28, "No space left on device"))

    with pytest.raises(
        StateNotWritten, match=rf"Model 'a' could not be {do}ed, and nothing has changed: .*No space left"
    ):
        getattr(server.modelplane, do)("a")

    assert infer(server, "a") == 1
    assert server.registry.versions("a") == before
    assert rows(server) == [("a", "1", "READY", "")]
    assert others.heard == ["changing a", "changed"]
    assert (folder / "unloaded").exists() == (do == "load")
    server.modelplane.peers = Others()
    getattr(server.modelplane, do)("a")


def test_the_index_says_why_settings_that_serve_cannot_be_loaded_again(serve, write):
    write("a", 1)
    server = serve()
    write("a", 1, colour="red")

    with pytest.raises(LoadFailed, match="colour"):
        server.modelplane.load("a")

    ((_, _, state, reason),) = rows(server)
    assert (state, infer(server, "a")) == ("READY", 1)
    assert reason.startswith("it serves, and loading it again failed: ")
    assert "colour" in reason
    write("a", 1)
    server.modelplane.load("a")
    assert rows(server) == [("a", "1", "READY", "")]


def test_the_index_says_of_a_model_that_serves_that_its_folder_is_gone(serve, write):
    folder = write("a", 1)
    server = serve()
    (folder / "model-settings.json").unlink()

    with pytest.raises(UnknownModel):
        server.modelplane.load("a")

    assert rows(server) == [
        ("a", "1", "READY", "it serves, and loading it again failed: it is not in the repository any more")
    ]

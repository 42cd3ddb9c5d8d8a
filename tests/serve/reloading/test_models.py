"""What a worker does about edits, in process: a look to notice, a look to act."""

import json
import logging
import os
import shutil
import sys
from itertools import count
from pathlib import Path

import pytest
from distributions import installed_in

import srv
from srv.discovery import PluginBroken, discover
from srv.errors import SrvError
from srv.messages import InferenceRequest
from srv.serve.assembly import assemble
from srv.serve.reloading.mode import for_authors
from srv.settings import ServerSettings, read_server_settings

CODE = "import numpy as np\nfrom srv import Runtime\n{more}\nclass M(Runtime):\n    def load(self):\n        {load}\n"
CODE += "    def predict(self, request):\n        return np.array({answer})\n"
_ages = count(1)


def put(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    os.utime(path, ns=(next(_ages), next(_ages)))  # another one than before, however coarse the clock is


@pytest.fixture
def write(tmp_path):
    def write(place, answer=1, *, load="pass", more="", **settings):
        folder = tmp_path / "models" / place
        put(folder / "models.py", CODE.format(answer=answer, load=load, more=more))
        put(folder / "model-settings.json", json.dumps({"implementation": "models.M"} | settings))
        return folder

    return write


@pytest.fixture
def serve(tmp_path, caplog):
    """A worker with models loaded, and its reloader, driven by hand."""
    caplog.set_level(logging.INFO)
    made = []
    (tmp_path / "models").mkdir()

    def make(**settings):
        given = ServerSettings(folder=tmp_path / "models", **({"on_load_error": "continue"} | settings))
        server = assemble(given, discover())
        server.renewed, server.told = [], []
        server.reload = server.reloader(lambda: server.renewed.append(True), server.told.append)
        server.load_models(lambda _: None, server.wanted())
        made.append(server)
        caplog.clear()
        return server

    yield make
    for server in made:
        server.close()


def answers(answer):
    return CODE.format(more="", load="pass", answer=answer)


def look(server):
    server.reload.look()
    server.reload.look()


def answer(server, name="m", version=None):
    try:
        return server.dataplane.infer(name, version, InferenceRequest([]))["output"].tolist()
    except SrvError as error:
        return str(error)


def row(server, name="m"):
    return next((row.state.value, row.reason) for row in server.modelplane.index() if row.name == name)


def test_an_edit_is_in_force_after_it_has_settled(serve, write, caplog):
    write("m", 1)
    server = serve()
    write("m", 2)

    server.reload.look()
    assert answer(server) == 1
    server.reload.look()
    assert answer(server) == 2
    assert "m/models.py and 1 more have changed: loading model 'm' again." in caplog.messages
    assert server.told == [[("m", None)]]
    assert server.renewed == []


def test_nothing_is_loaded_again_while_nothing_changes(serve, write, caplog):
    write("m")
    server = serve()
    look(server)
    assert caplog.messages == []


def test_only_the_model_that_is_edited_is_loaded_again(serve, write, caplog):
    write("a")
    write("b")
    server = serve()
    write("a", 2)
    look(server)
    assert [message[:16] for message in caplog.messages if "loaded" in message] == ["Model 'a' loaded"]


def test_a_sibling_module_belongs_to_its_model(serve, write):
    folder = write("m", "SIZE", more="from sizes import SIZE")
    put(folder / "sizes.py", "SIZE = 1\n")
    server = serve()
    put(folder / "sizes.py", "SIZE = 2\n")
    look(server)
    assert answer(server) == 2


def test_an_artifact_belongs_to_its_model_wherever_it_lies(serve, write, tmp_path):
    put(tmp_path / "weights.txt", "1")
    write("m", "self.x", load="self.x = int(self.artifact().read_text())", parameters={"uri": "../../weights.txt"})
    server = serve()
    put(tmp_path / "weights.txt", "2")
    look(server)
    assert answer(server) == 2


@pytest.mark.parametrize(
    "broken, reason",
    [
        ({"load": "return y"}, "NameError: name 'y' is not defined (models.py, line 6)"),
        ({"more": "class"}, "SyntaxError: invalid syntax (models.py, line 3)"),
        ({"load": "return False"}, "LoadedNothing: load() returned False."),
        ({"wamrup": []}, "'wamrup' is not a setting of srv. Did you mean 'warmup'?"),
        ({"implementation": "models.N"}, "BadImplementation: The module 'models' has no 'N', which the settings name."),
    ],
    ids=["load raises", "syntax", "load says no", "settings", "class"],
)
def test_a_broken_edit_leaves_the_last_good_one_serving_and_says_why(serve, write, caplog, broken, reason):
    write("m", 1)
    server = serve()
    write("m", 2, **broken)
    look(server)
    assert answer(server) == 1
    assert server.dataplane.readiness.problem() is None
    said = [message for message in caplog.messages if message.startswith("Model 'm' goes on as it was: ")]
    assert len(said) == 1
    assert said[0].endswith(reason)
    assert row(server)[0] == "READY"
    assert row(server)[1].startswith("it serves, and ")

    write("m", 3)
    look(server)
    assert answer(server) == 3
    assert row(server) == ("READY", "")


def test_a_model_that_was_broken_at_the_start_serves_when_it_is_mended(serve, write):
    write("m", load="return y")
    server = serve()
    assert server.dataplane.readiness.problem() is not None
    write("m", 2)
    look(server)
    assert answer(server) == 2
    assert server.dataplane.readiness.problem() is None


def test_settings_that_stay_broken_are_told_at_every_edit_and_at_no_other_time(serve, write, caplog):
    write("m")
    write("other")
    server = serve()
    for _ in range(2):
        write("m", colour="red")
        look(server)
    write("other", 2)
    look(server)
    assert sum("goes on as it was" in message for message in caplog.messages) == 2


def test_a_model_with_a_name_of_its_own_goes_on_where_its_settings_break(serve, write):
    folder = write("m", 1, name="mine")
    server = serve()
    put(folder / "model-settings.json", "{")
    look(server)
    assert answer(server, "mine") == 1
    assert row(server, "mine")[1].startswith("it serves, and its settings cannot be used as they are now")


def test_new_folders_appear_and_removed_ones_are_gone(serve, write, caplog):
    write("m")
    server = serve()
    folder = write("new", 5)
    look(server)
    assert answer(server, "new") == 5
    assert "Model 'new' is new." in caplog.messages
    caplog.clear()
    look(server)
    assert caplog.messages == []

    shutil.rmtree(folder)
    look(server)
    assert answer(server, "new") == "No model is called 'new'."
    assert answer(server) == 1
    assert server.told[-1] == [("m", None)]


def test_a_new_model_that_is_broken_changes_nothing_for_the_others(serve, write):
    write("m")
    server = serve()
    write("new", load="return y")
    look(server)
    assert row(server, "new") == ("UNAVAILABLE", "NameError: name 'y' is not defined")
    assert server.dataplane.readiness.problem() is None
    write("bare", colour="red")
    look(server)
    assert row(server, "bare")[0] == "UNAVAILABLE"


def test_a_model_of_the_start_that_is_removed_is_not_missed(serve, write):
    folder = write("m")
    write("other")
    server = serve()
    shutil.rmtree(folder)
    look(server)
    assert server.dataplane.readiness.problem() is None


def test_versions_come_and_go(serve, write):
    write("m/1", 1)
    server = serve()
    folder = write("m/2", 2)
    look(server)
    assert answer(server) == 2
    assert answer(server, version="1") == 1
    shutil.rmtree(folder)
    look(server)
    assert answer(server) == 1


def test_a_model_that_is_renamed_has_its_new_name_only(serve, write):
    write("m")
    server = serve()
    write("m", name="n")
    look(server)
    assert answer(server, "n") == 1
    assert answer(server).startswith("No model is called 'm'.")


def test_defaults_for_all_models_are_everybodys_settings(serve, write, tmp_path, caplog):
    write("a")
    write("b")
    put(tmp_path / "models" / "model-settings.json", '{"platform": "one"}')
    server = serve()
    put(tmp_path / "models" / "model-settings.json", '{"platform": "two"}')
    look(server)
    assert [model.settings.platform for model in server.registry.models()] == ["two", "two"]

    caplog.clear()
    put(tmp_path / "models" / "model-settings.json", "{")
    look(server)
    assert caplog.messages[0].startswith("The models go on as they are: ")
    assert answer(server, "a") == 1


def test_the_models_in_a_model_are_not_its_own_files(serve, write, caplog):
    write(".", name="outer")
    write("inner")
    server = serve()
    write("inner", 2)
    look(server)
    assert answer(server, "inner") == 2
    assert not any(message.startswith("Model 'outer'") for message in caplog.messages)
    write(".", 3, name="outer")
    look(server)
    assert answer(server, "outer") == 3


def test_models_dir_is_looked_at_too(serve, write, tmp_path):
    further = tmp_path / "further"
    further.mkdir()
    server = serve(models_dir=further)
    write("../further/m", 4)
    look(server)
    assert answer(server) == 4


def test_what_a_model_writes_while_it_loads_does_not_load_it_again(serve, write, caplog):
    write("m", load="(self.settings.folder / 'cache.bin').write_text('x')")
    server = serve()
    look(server)
    write("m", 2, load="(self.settings.folder / 'cache.bin').write_text('xx')")
    look(server)
    caplog.clear()
    look(server)
    assert caplog.messages == []


def test_an_edit_during_the_load_is_not_missed(serve, write, tmp_path):
    folder = write("m", "SIZE", more="from sizes import SIZE")
    put(folder / "sizes.py", "SIZE = 1\n")
    write("the-last", load="(self.settings.folder.parent / 'm' / 'sizes.py').write_text('SIZE = 22')")
    server = serve()
    look(server)
    assert answer(server) == 22


@pytest.mark.parametrize(
    "text, sentence",
    [
        ('{"http_port": 9, "workers": 3}', "settings.json has changed (http_port, workers), and the server goes by"),
        ('{"workrs": 3}', "'workrs' is not a setting of srv. Did you mean 'workers'?"),
    ],
    ids=["changed", "broken"],
)
def test_a_change_of_the_servers_settings_is_told(serve, write, tmp_path, caplog, text, sentence):
    write("m")
    server = serve()
    put(tmp_path / "models" / "settings.json", text)
    look(server)
    assert [sentence in message for message in caplog.messages] == [True]


def test_settings_that_say_the_same_need_no_word(serve, write, tmp_path, caplog):
    server = serve()
    put(tmp_path / "models" / "settings.json", '{"workers": 1}')
    look(server)
    assert caplog.messages == []


RUNTIME = "from srv import Runtime\nclass R(Runtime):\n    def predict(self, request):\n        return [{}]\n"


@pytest.fixture
def site(tmp_path):
    with installed_in(tmp_path / "site") as made:
        made.folder.mkdir()
        made.add("srv-acme", "[srv.runtimes]\nacme = acme_dev:R\n", modules={"acme_dev": RUNTIME.format(1)})
        yield made


def test_a_package_that_is_being_developed_is_read_by_new_workers(serve, write, site, caplog):
    put(site.folder.parent / "models" / "m" / "model-settings.json", '{"runtime": "acme"}')
    server = serve()
    put(site.folder / "acme_dev.py", RUNTIME.format(2))
    look(server)
    assert server.renewed == [True]
    assert answer(server) == [1]
    assert any(message.endswith("acme_dev.py has changed, and new workers read it.") for message in caplog.messages)
    look(server)
    assert server.renewed == [True]


def test_a_package_is_watched_before_it_is_imported(serve, write, site):
    server = serve()
    put(site.folder / "acme_dev.py", RUNTIME.format(2))
    look(server)
    assert server.renewed == [True]
    assert "acme_dev" not in sys.modules


def test_what_a_model_imports_from_elsewhere_is_watched(serve, write, site):
    put(site.folder / "shared" / "__init__.py", "SIZE = 1\n")
    write("m", "shared.SIZE", more="import shared")
    server = serve()
    look(server)
    put(site.folder / "shared" / "deep" / "more.py", "")
    put(site.folder / "shared" / "notes.txt", "")
    look(server)
    assert server.renewed == [True]


def test_installed_packages_and_srv_itself_are_not_watched(serve, write):
    server = serve()
    places = {area.path for area in server.reload._packages.areas()}
    assert not any("site-packages" in str(place) or str(place).startswith(sys.prefix) for place in places)
    assert not any(place.is_relative_to(Path(srv.__file__).parent) for place in places)


def test_a_worker_with_less_than_served_takes_nobodys_place(serve, write):
    write("m", load="return y")
    write("n")
    server = serve()
    server.reload.check([("n", None), ("gone", None)])
    with pytest.raises(SrvError, match=r"Model 'm' could not be loaded: NameError: name 'y' is not defined"):
        server.reload.check([("m", None)])


def test_a_worker_whose_package_is_broken_takes_nobodys_place(serve, write, site):
    put(site.folder / "acme_dev.py", "def")
    put(site.folder.parent / "models" / "m" / "model-settings.json", '{"runtime": "acme"}')
    server = serve()
    with pytest.raises(PluginBroken, match="SyntaxError"):
        server.reload.check([])


def test_authors_have_one_worker_and_wait_for_what_is_broken(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    settings = for_authors(read_server_settings(tmp_path, flags={"workers": 3}, environ={}))
    assert (settings.workers, settings.on_load_error) == (1, "continue")
    assert settings.notes == ("With --reload one worker serves, not 3 (--workers).",)
    assert sys.dont_write_bytecode

    settings = for_authors(read_server_settings(tmp_path, flags={"on_load_error": "exit"}, environ={}))
    assert settings.on_load_error == "exit"
    assert settings.notes == ()


# -- the default runtime ----------------------------------------------------------------------------------------------


@pytest.fixture
def with_default(tmp_path, write):
    """A default runtime in the root, a model of it, and a model with a class of its own."""
    root = tmp_path / "models"
    put(root / "models.py", answers(1))
    put(root / "model-settings.json", '{"implementation": "models.M"}')
    put(root / "m" / "model-settings.json", "{}")
    write("own", answer=5)
    return root


def test_an_edit_of_the_default_runtime_loads_its_models_again_and_no_others(serve, with_default, caplog):
    server = serve()
    assert (answer(server), answer(server, "own")) == (1, 5)
    put(with_default / "models.py", answers(2))

    look(server)

    assert (answer(server), answer(server, "own")) == (2, 5)
    assert "models.py has changed: loading model 'm' again." in caplog.text
    assert "loading model 'own' again" not in caplog.text


def test_a_broken_default_runtime_leaves_its_models_as_they_were_and_names_the_line(serve, with_default, caplog):
    server = serve()
    put(with_default / "models.py", answers(2).replace("pass", "1 / 0"))

    look(server)

    assert answer(server) == 1
    assert "Model 'm' goes on as it was: ZeroDivisionError: division by zero (models.py, line 6)" in caplog.text


def test_files_beside_the_default_runtime_that_are_no_code_load_nothing_again(serve, with_default, caplog):
    server = serve()
    put(with_default / "notes.txt", "x")

    look(server)

    assert "again" not in caplog.text


def test_an_edit_in_a_folder_that_the_operator_has_linked_loads_its_model_again(serve, write, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    write("m").rename(elsewhere)
    (tmp_path / "models" / "m").symlink_to(elsewhere)
    server = serve(follow_links=True)
    assert answer(server) == 1
    put(elsewhere / "models.py", answers(2))

    look(server)

    assert answer(server) == 2

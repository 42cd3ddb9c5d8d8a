"""`srv migrate`: MLServer's settings as srv's, what changes and why, and files that are written whole or not at all."""

import json

import pytest

from srv.cli import run

SKLEARN = {"name": "iris", "implementation": "mlserver_sklearn.SKLearnModel", "parameters": {"uri": "./model.joblib"}}


@pytest.fixture
def folder(tmp_path):
    def write(**files):
        for name, content in files.items():
            path = tmp_path / name.replace("__", "/")
            path = path.with_name("settings.json") if path.name == "server" else path / "model-settings.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content if isinstance(content, str) else json.dumps(content))
        return tmp_path

    return write


def migrated(capsys, folder, *options):
    assert run(["migrate", str(folder), "--json", *options]) == 0
    said = json.loads(capsys.readouterr().out)
    return {each["file"]: each for each in said["files"]}, said


def test_each_key_is_said_with_what_it_becomes_and_why(folder, capsys):
    served = folder(server={"debug": True, "http_port": 9000, "kafka_enabled": False, "host": "127.0.0.1"})

    files, _ = migrated(capsys, served)

    assert files["settings.json"]["settings"] == {"log_level": "debug", "http_port": 9000, "host": "127.0.0.1"}
    assert [(step["key"], step["to"], step["why"]) for step in files["settings.json"]["steps"]] == [
        ("debug", "log_level", "srv's name of it"),
        ("kafka_enabled", None, "srv has nothing like it"),
    ]


def test_a_server_without_a_host_goes_on_listening_on_all_addresses(folder, capsys):
    files, _ = migrated(capsys, folder(server={}))

    assert files["settings.json"]["settings"] == {"host": "0.0.0.0"}
    assert "srv on 127.0.0.1" in files["settings.json"]["steps"][0]["why"]
    assert any("'model_control'" in note for note in files["settings.json"]["notes"])


def test_an_official_runtime_becomes_srvs_own_with_its_package(folder, capsys):
    files, said = migrated(capsys, folder(iris=SKLEARN | {"versions": ["sklearn/1.0"], "max_batch_time": "0.5"}))

    assert files["iris/model-settings.json"]["settings"] == {
        "name": "iris",
        "runtime": "sklearn",
        "parameters": {"uri": "./model.joblib"},
        "max_batch_time": 0.5,
    }
    assert said["packages"] == ["srv-sklearn"]


@pytest.mark.parametrize("implementation", ["models.Mine", "mlserver_alibi_detect.AlibiDetectRuntime"])
def test_another_class_stays_and_needs_srv_mlserver(folder, capsys, implementation):
    files, said = migrated(capsys, folder(mine={"implementation": implementation}))

    assert files["mine/model-settings.json"]["changes"] is False
    assert implementation in files["mine/model-settings.json"]["notes"][0]
    assert said["packages"] == ["srv-mlserver"]


def test_a_module_of_the_folders_own_that_is_called_as_mlservers_is_a_class_of_yours(folder, capsys):
    served = folder(iris=SKLEARN)
    (served / "iris" / "mlserver_sklearn.py").write_text("")

    files, _ = migrated(capsys, served)

    assert files["iris/model-settings.json"]["changes"] is False


def test_values_that_mean_nothing_and_keys_that_nobody_knows_go(folder, capsys):
    said = {"implementation": "a.B", "name": "", "parameters": {"uri": "", "extra": None, "weight": 1}, "inputs": []}

    files, _ = migrated(capsys, folder(a=said))

    assert files["a/model-settings.json"]["settings"] == {"implementation": "a.B", "parameters": {}}
    assert [step["key"] for step in files["a/model-settings.json"]["steps"]] == ["parameters.weight"]


def test_a_folder_too_deep_for_srv_is_noted(folder, capsys):
    files, _ = migrated(capsys, folder(a__b__c={"implementation": "a.B"}))
    assert any("move this folder up" in note for note in files["a/b/c/model-settings.json"]["notes"])


def test_nothing_is_written_without_the_word(folder, capsys):
    served = folder(iris=SKLEARN)
    before = (served / "iris" / "model-settings.json").read_text()

    migrated(capsys, served)

    assert (served / "iris" / "model-settings.json").read_text() == before
    assert [path.name for path in (served / "iris").iterdir()] == ["model-settings.json"]


def test_what_is_written_is_srvs_and_mlservers_files_stay_beside_it(folder, capsys):
    served = folder(server={"debug": False}, iris=SKLEARN)

    _, said = migrated(capsys, served, "--write")

    assert json.loads((served / "settings.json").read_text()) == {"log_level": "info", "host": "0.0.0.0"}
    assert json.loads((served / "settings.json.mlserver").read_text()) == {"debug": False}
    assert json.loads((served / "iris" / "model-settings.json.mlserver").read_text()) == SKLEARN
    assert said["written"] is True
    assert len(said["kept"]) == 2

    files, said = migrated(capsys, served, "--write")
    assert [each["changes"] for each in files.values()] == [False, False]
    assert said["kept"] == []


def test_a_file_that_was_kept_before_is_never_overwritten(folder, capsys):
    served = folder(server={"debug": False}, iris=SKLEARN)
    (served / "iris" / "model-settings.json.mlserver").write_text("mine")

    assert run(["migrate", str(served), "--write"]) == 1

    assert "model-settings.json.mlserver would be overwritten" in capsys.readouterr().err
    assert (served / "iris" / "model-settings.json.mlserver").read_text() == "mine"
    assert json.loads((served / "settings.json").read_text()) == {"debug": False}


@pytest.mark.parametrize(
    "content, words",
    [
        ("{", "iris/model-settings.json, line 1"),
        ('{"implementation": "mlserver_sklearn.SKLearnModel", "max_batch_size": "many"}', "'max_batch_size' must be"),
        (
            '{"implementation": "a.B", "inputs": [{"name": "x", "datatype": "FLOAT"}]}',
            "'inputs[0].datatype' must be one of",
        ),
    ],
)
def test_a_file_that_nobody_could_serve_is_told_and_nothing_is_written(folder, capsys, content, words):
    served = folder(server={"debug": False}, iris=content)

    assert run(["migrate", str(served), "--write"]) == 1

    assert words in capsys.readouterr().err
    assert json.loads((served / "settings.json").read_text()) == {"debug": False}


def test_a_folder_without_settings_and_one_that_is_not_there_are_told(tmp_path, capsys):
    assert run(["migrate", str(tmp_path)]) == 1
    assert "neither a settings.json nor a model-settings.json" in capsys.readouterr().err
    assert run(["migrate", str(tmp_path / "no")]) == 1
    assert "is not there" in capsys.readouterr().err


def test_a_section_of_a_plugin_stays(folder, capsys):
    files, _ = migrated(capsys, folder(server={"host": "127.0.0.1", "cache": {"models": ["a"]}, "debug": True}))
    assert files["settings.json"]["settings"]["cache"] == {"models": ["a"]}

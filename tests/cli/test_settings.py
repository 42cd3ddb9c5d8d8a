import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from srv.cli import cli, run
from srv.cli.options import FLAGS, given_flags
from srv.settings.schemas import ServerSchema


@pytest.fixture
def srv(tmp_path, monkeypatch):
    """Run the command line in a folder with this settings.json and an environment without settings."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "settings.json").write_text('{"workers": 2, "http_port": 1, "plugins": {"disable": ["noisy"]}}')

    def run(*arguments, **environ):
        return CliRunner(env=environ).invoke(cli, arguments)

    return run


def lines(result):
    return {line.split()[0]: line.split(maxsplit=2)[1:] for line in result.stdout.splitlines()}


def test_every_setting_is_shown_with_its_value_and_where_it_came_from(srv):
    result = srv("settings", "--http-port", "3", SRV_LOG_LEVEL="debug", SRV_MODEL__RUNTIME="sklearn")
    shown = lines(result)
    assert result.exit_code == 0
    assert shown["http_port"] == ["3", "--http-port"]
    assert shown["log_level"] == ["debug", "SRV_LOG_LEVEL"]
    assert shown["workers"] == ["2", "settings.json"]
    assert shown["threads"] == ["16", "default"]
    assert shown["models_dir"] == ["null", "default"]
    assert shown["root_path"] == ['""', "default"]
    assert shown["plugins.disable"] == ['["noisy"]', "settings.json"]
    assert shown["plugins.strict"] == ["false", "default"]
    assert shown["model.runtime"] == ["sklearn", "SRV_MODEL__RUNTIME"]
    assert {key.partition(".")[0] for key in shown} == {*ServerSchema().fields, "model"}


def test_the_columns_are_aligned(srv):
    starts = {line.index(line.split()[1]) for line in srv("settings").stdout.splitlines()}
    assert len(starts) == 1


def test_programs_get_json(srv, tmp_path):
    shown = json.loads(srv("settings", str(tmp_path), "--json").stdout)
    assert shown["workers"] == {"value": 2, "origin": str(tmp_path / "settings.json")}
    assert shown["request_timeout"] == {"value": 60, "origin": "default"}
    assert shown["plugins.prefer"] == {"value": {}, "origin": "default"}


def test_what_the_environment_says_in_vain_is_told_on_stderr(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("SRV_WORKRS", "3")

    assert run(["settings", str(tmp_path)]) == 0
    assert capsys.readouterr().err == "SRV_WORKRS is not a setting of srv and is ignored. Did you mean 'SRV_WORKERS'?\n"


@pytest.mark.parametrize(
    "arguments",
    [["--http-port", "abc"], ["--log-format", "xml"], ["--no-such-flag"], [".", "more"]],
    ids=" ".join,
)
def test_a_flag_that_is_none_is_wrong_usage(srv, arguments):
    assert srv("settings", *arguments).exit_code == 2


#: What each flag takes, as it is given and as the setting is then.
TAKEN = {
    "host": [("0.0.0.0", "0.0.0.0"), ("localhost", "localhost"), ("::1", "::1"), ("unix:/tmp/x", "unix:/tmp/x")],
    "http_port": [("0", 0), ("65535", 65535), ("+80", 80), (" 80 ", 80)],
    "grpc_port": [("null", None), ("0", 0), ("9000", 9000)],
    "workers": [("1", 1), ("64", 64)],
    "threads": [("1", 1), ("64", 64)],
    "worker_class": [("srv", "srv"), ("gthread", "gthread")],
    "models_dir": [("null", None), (".", "."), ("./null", "null")],
    "on_load_error": [("exit", "exit"), ("continue", "continue")],
    "request_timeout": [("60", 60), ("0.5", 0.5), (".5", 0.5), ("5.", 5), ("1e1", 10), (" 2 ", 2)],
    "graceful_timeout": [("0", 0), ("2.5", 2.5)],
    "log_level": [(word, word) for word in ("debug", "info", "warning", "error", "critical")],
    "log_format": [("text", "text"), ("json", "json")],
    "access_log": [(True, True), (False, False)],
}


def flag_of(setting, text):
    name = setting.replace("_", "-")
    return [f"--{name}" if text else f"--no-{name}"] if isinstance(text, bool) else [f"--{name}", text]


@pytest.mark.parametrize("command", ["settings", "check", "start"])
@pytest.mark.parametrize(
    "setting, text, value", [(setting, *pair) for setting, pairs in TAKEN.items() for pair in pairs], ids=str
)
def test_a_flag_takes_what_its_help_and_its_setting_take(srv, tmp_path, monkeypatch, command, setting, text, value):
    (tmp_path / "null").mkdir()
    (tmp_path / "settings.json").write_text('{"grpc_port": 1, "models_dir": "."}')
    read = []
    monkeypatch.setattr("srv.serve.launcher.serve", lambda settings, *_, **__: read.append(settings))
    monkeypatch.setattr("srv.cli.check.check_sections", lambda settings, *_: read.append(settings))

    result = srv(command, *flag_of(setting, text), *(["--json"] if command == "settings" else []))

    assert result.exit_code == 0, result.output
    if command == "settings":
        shown = json.loads(result.stdout)[setting]
        assert (shown["value"], shown["origin"]) == (value, flag_of(setting, text)[0].replace("--no-", "--"))
    else:
        found = getattr(read[0], setting)
        assert (str(found) if isinstance(found, Path) else found) == value


def test_every_flag_has_its_values_here():
    assert set(TAKEN) == set(FLAGS)


@pytest.mark.parametrize(
    "setting, text",
    [
        ("http_port", "null"),
        ("http_port", "8080.0"),
        ("grpc_port", "none"),
        ("grpc_port", ""),
        ("workers", "true"),
        ("request_timeout", "null"),
        ("request_timeout", "1 s"),
        ("log_level", "loud"),
    ],
)
def test_a_flag_refuses_what_its_setting_does_not_take_as_wrong_usage(srv, setting, text):
    result = srv("settings", *flag_of(setting, text))

    assert result.exit_code == 2
    assert f"Invalid value for '--{setting.replace('_', '-')}'" in result.output


def test_every_flag_is_a_setting():
    assert set(FLAGS) <= ServerSchema().fields.keys()


def test_only_flags_that_were_given_count(srv):
    assert given_flags({"folder": ".", "http_port": 0, "access_log": False, "host": None}) == {
        "http_port": 0,
        "access_log": False,
    }
    assert lines(srv("settings", "--no-access-log"))["access_log"] == ["false", "--access-log"]


def test_the_help_has_an_example_and_says_what_each_flag_means(srv):
    shown = srv("settings", "--help").stdout
    assert "srv settings models --json" in shown
    assert "--http-port" in shown
    assert "The port of REST" in shown


def test_values_of_plugins_and_extra_are_hidden_because_they_may_be_secrets(tmp_path, srv):
    # After the fixture, which has written other settings.
    (tmp_path / "settings.json").write_text('{"keys": {"ci": "correct horse battery staple"}}')
    environ = {"SRV_MODEL__PARAMETERS__EXTRA": '{"token": "hush"}'}

    for flags in ([], ["--json"]):
        shown = srv("settings", *flags, **environ).stdout
        assert "keys.ci" in shown
        assert "token" in shown
        assert "(hidden)" in shown
        assert "horse" not in shown
        assert "hush" not in shown

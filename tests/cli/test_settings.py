import json

import pytest
from click.testing import CliRunner

from srv.cli import cli
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


def test_what_the_environment_says_in_vain_is_told_on_stderr(srv):
    result = srv("settings", SRV_WORKRS="3")
    assert result.stderr == "SRV_WORKRS is not a setting of srv and is ignored. Did you mean 'SRV_WORKERS'?\n"


@pytest.mark.parametrize(
    "arguments",
    [["--http-port", "abc"], ["--log-format", "xml"], ["--no-such-flag"], [".", "more"]],
    ids=" ".join,
)
def test_a_flag_that_is_none_is_wrong_usage(srv, arguments):
    assert srv("settings", *arguments).exit_code == 2


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

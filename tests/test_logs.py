"""The one logging configuration."""

import json
import logging

import pytest

from srv import logs
from srv.counts import Stages


@pytest.fixture
def said(capsys):
    """What is logged, after a configuration that does not outlive the test."""
    root = logging.getLogger()
    handlers, level, access = list(root.handlers), root.level, logs.ACCESS.level
    yield lambda: capsys.readouterr().err
    root.handlers[:] = handlers
    root.setLevel(level)
    logs.ACCESS.setLevel(access)
    logging.captureWarnings(capture=False)


def test_lines_of_text_have_time_level_process_logger_and_message(said):
    logs.configure()
    logging.getLogger("srv.some").warning("it is %s", "so")
    line = said()
    assert line.endswith("] srv.some: it is so\n")
    assert " WARNING [" in line


def test_lines_of_json_hold_what_text_cannot(said):
    logs.configure(form="json")
    try:
        raise ValueError('a "quoted"\nword')
    except ValueError:
        logging.getLogger("srv.some").exception("it failed: %s", {"key": object})
    (line,) = map(json.loads, said().splitlines())
    assert (line["level"], line["logger"]) == ("ERROR", "srv.some")
    assert 'ValueError: a "quoted"\nword' in line["exception"]


def test_a_second_configuration_replaces_the_first_and_leaves_strangers(said):
    stranger = logging.NullHandler()
    logging.getLogger().addHandler(stranger)
    logs.configure()
    logs.configure(level="error")
    logging.getLogger("srv.some").error("once")
    assert said().count("once") == 1
    assert stranger in logging.getLogger().handlers


def test_an_answer_is_one_line_with_all_that_is_known(said):
    logs.configure()
    logs.access_log("POST", "/v2/models/iris/infer", 200, 0.00123, "abc", model="iris", outcome="success")
    assert said().endswith("srv.access: POST /v2/models/iris/infer 200 1.2 ms id=abc model=iris outcome=success\n")


def test_an_answer_as_json_has_its_parts_as_fields(said):
    logs.configure(form="json")
    logs.access_log("GET", "/v2", 404, 0.5, "abc")
    line = json.loads(said())
    parts = ("method", "path", "status", "duration_ms", "request_id")
    assert [line[name] for name in parts] == ["GET", "/v2", 404, 500.0, "abc"]
    assert "model" not in line


def test_an_answer_of_a_model_says_where_the_time_went(said):
    stages = Stages(queue=2_500_000, input=1_000_000, infer=3_000_000, output=250_000)
    for form in ("text", "json"):
        logs.configure(form=form)
        logs.access_log("POST", "/v2/models/iris/infer", 200, 0.0123, "abc", model="iris", stages=stages)
    text, line = said().splitlines()
    assert text.endswith("200 12.3 ms id=abc model=iris queue=2.5 compute=4.2")
    assert (json.loads(line)["queue_ms"], json.loads(line)["compute_ms"]) == (2.5, 4.25)


def test_a_client_cannot_write_lines_of_its_own(said):
    logs.configure()
    logs.access_log("GET", "/a\r\nINFO forged\u2028", 404, 0.1, "i\nd")
    (line,) = said().splitlines()
    assert r"/a\x0d\x0aINFO forged\x2028" in line


def test_the_access_log_goes_when_it_is_not_wanted(said):
    logs.configure(access_log=False)
    logs.access_log("GET", "/v2", 200, 0.1, "abc")
    assert said() == ""


def test_what_everyone_must_see_is_shown_at_any_level(said):
    logs.configure(level="critical")
    logs.announce(logging.getLogger("srv.serve"), "serving on http://here")
    assert "serving on http://here" in said()


def test_gunicorn_writes_the_same_lines_and_keeps_its_talk_for_those_who_debug(said):
    logs.configure()
    log = logs.GunicornLog(None)
    log.info("Booting worker")
    log.debug("config")
    log.error("it %s", "broke")
    (line,) = said().splitlines()
    assert line.endswith("gunicorn: it broke")


@pytest.mark.parametrize(
    "method", [name for name in dir(__import__("gunicorn.glogging").glogging.Logger) if name[0] != "_"]
)
def test_gunicorns_logger_has_nothing_that_ours_lacks_and_gunicorn_calls(method):
    internal = {
        "LOG_LEVELS",
        "access_fmt",
        "atoms",
        "atoms_wrapper_class",
        "datefmt",
        "error_fmt",
        "loglevel",
        "now",
        "syslog_fmt",
    }
    assert method in internal or hasattr(logs.GunicornLog, method)

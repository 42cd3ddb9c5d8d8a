"""The one logging configuration."""

import json
import logging
import subprocess
import sys
import threading
import warnings

import pytest

from srv import logs
from srv.access_log import ACCESS, access_log
from srv.errors import Stopped
from srv.metrics_types import Stages
from srv.safe_logging import StderrHandler


@pytest.fixture
def said(capsys, monkeypatch):
    """What is logged, after a configuration that does not outlive the test."""
    monkeypatch.setattr(logging, "raiseExceptions", logging.raiseExceptions)
    for name in ("handle", "callHandlers", "makeRecord"):
        monkeypatch.setattr(logging.Logger, name, getattr(logging.Logger, name))
    root = logging.getLogger()
    handlers, level, access = list(root.handlers), root.level, ACCESS.level
    yield lambda: capsys.readouterr().err
    root.handlers[:] = handlers
    root.setLevel(level)
    ACCESS.setLevel(access)
    logging.captureWarnings(capture=False)


def test_lines_of_text_have_time_level_process_logger_and_message(said):
    logs.configure()
    logging.getLogger("srv.some").warning("it is %s", "so")
    line = said()
    assert line.endswith("] srv.some: it is so\n")
    assert " WARNING [" in line


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_warning_of_python_leaves_no_empty_line(said, form):
    logs.configure(form=form)
    warnings.showwarning("it is old", UserWarning, "some.py", 1, line="call()")
    text = said()
    assert "some.py:1: UserWarning: it is old" in text
    assert not text.endswith(("\n\n", '\\n"}\n'))


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
    access_log("POST", "/v2/models/iris/infer", 200, 0.00123, "abc", model="iris", outcome="success")
    assert said().endswith("srv.access: POST /v2/models/iris/infer 200 1.2 ms id=abc model=iris outcome=success\n")


def test_an_answer_as_json_has_its_parts_as_fields(said):
    logs.configure(form="json")
    access_log("GET", "/v2", 404, 0.5, "abc")
    line = json.loads(said())
    parts = ("method", "path", "status", "duration_ms", "request_id")
    assert [line[name] for name in parts] == ["GET", "/v2", 404, 500.0, "abc"]
    assert "model" not in line


def test_an_answer_of_a_model_says_where_the_time_went(said):
    stages = Stages(queue=2_500_000, input=1_000_000, infer=3_000_000, output=250_000)
    for form in ("text", "json"):
        logs.configure(form=form)
        access_log("POST", "/v2/models/iris/infer", 200, 0.0123, "abc", model="iris", stages=stages)
    text, line = said().splitlines()
    assert text.endswith("200 12.3 ms id=abc model=iris queue=2.5 compute=4.2")
    assert (json.loads(line)["queue_ms"], json.loads(line)["compute_ms"]) == (2.5, 4.25)


def test_a_client_cannot_write_lines_of_its_own(said):
    logs.configure()
    access_log("GET", "/a\r\nINFO forged\u2028", 404, 0.1, "i\nd")
    (line,) = said().splitlines()
    assert r"/a\x0d\x0aINFO forged\x2028" in line


FORGED = "2026-01-01T00:00:00.000+00:00 INFO    [1] srv.access: POST /forged 200 0.1 ms id=x"
#: Clears a screen in either set of control characters, turns words around, and breaks lines.
HOSTILE = f"\x1b[2J\x9b2J\u202e\x7f\r\v\x85\u2028\r\n{FORGED}\n{FORGED}\ud800"


def log_hostile_text(field):
    log = logging.getLogger(f"model.{HOSTILE}" if field == "logger" else "model.m")
    if field == "exception":
        try:
            raise ValueError(HOSTILE)
        except ValueError:
            log.exception("it failed")
    elif field == "stack":
        log.handle(log.makeRecord(log.name, 30, "", 0, "it failed", (), None, sinfo=HOSTILE))
    elif field in ("method", "path", "request_id", "model", "outcome", "reason"):
        known = {"method": "GET", "path": "/", "status": 200, "seconds": 0.1, "request_id": "a"}
        access_log(**{**known, field: HOSTILE})
    else:
        log.warning(HOSTILE if field == "message" else "it failed: %s", *([HOSTILE] if field == "argument" else []))


FIELDS = ["message", "argument", "exception", "stack", "logger", "method", "path", "request_id", "model", "outcome"]


@pytest.mark.parametrize("form", ["text", "json"])
@pytest.mark.parametrize("field", [*FIELDS, "reason"])
def test_no_field_of_a_record_writes_lines_of_its_own_or_moves_the_cursor(said, form, field):
    logs.configure(form=form)
    log_hostile_text(field)

    first, *more = said().splitlines()

    for line in (first, *more):
        assert line.replace("\t", "").isprintable()
    assert all(line.startswith("| ") for line in more)
    assert field in ("message", "argument", "exception", "stack", "logger") or not more
    if form == "json":
        assert not more
        assert FORGED in json.dumps(json.loads(first))


def test_a_message_of_several_lines_stays_readable_and_each_further_line_has_a_mark(said):
    logs.configure()
    logging.getLogger("model.m").info("a table\na\tb\n1\t2\n")
    first, *more = said().splitlines()
    assert first.endswith("model.m: a table")
    assert more == ["| a\tb", "| 1\t2"]


def test_the_access_log_goes_when_it_is_not_wanted(said):
    logs.configure(access_log=False)
    access_log("GET", "/v2", 200, 0.1, "abc")
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


class Raising(logging.Handler):
    """A handler and a filter whose backend is down."""

    def __init__(self, error):
        super().__init__()
        self.error = error

    def emit(self, record):
        raise self.error

    def filter(self, record):
        raise self.error


class Overriding(Raising):
    def filter(self, record):
        return True

    def handle(self, record):
        raise self.error


FAILURES = [
    ConnectionError("it is down"),
    SystemExit(3),
    KeyboardInterrupt(),
    GeneratorExit(),
    BaseException("a panic"),
]


@pytest.fixture
def stranger():
    """Puts a handler or a filter of a user's anywhere, and takes it away again."""
    undo = []

    def put(owner, part):
        add, remove = (
            (owner.addHandler, owner.removeHandler)
            if isinstance(part, logging.Handler) and isinstance(owner, logging.Logger)
            else (owner.addFilter, owner.removeFilter)
        )
        add(part)
        undo.append(lambda: remove(part))

    yield put
    for each in undo:
        each()


def in_a_thread(call):
    """Call in a thread of a worker's: in the main thread a KeyboardInterrupt is a signal's."""
    raised = []

    def run():
        try:
            call()
        except BaseException as error:  # noqa: BLE001  the thread hands it over
            raised.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return raised


@pytest.mark.parametrize("error", FAILURES, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("kind", [Raising, Overriding])
@pytest.mark.parametrize("logger", ["", "srv", "srv.access"])
def test_a_handler_that_raises_is_told_of_and_costs_no_line(said, stranger, error, kind, logger):
    logs.configure()
    stranger(logging.getLogger(logger), kind(error))

    assert in_a_thread(lambda: access_log("GET", "/a", 200, 0.1, "i")) == []
    assert in_a_thread(lambda: access_log("GET", "/b", 200, 0.1, "i")) == []

    text = said()
    assert "GET /a" in text
    assert "GET /b" in text
    assert text.count(f"Logging: {kind.__name__} raised {type(error).__name__}") == 1


@pytest.mark.parametrize("owner", [logging.getLogger("srv.access"), "handler"], ids=["logger", "srv's own handler"])
def test_a_filter_that_raises_costs_no_line(said, stranger, owner):
    logs.configure()
    owner = (
        next(each for each in logging.getLogger().handlers if isinstance(each, StderrHandler))
        if owner == "handler"
        else owner
    )
    stranger(owner, Raising(AttributeError("user_id")))

    access_log("GET", "/a", 200, 0.1, "i")

    assert "GET /a" in said()


def test_a_record_factory_that_raises_costs_no_line(said):
    def factory(*arguments, **named):
        raise ConnectionError("it is down")

    logs.configure()
    before = logging.getLogRecordFactory()
    logging.setLogRecordFactory(factory)
    try:
        logging.getLogger("srv.some").error("it %s", "broke")
        access_log("GET", "/a", 200, 0.1, "i")
    finally:
        logging.setLogRecordFactory(before)

    text = said()
    assert "srv.some: it broke" in text
    assert "GET /a" in text


def test_a_line_that_cannot_be_formatted_says_so(said):
    class Unspeakable:
        def __str__(self):
            raise ConnectionError

    logs.configure()
    logging.getLogger("srv.some").error("%d of %s", "x", "y")
    logging.getLogger("srv.some").error(Unspeakable())

    first, second = said().splitlines()
    assert first.endswith("srv.some: %d of %s (not formatted: TypeError)")
    assert second.endswith("srv.some: Unspeakable (not formatted: ConnectionError)")


def test_an_error_by_which_a_signal_ends_the_process_passes(said, stranger):
    logs.configure()
    stranger(logging.getLogger(), Overriding(Stopped(0)))
    with pytest.raises(Stopped):
        logging.getLogger("srv.some").error("it broke")


@pytest.mark.parametrize("closing", ["sys.stderr.close()", "os.close(2)", "sys.stderr = None", "logging.shutdown()"])
def test_lines_go_on_after_stderr_was_closed(closing):
    code = f"""
import logging, os, sys
from srv import logs
from srv.errors import Stopped
logs.configure()
{closing}
if "close(2)" in {closing!r}:
    os.open(os.devnull, os.O_WRONLY)  # takes the number 2, as a client's connection would
logging.getLogger("srv.some").error("it broke")
"""
    ran = subprocess.run([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True, check=False)
    assert "srv.some: it broke" in ran.stderr

"""What all tests share: a test that says nothing else is a unit test."""

import functools
import signal
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings

# An example that takes long on a busy machine is no fault.
settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")

KINDS = {"e2e", "installed", "fuzz", "hostile", "images", "page"}


def pytest_configure():
    """Hear signals again that a CI system or nohup had ignored, because servers that tests start inherit that."""
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)


def pytest_ignore_collect(collection_path, config):
    """Import no file that has no test of the stage asked for; most files have unit tests only, and imports take long."""
    stage = config.option.markexpr
    if stage not in KINDS or not collection_path.match("test_*.py") or str(collection_path) in _named(config):
        return None
    return True if f"mark.{stage}" not in collection_path.read_text() else None


@functools.cache
def _named(config):
    """The files that somebody asked for by name: they are collected, so that pytest says what they have not."""
    return {str((config.invocation_params.dir / each.partition("::")[0]).resolve()) for each in config.args}


def pytest_collection_modifyitems(items):
    for item in items:
        if not KINDS.intersection(mark.name for mark in item.iter_markers()):
            item.add_marker(pytest.mark.unit)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport():
    """Write half an emoji in a log as an escape, because tests that run in several processes report in UTF-8."""
    report = yield
    report.sections = [(name, text.encode(errors="backslashreplace").decode()) for name, text in report.sections]
    return report


@pytest.fixture(autouse=True)
def signals_as_before():
    """Undo what a command that ran in this process has made of signals, because the next test may send one."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT)}
    yield
    for number, handler in before.items():
        if signal.getsignal(number) is not handler:
            signal.signal(number, handler)


@pytest.fixture
def site(tmp_path):
    """Give an empty site-packages on sys.path, to which a test adds distributions."""
    from distributions import installed_in

    with installed_in(tmp_path) as made:
        yield made


@pytest.fixture
def short_path():
    """A folder for Unix sockets, whose paths are limited: `tmp_path` is longer with each process and each user's name."""
    with tempfile.TemporaryDirectory(prefix="srv-test-", dir="/tmp") as folder:
        yield Path(folder)


@pytest.fixture
def figure(record_property):
    """Tell a measured figure: all of a run stand together at its end, also where several processes ran the tests."""
    return functools.partial(record_property, "figure")


def pytest_terminal_summary(terminalreporter):
    reports = [report for kind in ("passed", "failed") for report in terminalreporter.getreports(kind)]
    figures = [text for report in reports for name, text in report.user_properties if name == "figure"]
    if figures:
        terminalreporter.section("figures")
        for text in figures:
            terminalreporter.write_line(text)

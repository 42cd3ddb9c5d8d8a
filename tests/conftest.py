"""What all tests share: a test that says nothing else is a unit test."""

import functools
import signal

import pytest

KINDS = {"e2e", "installed", "fuzz", "hostile", "images"}


def pytest_configure():
    """Hear signals again that a CI system or nohup had ignored, because servers that tests start inherit that."""
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)


def pytest_collection_modifyitems(items):
    for item in items:
        if not KINDS.intersection(mark.name for mark in item.iter_markers()):
            item.add_marker(pytest.mark.unit)


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

"""What all tests share: a test that says nothing else is a unit test."""

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

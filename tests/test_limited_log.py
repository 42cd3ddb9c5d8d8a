import logging

import pytest

from srv import limited_log
from srv.limited_log import LimitedLog


@pytest.fixture
def clock(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(limited_log.time, "monotonic", lambda: now[0])
    return now


def test_the_first_line_comes_at_once_and_the_next_after_a_while_with_a_count_of_those_between(caplog, clock):
    lines = LimitedLog(logging.getLogger("some"), interval=10.0)

    for _ in range(30):
        lines.warning("it failed: %s.", "so")
    clock[0] += 10.0
    lines.warning("it failed: %s.", "again")
    clock[0] += 10.0
    lines.warning("it failed: %s.", "later")

    assert caplog.messages == [
        "it failed: so.",
        "it failed: again. (29 more such lines were left out.)",
        "it failed: later.",
    ]


def test_a_handler_that_raises_reaches_nobody(clock):
    class Raises(logging.Handler):
        def emit(self, record):
            raise RuntimeError

    logger = logging.getLogger("raising")
    logger.addHandler(Raises())

    LimitedLog(logger).warning("it failed")

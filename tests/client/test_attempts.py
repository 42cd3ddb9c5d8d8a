"""What is tried again: only what the server has not run, within the call's own time."""

import pytest

from srv.client import attempts
from srv.client.attempts import Attempts
from srv.client.failures import ConnectionLost, NoConnection, TimedOut, failure_of
from srv.errors import InvalidInput, ModelError, QueueFull


@pytest.fixture
def pauses(monkeypatch):
    """The pauses between attempts, which are not slept."""
    slept = []
    monkeypatch.setattr(attempts.time, "sleep", slept.append)
    return slept


def failing(*errors):
    """A call that fails with these, one after the other, and then answers; with the number of its attempts."""
    left = list(errors)

    def ask(seconds):
        ask.times += 1
        if left:
            raise left.pop(0)
        return "answer"

    ask.times = 0
    return ask


LOST = ConnectionLost("http://here", "reset")
FULL = failure_of(429, {"retry-after": "3"}, b"{}", "http://here")


@pytest.mark.parametrize(
    "error", [FULL, NoConnection("http://here", "refused"), failure_of(503, {}, b"", "u")], ids=repr
)
def test_what_the_server_had_no_room_for_is_tried_again(error, pauses):
    ask = failing(error, error)
    assert Attempts(2).call(ask, 60.0) == "answer"
    assert ask.times == 3
    assert len(pauses) == 2


def test_the_server_s_own_word_is_the_least_pause(pauses):
    Attempts(1).call(failing(FULL), 60.0)
    assert pauses == [3.0]


@pytest.mark.parametrize("error", [LOST, TimedOut("u", 1.0), ModelError("Oh."), InvalidInput("No.")], ids=repr)
def test_what_may_have_run_or_was_refused_is_not_tried_again(error, pauses):
    ask = failing(error)
    with pytest.raises(type(error)):
        Attempts(5).call(ask, 60.0)
    assert ask.times == 1


def test_a_lost_connection_is_tried_again_where_the_caller_says_so_or_nothing_changes(pauses):
    assert Attempts(1, lost=True).call(failing(LOST), 60.0) == "answer"
    assert Attempts(1).call(failing(LOST), 60.0, repeatable=True) == "answer"


def test_no_attempt_begins_that_the_call_s_time_has_no_room_for(pauses):
    ask = failing(FULL)
    with pytest.raises(QueueFull):
        Attempts(5).call(ask, 2.0)
    assert ask.times == 1

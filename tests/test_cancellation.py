import math
import time

import pytest

from srv.cancellation import NOBODY, Caller, ClientDeadline
from srv.errors import ClientLeft, DeadlinePassed
from srv.inner_caller import BatchCaller, InnerCaller
from srv.messages import InferenceRequest


def test_who_works_for_a_caller_hears_when_they_leave():
    caller, heard = Caller(), []
    caller.on_cancel(lambda: heard.append("stop"))

    caller.leave()

    assert caller.left
    assert heard == ["stop"]


def test_work_that_begins_after_the_caller_has_left_is_stopped_at_once():
    caller, heard = Caller(), []
    caller.leave()

    caller.on_cancel(lambda: heard.append("stop"))

    assert heard == ["stop"]


def test_work_that_has_ended_is_not_stopped():
    caller, heard = Caller(), []
    caller.on_cancel(lambda: heard.append("stop"))
    caller.on_cancel(None)

    caller.leave()

    assert heard == []


def test_nobody_keeps_nothing_for_others_to_stop():
    NOBODY.on_cancel(list)

    assert NOBODY._callback is None


@pytest.mark.parametrize(
    "change, error, sentence",
    [
        (lambda caller: caller.leave(), ClientLeft, "The client left"),
        (lambda caller: setattr(caller, "replaced", True), ClientLeft, "The client left"),
        (lambda caller: setattr(caller, "due", caller.received + 2.5), DeadlinePassed, "within its 2.5 seconds"),
        (
            lambda caller: setattr(caller, "due", ClientDeadline(caller.received + 2.5, 2.0)),
            DeadlinePassed,
            "within the 2 seconds that its client gave",
        ),
    ],
    ids=["left", "answered in its place", "late", "late by its own deadline"],
)
def test_a_request_is_abandoned_when_its_client_has_left_or_its_time_is_over(change, error, sentence):
    caller = Caller(time.monotonic() - 10)
    request = InferenceRequest([])
    request.caller = caller
    assert not request.is_abandoned()
    request.raise_if_abandoned()

    change(caller)

    assert request.is_abandoned()
    with pytest.raises(error, match=sentence):
        request.raise_if_abandoned()


@pytest.mark.parametrize("due", [math.inf, None], ids=["a stream that has begun", "nobody says"])
def test_a_request_without_an_end_of_its_time_is_not_late(due):
    caller = Caller(time.monotonic() - 10)
    caller.due = due

    assert not caller.is_abandoned()


def test_a_request_that_waited_past_its_deadline_is_late_though_its_client_has_left_too():
    caller = Caller(time.monotonic() - 10)
    caller.due = caller.received + 1
    caller.leave()

    with pytest.raises(DeadlinePassed):
        caller.raise_if_abandoned()


def test_a_warm_up_is_never_abandoned():
    request = InferenceRequest([])
    NOBODY.due = 0.0  # as another request without a client has left it

    assert not request.is_abandoned()
    request.raise_if_abandoned()


def test_a_batch_is_abandoned_when_all_its_requests_are():
    one, other = Caller(), Caller()
    batch = BatchCaller([one, other])

    one.leave()
    assert not batch.is_abandoned()
    other.replaced = True
    assert batch.is_abandoned()


def test_an_inner_request_is_abandoned_with_the_outer_one():
    outer = Caller()
    inner = InnerCaller(outer)
    assert not inner.is_abandoned()

    outer.leave()

    assert inner.is_abandoned()

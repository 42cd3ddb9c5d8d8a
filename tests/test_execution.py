import asyncio
import threading
import time
from concurrent.futures import CancelledError

import pytest

from srv.callers import NOBODY, Caller
from srv.execution import EventLoop, Places


@pytest.fixture
def loop():
    made = EventLoop()
    yield made
    made.close()


def waiting(places, outcomes, name, caller=NOBODY):
    """A thread that waits for a place, and waits already."""
    before = places.waiting
    thread = threading.Thread(target=lambda: outcomes.append((name, places.wait(10, caller))))
    thread.start()
    end = time.monotonic() + 10
    while places.waiting == before:
        assert time.monotonic() < end
        time.sleep(0.001)
    return thread


def test_places_are_given_in_turn_and_not_to_who_has_left():
    places, outcomes, leaver = Places(1), [], Caller()
    assert places.take()
    assert not places.take()
    threads = [waiting(places, outcomes, "first"), waiting(places, outcomes, "leaver", leaver)]
    threads.append(waiting(places, outcomes, "last"))

    leaver.leave()
    threads[1].join(10)
    assert (outcomes, places.waiting) == ([("leaver", False)], 2)
    places.release()
    threads[0].join(10)
    places.release()
    threads[2].join(10)

    assert outcomes == [("leaver", False), ("first", True), ("last", True)]
    places.release()
    assert places.take()


def test_who_has_left_before_waiting_has_no_place():
    places, leaver = Places(1), Caller()
    places.take()
    leaver.leave()

    assert not places.wait(10, leaver)


def test_who_waits_too_long_has_no_place_and_takes_none():
    places = Places(1)
    places.take()

    assert not places.wait(0.01, NOBODY)

    places.release()
    assert places.take()


def test_a_coroutine_is_cancelled_when_its_caller_leaves(loop):
    caller, ended = Caller(), threading.Event()

    async def work():
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()

    threading.Timer(0.05, caller.leave).start()
    with pytest.raises(CancelledError):
        loop.run(work(), caller=caller)

    assert ended.wait(10)

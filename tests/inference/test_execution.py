import asyncio
import sys
import threading
import time
from concurrent.futures import CancelledError, ThreadPoolExecutor

import pytest

from srv.cancellation import NOBODY, Caller
from srv.inference.event_loop import EventLoopEnded, SharedEventLoop
from srv.inference.execution import Execution, ModelGone
from srv.inference.slots import Slots


def waiting(slots, outcomes, name, caller=NOBODY):
    """A thread that waits for a place, and waits already."""
    before = slots.waiting
    thread = threading.Thread(target=lambda: outcomes.append((name, slots.wait(10, caller))))
    thread.start()
    end = time.monotonic() + 10
    while slots.waiting == before:
        assert time.monotonic() < end
        time.sleep(0.001)
    return thread


def test_slots_are_given_in_turn_and_not_to_who_has_left():
    slots, outcomes, leaver = Slots(1), [], Caller()
    assert slots.acquire_now()
    assert not slots.acquire_now()
    threads = [waiting(slots, outcomes, "first"), waiting(slots, outcomes, "leaver", leaver)]
    threads.append(waiting(slots, outcomes, "last"))

    leaver.leave()
    threads[1].join(10)
    assert (outcomes, slots.waiting) == ([("leaver", False)], 2)
    slots.release()
    threads[0].join(10)
    slots.release()
    threads[2].join(10)

    assert outcomes == [("leaver", False), ("first", True), ("last", True)]
    slots.release()
    assert slots.acquire_now()


def test_who_has_left_before_waiting_has_no_slot():
    slots, leaver = Slots(1), Caller()
    slots.acquire_now()
    leaver.leave()

    assert not slots.wait(10, leaver)


def test_who_waits_too_long_has_no_slot_and_takes_none():
    slots = Slots(1)
    slots.acquire_now()

    assert not slots.wait(0.01, NOBODY)

    slots.release()
    assert slots.acquire_now()


def test_a_coroutine_is_cancelled_when_its_caller_leaves(loop):
    caller, ended = Caller(), threading.Event()

    async def work():
        threading.Thread(target=caller.leave).start()
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()

    with pytest.raises(CancelledError):
        loop.run(work(), caller=caller)

    assert ended.wait(10)


async def _raises(error):
    raise error


async def _raises_in_a_task_group(error):
    async with asyncio.TaskGroup() as group:
        group.create_task(_raises(error))
        group.create_task(asyncio.sleep(30))


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt()], ids=["sys.exit", "KeyboardInterrupt"])
@pytest.mark.parametrize("coroutine", [_raises, _raises_in_a_task_group])
def test_what_ends_a_program_ends_a_coroutine_and_no_loop(loop, coroutine, error):
    other = asyncio.run_coroutine_threadsafe(asyncio.sleep(0.05, "other"), loop.started().loop)

    with pytest.raises(type(error)):
        loop.run(coroutine(error), 10)

    assert other.result(10) == "other"
    assert loop.run(asyncio.sleep(0, "next"), 10) == "next"


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt()], ids=["sys.exit", "KeyboardInterrupt"])
def test_a_task_that_nobody_awaits_ends_no_loop(loop, error):
    async def spawns():
        asyncio.get_running_loop().call_soon(asyncio.ensure_future, _raises(error))

    loop.run(spawns(), 10)

    assert loop.run(asyncio.sleep(0.01, "next"), 10) == "next"


def test_an_unload_waits_for_the_last_request_and_lets_none_begin(loop):
    execution = Execution("m", concurrency=None, max_queue=10, timeout=60, loop=loop)
    execution.enter()
    execution.enter()
    ended = []
    unload = threading.Thread(target=lambda: ended.append(execution.wait_idle()))

    assert not execution.wait_idle(0.01)
    unload.start()
    with pytest.raises(ModelGone):
        execution.enter()
    execution.leave()
    assert not execution.wait_idle(0.01)
    assert ended == []
    execution.leave()
    unload.join(10)

    assert ended == [True]


@pytest.mark.parametrize("method", ["stop", "close"])
def test_a_model_can_neither_stop_nor_close_the_event_loop(loop, method):
    async def ends_the_loop():
        getattr(asyncio.get_running_loop(), method)()

    with pytest.raises(SharedEventLoop):
        loop.run(ends_the_loop(), 10)

    assert loop.run(asyncio.sleep(0, "next"), 10) == "next"


def test_a_callback_that_exits_or_stops_the_loop_in_its_own_way_ends_no_loop(loop, caplog):
    async def spawns():
        running = asyncio.get_running_loop()
        running.call_soon(sys.exit)
        running.call_soon(type(running).stop, running)

    loop.run(spawns(), 10)

    assert loop.run(asyncio.sleep(0.01, "next"), 10) == "next"
    assert "A task of an async model raised SystemExit; the event loop goes on." in caplog.text


def test_a_task_factory_that_raises_is_an_error_and_no_silence(loop):
    def factory(*_, **__):
        raise SystemExit

    async def sets():
        asyncio.get_running_loop().set_task_factory(factory)

    loop.run(sets(), 10)

    with pytest.raises(SystemExit):
        loop.run(asyncio.sleep(0), 10)


def breaks(running):
    """Have the loop's thread end, as it does where somebody has closed the loop's descriptors."""

    def run_once():
        raise OSError("Bad file descriptor")

    running.call(setattr, running.loop, "_run_once", run_once)


def test_another_event_loop_takes_the_slot_of_one_that_ends_and_nobody_waits_for_that(loop, caplog):
    first = loop.started()
    with ThreadPoolExecutor(1) as threads:
        waits = threads.submit(loop.run, asyncio.sleep(60), 60)
        waiting_until(lambda: loop.started()._runs)
        breaks(first)
        with pytest.raises(EventLoopEnded):
            waits.result(10)

    waiting_until(lambda: loop.started() is not first)
    assert loop.run(asyncio.sleep(0, "next"), 10) == "next"
    assert "The event loop of the async models ended; another one takes its place." in caplog.text


def test_a_loop_that_a_task_blocks_is_silent_from_when_nobody_waits_any_more(loop):
    blocks, goes_on = threading.Event(), threading.Event()

    async def block():
        blocks.set()
        goes_on.wait(10)

    loop.run(asyncio.sleep(0), 10)
    with ThreadPoolExecutor(1) as threads:
        blocked = threads.submit(loop.run, block(), 20)
        blocks.wait(10)
        now = time.monotonic()
        assert loop.silence(now) == 0
        assert loop.silence(now + 15) == 0
        assert loop.silence(now + 30) == pytest.approx(10, abs=5)
        goes_on.set()
        blocked.result(10)

    loop.run(asyncio.sleep(0), 10)
    assert loop.silence(time.monotonic() + 30) == 0


def test_a_loop_that_a_load_blocks_is_not_silent_however_long_that_takes(loop):
    blocks, goes_on = threading.Event(), threading.Event()

    async def load():
        blocks.set()
        goes_on.wait(10)

    with ThreadPoolExecutor(1) as threads:
        loading = threads.submit(loop.run, load())
        blocks.wait(10)
        loop.silence(time.monotonic())
        assert loop.silence(time.monotonic() + 3600) == 0
        goes_on.set()
        loading.result(10)


def waiting_until(condition):
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.001)

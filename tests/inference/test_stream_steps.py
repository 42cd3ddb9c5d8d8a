"""A stream's values come from one task, or in one context: what a runtime sets up holds from the first to the last."""

import asyncio
import contextvars
import decimal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from srv.cancellation import NOBODY, Caller
from srv.errors import ClientLeft, DeadlinePassed
from srv.inference.execution import Execution
from srv.inference.stream_steps import CloseTimeout
from srv.messages import InferenceRequest
from srv.metrics_types import Stages

VAR = contextvars.ContextVar("VAR", default="unset")
SOON = 10.0


@pytest.fixture
def iterate(loop):
    """Iterates over what a method streams; each `next` may be called from any thread."""
    execution = Execution("m", concurrency=1, max_queue=10, timeout=60, loop=loop)
    made = []

    def begin(method, *, caller=NOBODY, deadline=None):
        request = InferenceRequest([])
        request.caller = caller
        made.append(execution.iterate(method, None, request, deadline, Stages()))
        return made[-1]

    begin.execution = execution
    yield begin
    for stream in made:
        stream.close()


def elsewhere(call, *arguments):
    """Call something in a thread of its own."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(call, *arguments).result(SOON)


def soon(holds):
    end = time.monotonic() + SOON
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.001)


# -- context -----------------------------------------------------------------------------------------------------------


async def in_async(request):
    token = VAR.set("set")
    for _ in range(3):
        yield VAR.get(), asyncio.current_task()
    VAR.reset(token)
    yield VAR.get(), asyncio.current_task()


def in_sync(request):
    token = VAR.set("set")
    for _ in range(3):
        yield VAR.get(), None
    VAR.reset(token)
    yield VAR.get(), None


@pytest.mark.parametrize("method", [in_async, in_sync])
def test_context_variables_hold_over_a_whole_stream_whichever_threads_ask_for_it(iterate, method):
    stream = iterate(method)

    values = [elsewhere(next, stream) for _ in range(4)]

    assert [value for value, _ in values] == ["set", "set", "set", "unset"]
    assert len({task for _, task in values}) == 1
    assert VAR.get() == "unset"


@pytest.mark.parametrize("method", [in_async, in_sync])
def test_what_a_stream_sets_is_seen_by_no_other(iterate, method):
    def get(request):
        yield VAR.get()

    first = iterate(method)
    next(first)
    first.close()

    assert list(iterate(get)) == ["unset"]


@pytest.mark.parametrize("method", [in_async, in_sync])
def test_what_the_asking_thread_has_set_is_seen(iterate, method):
    async def get(request):
        yield VAR.get()

    def get_sync(request):
        yield VAR.get()

    def ask():
        VAR.set("by a hook")
        return list(iterate(get if method is in_async else get_sync))

    assert elsewhere(ask) == ["by a hook"]


def test_what_a_method_sets_before_it_returns_its_iterator_is_seen_there(iterate):
    async def values():
        yield VAR.get()

    def plain(request):
        VAR.set("plain")
        return values()

    async def coroutine(request):
        VAR.set("coroutine")
        return values()

    def of_sync(request):
        VAR.set("of sync")
        return (VAR.get() for _ in range(1))

    async def sync_of_coroutine(request):
        VAR.set("sync of coroutine")
        return (VAR.get() for _ in range(1))

    assert [list(iterate(method)) for method in (plain, coroutine, of_sync, sync_of_coroutine)] == [
        ["plain"],
        ["coroutine"],
        ["of sync"],
        ["sync of coroutine"],
    ]


def test_any_async_iterable_is_a_stream(iterate):
    class Twice:
        async def __aiter__(self):
            yield 1
            yield 2

    assert list(iterate(lambda _: Twice())) == [1, 2]


def test_what_predict_sets_is_seen_by_no_other_call(iterate):
    def predict(request):
        seen = VAR.get(), decimal.getcontext().prec
        VAR.set("left behind")
        decimal.setcontext(decimal.Context(prec=3))
        return seen

    async def predict_async(request):
        return predict(request)

    answers = [
        iterate.execution.run(method, None, InferenceRequest([]), None, Stages())
        for method in (predict, predict, predict_async, predict)
    ]

    assert answers == 4 * [("unset", decimal.getcontext().prec)]


def test_what_predict_sets_before_it_returns_its_coroutine_is_seen_there(iterate):
    async def answer():
        return VAR.get()

    def predict(request):
        VAR.set("set")
        return answer()

    assert iterate.execution.run(predict, None, InferenceRequest([]), None, Stages()) == "set"


# -- timeouts and task groups ------------------------------------------------------------------------------------------


def test_a_timeout_over_several_values_fires_while_a_value_is_made(iterate):
    async def method(request):
        async with asyncio.timeout(0.05):
            yield 1
            await asyncio.sleep(SOON)

    stream = iterate(method)

    assert next(stream) == 1
    with pytest.raises(TimeoutError):
        next(stream)


def test_a_timeout_over_several_values_fires_between_two_values_too(iterate):
    fired = threading.Event()

    async def method(request):
        try:
            async with asyncio.timeout(0.05):
                yield 1
                yield 2
        except TimeoutError:
            fired.set()
            raise

    stream = iterate(method)

    assert next(stream) == 1
    assert fired.wait(SOON)  # nobody has asked for the second value
    with pytest.raises(TimeoutError):
        next(stream)
    assert list(stream) == []


def test_what_a_stream_says_of_its_timeout_is_its_next_value(iterate):
    fired = threading.Event()

    async def method(request):
        try:
            async with asyncio.timeout(0.05):
                yield "in time"
                yield "never"
        except TimeoutError:
            fired.set()
            yield "too late"
        yield "and on"

    stream = iterate(method)

    assert next(stream) == "in time"
    assert fired.wait(SOON)
    assert list(stream) == ["too late", "and on"]


def test_a_timeout_that_does_not_fire_changes_nothing(iterate):
    async def method(request):
        async with asyncio.timeout(SOON):
            for value in range(3):
                await asyncio.sleep(0)
                yield value
        yield asyncio.current_task().cancelling()

    assert list(iterate(method)) == [0, 1, 2, 0]


def test_a_task_group_feeds_a_stream(iterate):
    async def method(request):
        queue = asyncio.Queue()
        async with asyncio.TaskGroup() as group:
            for value in range(3):
                group.create_task(queue.put(value))
            for _ in range(3):
                yield await queue.get()

    assert list(iterate(method)) == [0, 1, 2]


@pytest.mark.parametrize("idle", [True, False], ids=["between two values", "while a value is made"])
def test_a_task_of_a_group_that_fails_ends_the_stream_with_its_error(iterate, idle):
    go, failed = threading.Event(), threading.Event()

    async def fails():
        while not go.is_set():
            await asyncio.sleep(0.001)
        raise KeyError("of the task")

    async def method(request):
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(fails())
                yield 1
                if not idle:
                    await asyncio.sleep(SOON)
                yield 2
        finally:
            failed.set()

    stream = iterate(method)
    assert next(stream) == 1
    go.set()
    if idle:
        assert failed.wait(SOON)

    with pytest.raises(ExceptionGroup) as raised:
        next(stream)

    assert [str(error) for error in raised.value.exceptions] == ["'of the task'"]


def test_closing_a_stream_ends_the_tasks_of_its_group(iterate):
    cancelled = threading.Event()

    async def works():
        try:
            await asyncio.sleep(60)
        finally:
            cancelled.set()

    async def method(request):
        async with asyncio.TaskGroup() as group:
            group.create_task(works())
            await asyncio.sleep(0.001)
            yield 1
            yield 2

    stream = iterate(method)
    next(stream)
    stream.close()

    assert cancelled.is_set()


# -- the end -----------------------------------------------------------------------------------------------------------


class Told:
    """What became of a stream, in its own order."""

    def __init__(self):
        self.told = []
        self.waits = threading.Event()

    async def stream(self, request):
        self.task = asyncio.current_task()
        try:
            self.told.append("first")
            yield 1
            self.waits.set()
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            self.told.append("cancelled")
            raise
        except GeneratorExit:
            self.told.append("closed")
            raise
        finally:
            await asyncio.sleep(0.001)
            self.told.append("clean" if asyncio.current_task() is self.task else "in another task")


def test_closing_between_two_values_closes_the_iterator_in_its_task(iterate):
    told = Told()
    stream = iterate(told.stream)

    next(stream)
    stream.close()

    assert told.told == ["first", "closed", "clean"]


def test_a_caller_who_leaves_while_a_value_is_made_cancels_it(iterate):
    told, caller = Told(), Caller()
    stream = iterate(told.stream, caller=caller)
    next(stream)
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(next, stream)
        assert told.waits.wait(SOON)
        caller.leave()
        with pytest.raises(ClientLeft):
            asked.result(SOON)

    assert told.told == ["first", "cancelled", "clean"]
    assert iterate.execution.acquire_now()  # the place is free again


def test_a_caller_who_left_between_two_values_closes_the_iterator(iterate):
    told, caller = Told(), Caller()
    stream = iterate(told.stream, caller=caller)
    next(stream)
    caller.leave()

    with pytest.raises(ClientLeft):
        next(stream)

    assert told.told == ["first", "closed", "clean"]


def test_the_first_value_has_a_deadline_and_later_ones_have_none(iterate):
    async def slow(request):
        await asyncio.sleep(60)
        yield 1

    async def slow_later(request):
        yield 1
        await asyncio.sleep(0.7)
        yield 2

    with pytest.raises(DeadlinePassed):
        next(iterate(slow, deadline=time.monotonic() + 0.05))
    assert list(iterate(slow_later, deadline=time.monotonic() + 0.5)) == [1, 2]


def test_a_deadline_that_has_passed_already_never_lets_the_method_begin_or_cancels_it(iterate):
    ended = []

    async def coroutine(request):
        try:
            await asyncio.sleep(60)
        finally:
            ended.append(True)

    with pytest.raises(DeadlinePassed):
        next(iterate(coroutine, deadline=time.monotonic() - 1))

    assert ended in ([], [True])
    assert iterate.execution.acquire_now()


def test_a_stream_that_nobody_asked_anything_of_never_begins(iterate):
    told = Told()

    iterate(told.stream).close()

    assert told.told == []


def test_a_stream_that_swallows_its_cancelling_is_closed(iterate):
    told, caller = [], Caller()

    sleeps = threading.Event()

    async def method(request):
        try:
            yield 1
            sleeps.set()
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            told.append("swallowed")
        try:
            yield 2
        finally:
            told.append("closed")

    stream = iterate(method, caller=caller)
    next(stream)
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(next, stream)
        assert sleeps.wait(SOON)
        caller.leave()
        with pytest.raises(ClientLeft):
            asked.result(SOON)

    soon(lambda: told == ["swallowed", "closed"])


@pytest.mark.parametrize(
    "error", [ValueError("own"), TimeoutError("own"), asyncio.CancelledError("own"), SystemExit(3)]
)
def test_what_a_stream_raises_comes_after_its_values_and_ends_it_alone(iterate, error):
    async def method(request):
        yield 1
        raise error

    async def other(request):
        yield "still"

    stream = iterate(method, deadline=time.monotonic() + SOON)
    assert next(stream) == 1
    with pytest.raises(type(error)):
        next(stream)
    assert list(stream) == []
    assert list(iterate(other)) == ["still"]


def test_no_value_is_made_before_it_is_asked_for(iterate):
    made = []

    async def method(request):
        for value in range(3):
            made.append(value)
            yield value

    stream = iterate(method)
    next(stream)
    elsewhere(lambda: list(iterate.execution._loop.run(asyncio.sleep(0.01)) or ()))

    assert made == [0]
    assert list(stream) == [1, 2]


def test_a_thousand_values_come_in_their_order(iterate):
    async def method(request):
        for value in range(1000):
            yield value

    assert list(iterate(method)) == [*range(1000)]


def test_what_closing_raises_is_told(iterate):
    async def method(request):
        try:
            yield 1
        finally:
            raise OSError("at the end")

    stream = iterate(method)
    next(stream)
    with pytest.raises(OSError, match="at the end"):
        stream.close()
    assert iterate.execution.acquire_now()


def test_a_sync_stream_is_closed_in_its_context(iterate):
    seen = []

    def method(request):
        token = VAR.set("set")
        try:
            yield 1
        finally:
            seen.append(VAR.get())
            VAR.reset(token)

    stream = iterate(method)
    elsewhere(next, stream)
    stream.close()

    assert seen == ["set"]


def test_closing_an_async_stream_waits_no_longer_than_the_models_timeout(loop):
    closing, cancelled = threading.Event(), threading.Event()
    execution = Execution("m", concurrency=1, max_queue=10, timeout=0.5, loop=loop)

    async def numbers(_):
        try:
            yield 1
        finally:
            closing.set()
            try:
                await asyncio.sleep(60)
            finally:
                cancelled.set()

    stream = execution.iterate(numbers, None, InferenceRequest([]), None, Stages())
    assert next(stream) == 1

    with pytest.raises(CloseTimeout):
        stream.close()

    assert closing.is_set()
    assert cancelled.wait(SOON)
    assert execution.acquire_now()

"""Running predict: in the request's thread or on the event loop, so many at once, until the deadline."""

from __future__ import annotations

import asyncio
import inspect
import threading
import time
from collections import deque
from collections.abc import Callable, Coroutine, Generator, Iterator, Mapping
from concurrent.futures import CancelledError
from concurrent.futures import TimeoutError as FutureTimeout
from types import CoroutineType
from typing import Any

from srv.callers import NOBODY, Caller
from srv.counts import Stages
from srv.errors import ClientLeft, DeadlinePassed, QueueFull, SrvError, Unavailable
from srv.messages import InferenceRequest

#: A runtime's predict or predict_stream.
Predict = Callable[..., Any]
#: What calls predict: with its arguments by name, or without those with the request, until a deadline.
Execute = Callable[[Predict, Mapping[str, Any] | None, InferenceRequest, float | None, Stages], Any]


class ModelBusy(QueueFull):
    """More requests wait for a model than its queue may hold."""

    def __init__(self, model: str, waiting: int) -> None:
        super().__init__(f"Model '{model}' is busy and {waiting} requests wait for it already. Try again later.")


class ModelGone(Unavailable):
    """The model was unloaded, or replaced by another generation, before the request began to run."""

    def __init__(self, model: str) -> None:
        super().__init__(f"Model '{model}' was unloaded.")


class EventLoop:
    """One event loop in a thread of its own, for the async methods of all runtimes of a worker.

    The thread starts with the first coroutine: a worker without async runtimes has none.
    """

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def run(self, coroutine: Coroutine[Any, Any, Any], seconds: float | None = None, *, caller: Caller = NOBODY) -> Any:
        """Wait for a coroutine, so many seconds at most; then it is cancelled and LoopTimeout is raised.

        It is cancelled too, and CancelledError raised, when the caller leaves.
        """
        future = asyncio.run_coroutine_threadsafe(coroutine, self._started())
        caller.stops(future.cancel)
        try:
            return future.result(seconds)
        except FutureTimeout:
            if future.done():  # the coroutine's own TimeoutError, not ours
                raise
            future.cancel()
            raise LoopTimeout from None
        finally:
            caller.stops(None)

    def close(self) -> None:
        """Stop the loop and its thread."""
        with self._lock:
            loop, thread = self._loop, self._thread
            self._loop = self._thread = None
        if loop is None or thread is None:
            return
        loop.call_soon_threadsafe(loop.stop)
        thread.join(timeout=5)
        if not thread.is_alive():
            loop.close()

    def _started(self) -> asyncio.AbstractEventLoop:
        loop = self._loop
        if loop is not None:
            return loop
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=self._loop.run_forever, name="srv-event-loop", daemon=True)
                self._thread.start()
            return self._loop


class LoopTimeout(Exception):
    """The seconds of EventLoop.run are over."""


class _Waiting:
    """A thread that waits for a place."""

    __slots__ = ("has_place", "wakes")

    def __init__(self) -> None:
        self.has_place = False
        self.wakes = threading.Lock()
        self.wakes.acquire()


class Places:
    """So many places; who waits for one has it in turn, unless their time passes or their caller leaves."""

    def __init__(self, count: int) -> None:
        self._free = count
        self._guard = threading.Lock()
        self._queue: deque[_Waiting] = deque()

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self._queue)

    def take(self) -> bool:
        """Have a place, if one is free."""
        with self._guard:
            if self._free:
                self._free -= 1
                return True
            return False

    def wait(self, seconds: float | None, caller: Caller) -> bool:
        """Wait for a place, so many seconds at most; whether there is one then."""
        waiting = _Waiting()
        with self._guard:
            if self._free:
                self._free -= 1
                return True
            self._queue.append(waiting)
        caller.stops(lambda: self._give_up(waiting))
        try:
            waiting.wakes.acquire(timeout=-1 if seconds is None else min(seconds, threading.TIMEOUT_MAX))
        finally:
            caller.stops(None)
        self._give_up(waiting)
        return waiting.has_place

    def release(self) -> None:
        """Give a place back, to who has waited longest."""
        with self._guard:
            if not self._queue:
                self._free += 1
                return
            first = self._queue.popleft()
            first.has_place = True
        first.wakes.release()

    def _give_up(self, waiting: _Waiting) -> None:
        """Let somebody wait no longer; nothing if they have a place."""
        with self._guard:
            if waiting not in self._queue:
                return
            self._queue.remove(waiting)
        waiting.wakes.release()


class Execution:
    """Runs one model's predict. Knows how many run, so that an unload can wait for the last."""

    def __init__(
        self,
        model: str,
        *,
        concurrency: int | None,
        max_queue: int,
        timeout: float,
        loop: EventLoop,
    ) -> None:
        self._model = model
        self._places = Places(concurrency) if concurrency is not None else None
        self._max_queue = max_queue
        self._timeout = timeout
        self._loop = loop
        self._gone = False
        self._running: deque[None] = deque()  # its length counts; append and pop need no lock

    @property
    def has_queue(self) -> bool:
        """Whether requests may have to wait for a place."""
        return self._places is not None

    @property
    def waiting(self) -> int:
        """How many requests wait for a place."""
        return self._places.waiting if self._places is not None else 0

    def run(
        self,
        predict: Predict,
        arguments: Mapping[str, Any] | None,
        request: InferenceRequest,
        deadline: float | None,
        stages: Stages,
    ) -> Any:
        """What predict returns; waiting for a place counts as queue. Raises ModelBusy, DeadlinePassed when the time is
        over, ClientLeft, or ModelGone after an unload.

        A queued request that passes its deadline, or whose caller leaves, never runs; an async predict is cancelled; a
        sync one cannot be stopped, and its answer is dropped when it comes.
        """
        self.enter()
        try:
            if self._places is None:
                return self.call(predict, arguments, request, deadline, stages)
            self.take(deadline, stages, request.caller)
            try:
                return self.call(predict, arguments, request, deadline, stages)
            finally:
                self._places.release()
        finally:
            self._running.pop()

    def iterate(
        self,
        predict: Predict,
        arguments: Mapping[str, Any] | None,
        request: InferenceRequest,
        deadline: float | None,
        stages: Stages,
    ) -> Generator[Any, None, None]:
        """What predict_stream yields, sync or async; holds a place until it ends or is closed. Raises as `run` does.

        When the caller leaves, an async iterator is cancelled, and a sync one is closed at its next value.
        """
        caller = request.caller
        caller.stops(None)  # so that it listens
        self.enter()
        try:
            self.take(deadline, stages, caller)
            try:
                values = predict(request) if arguments is None else predict(**arguments)
                if inspect.iscoroutine(values):
                    values = self._finish(values, deadline, caller)
                yield from self._values_of(values, deadline, caller)
            finally:
                self.release()
        finally:
            self._running.pop()

    def wait_idle(self) -> None:
        """Let nothing begin any more, and return when no predict runs."""
        self._gone = True
        while self._running:
            time.sleep(0.002)  # only an unload waits here, and no predict should pay for waking it

    def enter(self) -> None:
        """Somebody is here, and an unload waits until they leave. Raises ModelGone."""
        self._running.append(None)
        if self._gone:  # looked at after the line above, as wait_idle looks after it has said so: neither misses both
            self._running.pop()
            raise ModelGone(self._model)

    def leave(self) -> None:
        """One who has entered is done."""
        self._running.pop()

    def take(self, deadline: float | None, stages: Stages, caller: Caller) -> None:
        """Have a place, after some waiting perhaps, which counts as queue. Raises ModelBusy, DeadlinePassed, ClientLeft."""
        if self.take_now():
            return
        self.check_queue(self.waiting)
        began = time.monotonic_ns()
        try:
            if not self.wait(deadline, caller):
                raise self.over(caller, deadline)
        finally:
            stages.queue += time.monotonic_ns() - began

    def take_now(self) -> bool:
        """Have a place, if one is free."""
        return self._places is None or self._places.take()

    def wait(self, deadline: float | None, caller: Caller) -> bool:
        """Wait for a place, however many do; whether there is one then."""
        caller.blocks()
        return self._places is None or self._places.wait(_until(deadline), caller)

    def release(self) -> None:
        """Give a place back."""
        if self._places is not None:
            self._places.release()

    def check_queue(self, waiting: int) -> None:
        """Raise ModelBusy where so many wait that nobody else may."""
        if waiting >= self._max_queue:
            raise ModelBusy(self._model, self._max_queue)

    def call(
        self,
        predict: Predict,
        arguments: Mapping[str, Any] | None,
        request: InferenceRequest,
        deadline: float | None,
        stages: Stages,  # noqa: ARG002  run has it so
    ) -> Any:
        """What predict returns, for one who has entered and has a place. Raises DeadlinePassed or ClientLeft."""
        value = predict(request) if arguments is None else predict(**arguments)
        if isinstance(value, CoroutineType):
            return self._finish(value, deadline, request.caller)
        if deadline is not None and time.monotonic() > deadline:
            raise DeadlinePassed(self._timeout)
        return value

    def _values_of(self, values: Any, deadline: float | None, caller: Caller) -> Iterator[Any]:
        if hasattr(values, "__anext__"):
            yield from self._values_of_async(_AsyncValues(values), deadline, caller)
            return
        iterator = iter(values)
        try:
            for value in iterator:
                if caller.left:
                    raise ClientLeft
                yield value
        finally:
            close = getattr(iterator, "close", None)
            if close is not None:
                close()

    def _values_of_async(self, values: _AsyncValues, deadline: float | None, caller: Caller) -> Iterator[Any]:
        try:
            while True:
                try:
                    value = self._finish(values.next(), deadline, caller)
                except StopAsyncIteration:
                    return
                deadline = None  # it was for the first
                yield value
        finally:
            self._loop.run(values.close())

    def _finish(self, coroutine: Coroutine[Any, Any, Any], deadline: float | None, caller: Caller) -> Any:
        try:
            return self._loop.run(coroutine, _until(deadline), caller=caller)
        except (LoopTimeout, CancelledError):
            raise self.over(caller, deadline) from None

    def over(self, caller: Caller, deadline: float | None) -> SrvError:
        """Why nobody waits any more; a client's own deadline makes it leave too."""
        late = deadline is not None and time.monotonic() >= deadline
        return ClientLeft() if caller.left and not late else DeadlinePassed(self._timeout)


def _until(deadline: float | None) -> float | None:
    return None if deadline is None else max(0.0, deadline - time.monotonic())


class _AsyncValues:
    """An async iterator, asked for one thing at a time: one that is cancelled is closed when it has dealt with that."""

    def __init__(self, values: Any) -> None:
        self._values = values
        self._turn = asyncio.Lock()

    async def next(self) -> Any:
        async with self._turn:
            return await anext(self._values)

    async def close(self) -> None:
        close = getattr(self._values, "aclose", None)
        if close is not None:
            async with self._turn:
                await close()

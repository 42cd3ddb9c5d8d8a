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

from srv.counts import Stages
from srv.errors import DeadlinePassed, QueueFull, Unavailable

#: A runtime's predict or predict_stream.
Predict = Callable[..., Any]


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

    def run(self, coroutine: Coroutine[Any, Any, Any], seconds: float | None = None) -> Any:
        """Wait for a coroutine, so many seconds at most; then it is cancelled and TimeoutError is raised."""
        future = asyncio.run_coroutine_threadsafe(coroutine, self._started())
        try:
            return future.result(seconds)
        except FutureTimeout:
            if future.done():  # the coroutine's own TimeoutError, not ours
                raise
            future.cancel()
            raise LoopTimeout from None

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
        self._places = threading.Semaphore(concurrency) if concurrency is not None else None
        self._max_queue = max_queue
        self._timeout = timeout
        self._loop = loop
        self._gone = False
        self._running: deque[None] = deque()  # its length counts; append and pop need no lock
        self._waiting: deque[None] = deque()

    def run(
        self,
        predict: Predict,
        arguments: Mapping[str, Any] | None,
        request: object,
        deadline: float | None,
        stages: Stages,
    ) -> Any:
        """What predict returns; waiting for a place counts as queue. Raises ModelBusy, DeadlinePassed when the time is
        over, or ModelGone after an unload.

        A queued request that passes its deadline never runs; an async predict is cancelled; a sync one cannot be
        stopped, and its answer is dropped when it comes.
        """
        places = self._enter()
        try:
            if places is None:
                return self._call(predict, arguments, request, deadline)
            self._take(places, deadline, stages)
            try:
                return self._call(predict, arguments, request, deadline)
            finally:
                places.release()
        finally:
            self._running.pop()

    def iterate(
        self,
        predict: Predict,
        arguments: Mapping[str, Any] | None,
        request: object,
        deadline: float | None,
        stages: Stages,
    ) -> Generator[Any, None, None]:
        """What predict_stream yields, sync or async; holds a place until it ends or is closed. Raises as `run` does."""
        places = self._enter()
        try:
            if places is not None:
                self._take(places, deadline, stages)
            try:
                values = predict(request) if arguments is None else predict(**arguments)
                if inspect.iscoroutine(values):
                    values = self._finish(values, deadline)
                yield from self._values_of(values, deadline)
            finally:
                if places is not None:
                    places.release()
        finally:
            self._running.pop()

    def wait_idle(self) -> None:
        """Let nothing begin any more, and return when no predict runs."""
        self._gone = True
        while self._running:
            time.sleep(0.002)  # only an unload waits here, and no predict should pay for waking it

    def _enter(self) -> threading.Semaphore | None:
        self._running.append(None)
        if self._gone:  # looked at after the line above, as wait_idle looks after it has said so: neither misses both
            self._running.pop()
            raise ModelGone(self._model)
        return self._places

    def _take(self, places: threading.Semaphore, deadline: float | None, stages: Stages) -> None:
        if places.acquire(blocking=False):
            return
        if len(self._waiting) >= self._max_queue:
            raise ModelBusy(self._model, self._max_queue)
        self._waiting.append(None)
        began = time.monotonic_ns()
        try:
            if not places.acquire(timeout=None if deadline is None else max(0.0, deadline - time.monotonic())):
                raise DeadlinePassed(self._timeout)
        finally:
            self._waiting.pop()
            stages.queue += time.monotonic_ns() - began

    def _call(
        self, predict: Predict, arguments: Mapping[str, Any] | None, request: object, deadline: float | None
    ) -> Any:
        value = predict(request) if arguments is None else predict(**arguments)
        if type(value) is CoroutineType or inspect.iscoroutine(value):
            return self._finish(value, deadline)
        if deadline is not None and time.monotonic() > deadline:
            raise DeadlinePassed(self._timeout)
        return value

    def _values_of(self, values: Any, deadline: float | None) -> Iterator[Any]:
        if hasattr(values, "__anext__"):
            yield from self._values_of_async(values, deadline)
            return
        iterator = iter(values)
        try:
            yield from iterator
        finally:
            close = getattr(iterator, "close", None)
            if close is not None:
                close()

    def _values_of_async(self, values: Any, deadline: float | None) -> Iterator[Any]:
        try:
            while True:
                try:
                    value = self._finish(_next_of(values), deadline)
                except StopAsyncIteration:
                    return
                deadline = None  # it was for the first
                yield value
        finally:
            close = getattr(values, "aclose", None)
            if close is not None:
                self._loop.run(close())

    def _finish(self, coroutine: Coroutine[Any, Any, Any], deadline: float | None) -> Any:
        try:
            return self._loop.run(coroutine, None if deadline is None else max(0.0, deadline - time.monotonic()))
        except (LoopTimeout, CancelledError):
            raise DeadlinePassed(self._timeout) from None


async def _next_of(values: Any) -> Any:
    return await anext(values)

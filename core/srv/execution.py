"""Running predict: in the request's thread or on the event loop, so many at once, until the deadline."""

from __future__ import annotations

import asyncio
import inspect
import threading
import time
from collections import deque
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import CancelledError
from concurrent.futures import TimeoutError as FutureTimeout
from typing import Any

from srv.errors import DeadlinePassed, QueueFull


class ModelBusy(QueueFull):
    """More requests wait for a model than its queue may hold."""

    def __init__(self, model: str, waiting: int) -> None:
        super().__init__(f"Model '{model}' is busy and {waiting} requests wait for it already. Try again later.")


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
        predict: Callable[..., Any],
        *,
        concurrency: int | None,
        max_queue: int,
        timeout: float,
        loop: EventLoop,
    ) -> None:
        self._model = model
        self._predict = predict
        self._places = threading.Semaphore(concurrency) if concurrency is not None else None
        self._max_queue = max_queue
        self._timeout = timeout
        self._loop = loop
        self._is_async = inspect.iscoroutinefunction(predict)
        self._running: deque[None] = deque()  # its length counts; append and pop need no lock
        self._waiting: deque[None] = deque()

    def run(self, arguments: Mapping[str, Any] | None, request: Any, deadline: float | None) -> Any:
        """What predict returns. Raises ModelBusy, or DeadlinePassed when the time is over.

        A queued request that passes its deadline never runs; an async predict is cancelled; a sync one cannot be
        stopped, and its answer is dropped when it comes.
        """
        self._running.append(None)
        try:
            places = self._places
            if places is None:
                return self._call(arguments, request, deadline)
            self._take(places, deadline)
            try:
                return self._call(arguments, request, deadline)
            finally:
                places.release()
        finally:
            self._running.pop()

    def wait_idle(self) -> None:
        """Return when no predict runs any more."""
        while self._running:
            time.sleep(0.002)  # only an unload waits here, and no predict should pay for waking it

    def _take(self, places: threading.Semaphore, deadline: float | None) -> None:
        if places.acquire(blocking=False):
            return
        if len(self._waiting) >= self._max_queue:
            raise ModelBusy(self._model, self._max_queue)
        self._waiting.append(None)
        try:
            if not places.acquire(timeout=None if deadline is None else max(0.0, deadline - time.monotonic())):
                raise DeadlinePassed(self._timeout)
        finally:
            self._waiting.pop()

    def _call(self, arguments: Mapping[str, Any] | None, request: Any, deadline: float | None) -> Any:
        if self._is_async:
            return self._await(arguments, request, deadline)
        value = self._predict(request) if arguments is None else self._predict(**arguments)
        if inspect.iscoroutine(value):  # a sync def that returns a coroutine, such as a decorated one
            return self._finish(value, deadline)
        if deadline is not None and time.monotonic() > deadline:
            raise DeadlinePassed(self._timeout)
        return value

    def _await(self, arguments: Mapping[str, Any] | None, request: Any, deadline: float | None) -> Any:
        return self._finish(self._predict(request) if arguments is None else self._predict(**arguments), deadline)

    def _finish(self, coroutine: Coroutine[Any, Any, Any], deadline: float | None) -> Any:
        try:
            return self._loop.run(coroutine, None if deadline is None else max(0.0, deadline - time.monotonic()))
        except (LoopTimeout, CancelledError):
            raise DeadlinePassed(self._timeout) from None

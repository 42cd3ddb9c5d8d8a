"""A stream's values, made one at a time: an async stream in one task, any other in one context."""

from __future__ import annotations

import asyncio
import inspect
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Iterable, Iterator
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import suppress
from contextvars import Context
from typing import Any

from srv.cancellation import Caller
from srv.errors import SrvError
from srv.inference.event_loop import EventLoopEnded, RunningLoop


class StreamStopped(Exception):
    """The caller left, or the deadline passed, before the next value was made."""


class NotAsync(Exception):
    """An async method returned an iterator that is not async."""

    def __init__(self, values: Any) -> None:
        super().__init__()
        self.values = values


class CloseTimeout(SrvError):
    """An iterator takes too long to close."""

    def __init__(self, seconds: float | None) -> None:
        super().__init__(f"The stream's iterator was not closed within {seconds or 0:g} seconds, and is cancelled.")


class _Closed(Exception):
    """Nobody wants another value."""


class AsyncValues:
    """The values of an async iterator, or of a coroutine that returns one, for a thread outside the event loop.

    One task of the event loop makes all values and closes the iterator, so context variables, `asyncio.timeout` and
    task groups hold from the first value to the last. A value is made when `next` asks for it; one thread may ask at a
    time. A cancellation between two values, such as by the iterator's own timeout, is raised in the iterator.
    """

    def __init__(self, running: RunningLoop, values: Any, context: Context) -> None:
        self._running = running
        self._loop = running.loop
        self._values = values
        self._context = context
        self._ended = running.future()
        self._begun = self._stopped = False
        # What follows is read and written by the loop's thread only.
        self._task: asyncio.Task[None] | None = None
        self._step: Future[Any] | None = None
        self._wake: asyncio.Future[None] | None = None
        self._closing = False
        self._made: deque[Any] = deque()
        self._error: BaseException | None = None
        self._close_error: BaseException | None = None

    def next(self, seconds: float | None, caller: Caller) -> Any:
        """Return the next value; wait that many seconds at most.

        Raises StopAsyncIteration at the end, NotAsync, and what the iterator raises; StreamStopped where the
        time is over or the caller leaves; the iterator is cancelled then and gives no other value.
        """
        if caller.left:
            raise StreamStopped
        step = self._running.future()
        self._begun = True
        self._running.call(self._begin, step)
        caller.on_cancel(self._stop)
        try:
            value = step.result(seconds)
        except BaseException as error:
            over = isinstance(error, FutureTimeout) and not (step.done() and step.exception() is error)
            if over:  # and not a TimeoutError that the iterator raised
                self._stop()
            if not self._stopped:
                raise
        finally:
            caller.on_cancel(None)
        if self._stopped:
            raise StreamStopped
        return value

    def close(self, seconds: float | None = None) -> None:
        """Close the iterator, in its task, and wait until that is done, so many seconds at most.

        Raises what closing it raises, and CloseTimeout; what closes it is cancelled then.
        """
        if not self._begun:
            if inspect.iscoroutine(self._values):
                self._values.close()
            return
        self._running.call(self._close)
        try:
            self._ended.result(seconds)
        except FutureTimeout:
            if self._ended.done():  # in this moment, or it is the iterator's own TimeoutError
                self._ended.result()
                return
            self._running.call(self._cancel_closing)
            raise CloseTimeout(seconds) from None

    def _stop(self) -> None:
        self._stopped = True
        with suppress(EventLoopEnded):
            self._running.call(self._cancel)

    # -- in the loop's thread ------------------------------------------------------------------------------------------

    def _begin(self, step: Future[Any]) -> None:
        """Begin to make the next value."""
        self._step = step
        if self._task is None:
            self._task = self._loop.create_task(self._drive(), context=self._context)
            self._task.add_done_callback(self._end)
        elif self._task.done():
            self._end(self._task)
        else:
            self._wake_task()

    def _cancel(self) -> None:
        """Cancel the step that runs, if one does, but not the closing of the iterator."""
        if self._task is not None and self._step is not None and not self._closing:
            self._task.cancel()

    def _cancel_closing(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def _close(self) -> None:
        self._closing = True
        self._wake_task()

    def _wake_task(self) -> None:
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    async def _drive(self) -> None:
        """Make values as they are asked for, then close the iterator. Its error is kept for the next step."""
        values: Any = None
        try:
            values = await self._values if inspect.isawaitable(self._values) else self._values
            if not hasattr(values, "__aiter__"):
                raise NotAsync(values)  # noqa: TRY301  kept for the step like every other error
            values = aiter(values)
            await self._iterate(values)
        except _Closed:
            pass
        except BaseException as error:  # noqa: BLE001  not even sys.exit() may end the loop, which all models share
            self._error = error
        try:
            if hasattr(values, "aclose"):
                await values.aclose()
        except BaseExceptionGroup as group:
            self._close_error = group.split(GeneratorExit)[
                1
            ]  # a task group wraps the GeneratorExit of aclose() in a group
        except BaseException as error:  # noqa: BLE001  likewise
            self._close_error = error

    async def _iterate(self, values: AsyncIterator[Any]) -> None:
        making: Awaitable[Any] = anext(values)
        while True:
            try:
                self._made.append(await making)
            except StopAsyncIteration:
                return
            making = await self._asked(values)

    async def _asked(self, values: AsyncIterator[Any]) -> Awaitable[Any]:
        """Hand out the value that is made, wait for the next step, and return what makes its value. Raises _Closed."""
        while True:
            if self._step is not None and self._made:
                self._take_step().set_result(self._made.popleft())
            if self._closing:
                raise _Closed
            if self._step is not None:
                return anext(values)
            self._wake = self._loop.create_future()
            try:
                await self._wake
            except asyncio.CancelledError as error:
                if self._stopped or not hasattr(values, "athrow"):
                    raise
                making: Awaitable[Any] = values.athrow(error)
                return making
            finally:
                self._wake = None

    def _end(self, task: asyncio.Task[None]) -> None:
        """Give the waiting step, if there is one, the iterator's end or error, and let `close` return."""
        if self._step is not None and self._made:
            self._take_step().set_result(self._made.popleft())
        elif self._step is not None:
            cancelled = (
                asyncio.CancelledError() if task.cancelled() else None
            )  # most likely before the task ran its first line
            self._take_step().set_exception(self._error or cancelled or StopAsyncIteration())
            self._error = None
        if self._ended.done():
            return
        if inspect.iscoroutine(self._values):
            self._values.close()  # because it was never awaited where the task was cancelled before it began
        if self._close_error is not None:
            self._ended.set_exception(self._close_error)
        else:
            self._ended.set_result(None)

    def _take_step(self) -> Future[Any]:
        assert self._step is not None
        step, self._step = self._step, None
        return step


class OneContext:
    """An iterator whose values are all made, and which is closed, in one context, whichever threads ask for them."""

    def __init__(self, values: Iterable[Any], context: Context) -> None:
        self._context = context
        self._values = context.run(iter, values)

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        return self._context.run(next, self._values)

    def close(self) -> None:
        """Close the iterator, where it can be closed."""
        close = getattr(self._values, "close", None)
        if close is not None:
            self._context.run(close)

"""Execution: predict runs in the request's thread or on the event loop, limited by slots and a deadline."""

from __future__ import annotations

import os
import sys
import threading
import time
from asyncio import CancelledError as TaskCancelled
from collections import deque
from collections.abc import Callable, Coroutine, Generator, Iterator, Mapping
from concurrent.futures import CancelledError
from contextlib import suppress
from contextvars import Context, copy_context
from types import CoroutineType
from typing import Any, NoReturn, Protocol

from srv.cancellation import Caller, ClientDeadline
from srv.errors import ClientLeft, DeadlinePassed, QueueFull, SrvError, Unavailable
from srv.inference.event_loop import EventLoop, LoopTimeout
from srv.inference.slots import Slots
from srv.inference.stream_steps import AsyncValues, NotAsync, OneContext, StreamStopped
from srv.inner_caller import CALLER
from srv.messages import InferenceRequest
from srv.metrics_types import Stages

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


class Cancellable(Protocol):
    """What predict, or a route's method, is called with: a request that knows who waits for its answer."""

    caller: Caller


class Execution:
    """Runs one model's predict, and counts what runs, so that an unload can wait for the end of it."""

    def __init__(
        self,
        model: str,
        *,
        concurrency: int | None,
        max_queue: int,
        timeout: float,
        loop: EventLoop,
        own_thread: bool = False,
    ) -> None:
        self._model = model
        #: Whether predict runs in a thread of the model's own, which cannot know whose request it is.
        self._own_thread = own_thread
        #: How many requests may run at once; None for any number.
        self.concurrency = concurrency
        self._slots = Slots(concurrency) if concurrency is not None else None
        self._max_queue = max_queue
        self.timeout = timeout
        self._loop = loop
        self._gone = False
        self._running: deque[None] = deque()  # its length counts; append and pop need no lock
        #: Set when a request ends after `wait_idle` has begun.
        self._ended = threading.Event()

    @property
    def has_queue(self) -> bool:
        """Whether requests may have to wait for a slot."""
        return self._slots is not None

    @property
    def waiting(self) -> int:
        """How many requests wait for a slot."""
        return self._slots.waiting if self._slots is not None else 0

    def run(
        self,
        predict: Predict,
        arguments: Mapping[str, Any] | None,
        request: Cancellable,
        deadline: float | None,
        stages: Stages,
    ) -> Any:
        """Return what predict returns. The time that the request waits for a slot counts as queue.

        A request that waits past its deadline, or whose client disconnects, never runs. An async predict is cancelled. A
        sync predict cannot be stopped; what it returns is dropped.
        Raises ModelBusy, DeadlinePassed, ClientLeft, and ModelGone after an unload.
        """
        self.enter()
        try:
            if self._slots is None:
                return self.call(predict, arguments, request, deadline, stages)
            self.acquire(deadline, stages, request.caller)
            try:
                return self.call(predict, arguments, request, deadline, stages)
            finally:
                self._slots.release()
        finally:
            self.leave()

    def iterate(
        self,
        predict: Predict,
        arguments: Mapping[str, Any] | None,
        request: Cancellable,
        deadline: float | None,
        stages: Stages,
    ) -> Generator[Any, None, None]:
        """Yield what predict_stream yields, sync or async. It has a slot until it ends or is closed. Raises as `run` does.

        When the client disconnects, an async iterator is cancelled, and a sync one is closed at its next value.
        """
        caller = request.caller
        caller.on_cancel(None)  # because a face notices a disconnect only from the first registration on
        self.enter()
        try:
            self.acquire(deadline, stages, caller)
            try:
                context = copy_context()
                context.run(CALLER.set, caller)  # because its values may be made in any thread
                values = context.run(predict, request) if arguments is None else context.run(predict, **arguments)
                if isinstance(values, CoroutineType) or hasattr(values, "__aiter__"):
                    yield from self._values_of_async(values, deadline, caller, context)
                else:
                    yield from self._values_of(values, caller, context)
            finally:
                self.release()
        finally:
            self.leave()

    def wait_idle(self, seconds: float | None = None) -> bool:
        """Let no request begin any more; return True when none runs, or False when that many seconds have passed."""
        self._gone = True
        until = None if seconds is None else time.monotonic() + seconds
        while True:
            self._ended.clear()
            if not self._running:  # after `clear`, because `leave` sets the event after its `pop`
                return True
            if not self._ended.wait(_until(until)):
                return False

    def enter(self) -> None:
        """Count a request, for which an unload waits until it leaves. Raises ModelGone."""
        self._running.append(None)
        if self._gone:  # in this order, because wait_idle writes and reads in the other one
            self.leave()
            raise ModelGone(self._model)

    def leave(self) -> None:
        """Count a request that has entered no longer."""
        self._running.pop()
        if self._gone:
            self._ended.set()

    def acquire(self, deadline: float | None, stages: Stages, caller: Caller) -> None:
        """Acquire a slot, and wait for one if need be, which counts as queue. Raises ModelBusy, DeadlinePassed, ClientLeft."""
        if self.acquire_now():
            return
        self.check_queue(self.waiting)
        began = time.monotonic_ns()
        try:
            if not self.wait(deadline, caller):
                raise self.abandoned(caller, deadline)
        finally:
            stages.queue += time.monotonic_ns() - began

    def acquire_now(self) -> bool:
        """Acquire a slot if one is free; return whether one was."""
        return self._slots is None or self._slots.acquire_now()

    def wait(self, deadline: float | None, caller: Caller) -> bool:
        """Wait for a slot, however many requests wait already; return whether the request has one now."""
        caller.will_block()
        return self._slots is None or self._slots.wait(_until(deadline), caller)

    def release(self) -> None:
        """Release a slot."""
        if self._slots is not None:
            self._slots.release()

    def check_queue(self, waiting: int) -> None:
        """Raise ModelBusy where as many requests wait as the queue holds."""
        if waiting >= self._max_queue:
            raise ModelBusy(self._model, self._max_queue)

    def call(
        self,
        predict: Predict,
        arguments: Mapping[str, Any] | None,
        request: Cancellable,
        deadline: float | None,
        stages: Stages,  # noqa: ARG002  run has it so
    ) -> Any:
        """Call predict for a request that has entered and has a slot. Raises DeadlinePassed or ClientLeft.

        Each call has its own context, so that context variables such as numpy's errstate affect no other call.
        """
        context = copy_context()
        if self._own_thread:
            context.run(CALLER.set, request.caller)
        try:
            value = context.run(predict, request) if arguments is None else context.run(predict, **arguments)
        finally:
            if self._loop.forked:
                _end_child()
        if isinstance(value, CoroutineType):
            context.run(CALLER.set, request.caller)  # because it runs in the thread of the event loop
            return context.run(self._finish, value, deadline, request.caller)
        if deadline is not None and time.monotonic() > deadline:
            raise deadline_passed(deadline, self.timeout)
        return value

    def _values_of(self, values: Any, caller: Caller, context: Context) -> Iterator[Any]:
        values = OneContext(values, context)
        try:
            for value in values:
                if self._loop.forked:
                    _end_child()
                if caller.left:
                    raise ClientLeft
                yield value
        finally:
            if self._loop.forked:
                _end_child()
            values.close()

    def _values_of_async(
        self, values: Any, deadline: float | None, caller: Caller, context: Context
    ) -> Generator[Any, None, None]:
        stream = AsyncValues(self._loop.started(), values, context)
        plain = None
        try:
            while True:
                try:
                    value = stream.next(_until(deadline), caller)
                except StopAsyncIteration:
                    return
                except StreamStopped:
                    raise self.abandoned(caller, deadline) from None
                except NotAsync as found:
                    plain = found.values
                    break
                deadline = None  # because it is for the first value only
                yield value
        finally:
            stream.close(self.timeout)
        yield from self._values_of(plain, caller, context)

    def _finish(self, coroutine: Coroutine[Any, Any, Any], deadline: float | None, caller: Caller) -> Any:
        try:
            return self._loop.run(coroutine, _until(deadline), caller=caller)
        except LoopTimeout:
            raise self.abandoned(caller, deadline) from None
        except (CancelledError, TaskCancelled):
            if caller.left or _is_over(deadline):
                raise self.abandoned(caller, deadline) from None
            raise  # because the model cancelled it itself

    def abandoned(self, caller: Caller, deadline: float | None) -> SrvError:
        """Return why the request was abandoned: its deadline passed, or its client left without one."""
        late = _is_over(deadline)
        return ClientLeft() if caller.left and not late else deadline_passed(deadline, self.timeout)


def deadline_passed(deadline: float | None, timeout: float) -> DeadlinePassed:
    """Return the error of a deadline, which is the client's own or comes of the server's timeout."""
    if isinstance(deadline, ClientDeadline):
        return DeadlinePassed(deadline.seconds, of_client=True)
    return DeadlinePassed(timeout)


def _is_over(deadline: float | None) -> bool:
    return deadline is not None and time.monotonic() >= deadline


def _until(deadline: float | None) -> float | None:
    return None if deadline is None else max(0.0, deadline - time.monotonic())


def _end_child() -> NoReturn:
    """End a process that a model has forked, and that has come back into the worker's code, as a script would end."""
    error = sys.exception()
    with suppress(OSError, ValueError):
        sys.stdout.flush()
        sys.stderr.flush()
    if isinstance(error, SystemExit):
        os._exit(error.code if isinstance(error.code, int) else error.code is not None)
    os._exit(error is not None)

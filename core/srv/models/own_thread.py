"""A thread of a model's own, for libraries whose objects may be used only by the thread that made them."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from queue import SimpleQueue
from typing import Any

from srv.cancellation import Caller
from srv.inner_caller import CALLER

log = logging.getLogger(__name__)


class PendingCall:
    """A call that one thread hands to another, and whose result it waits for."""

    __slots__ = ("_call", "_done", "_error", "_value")

    def __init__(self, call: Callable[[], Any]) -> None:
        self._call: Callable[[], Any] | None = call
        self._done = threading.Lock()
        self._done.acquire()
        self._value: Any = None
        self._error: BaseException | None = None

    def do(self) -> None:
        """Run the call. Called in the other thread, and again where an error raised into that thread broke it off."""
        if self._call is not None:
            try:
                self._value = self._call()
            except BaseException as error:  # noqa: BLE001  result() raises it
                self._error = error
            self._call = None
        if self._done.locked():
            self._done.release()

    def refuse(self, error: BaseException) -> None:
        """Do not run the call; `result` raises the error instead."""
        self._error = error
        self._call = None
        self._done.release()

    def result(self) -> Any:
        """Wait until the call has run; return its value or raise its error."""
        self._done.acquire()
        if self._error is None:
            return self._value
        try:
            raise self._error
        finally:
            self._error = None  # because its traceback refers to this frame


class OwnThread:
    """Calls functions one after the other in one thread, which starts with the first and ends with `stop`."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._calls: deque[PendingCall | None] = deque()
        self._wakes: SimpleQueue[None] = SimpleQueue()
        self._thread: threading.Thread | None = None

    def run(self, call: Callable[[], Any], *, loads: bool = False) -> Any:  # noqa: ARG002  the same signature as MainThread.run
        """Return what a function returns in the thread, or raise what it raises there."""
        if threading.current_thread() is self._thread:
            return call()
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name=self._name, daemon=True)
            self._thread.start()
        caller = CALLER.get()
        pending = PendingCall(call if caller is None else partial(_run_for, caller, call))
        self._put(pending)
        return pending.result()

    def bound(self, method: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function that calls a method in the thread."""
        return lambda *arguments, **named: self.run(partial(method, *arguments, **named))

    def bound_stream(self, method: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function that calls a method in the thread, and gets each value of its iterator there too."""
        return lambda *arguments, **named: _Values(self, self.run(lambda: iter(method(*arguments, **named))))

    def stop(self) -> None:
        """End the thread, after the calls that were handed to it before."""
        self._put(None)

    def _put(self, pending: PendingCall | None) -> None:
        self._calls.append(pending)
        self._wakes.put(None)

    def _work(self) -> None:
        while True:
            try:
                while not self._calls:
                    self._wakes.get()
                pending = self._calls[0]  # stays there until it is done, so that no error raised in between loses it
                if pending is None:
                    return
                pending.do()
                del pending  # because it keeps its result alive
                self._calls.popleft()
            except BaseException:  # raised by another thread into this one, as some libraries do to end what takes long
                log.exception("Something ended a step of the thread '%s', which goes on.", self._name)


def _run_for(caller: Caller, call: Callable[[], Any]) -> Any:
    token = CALLER.set(caller)
    try:
        return call()
    finally:
        CALLER.reset(token)


class _Values:
    """An iterator whose values are made in a model's own thread."""

    def __init__(self, thread: OwnThread, values: Iterator[Any]) -> None:
        self._thread = thread
        self._values = values

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        return self._thread.run(self._values.__next__)

    def close(self) -> None:
        """Close the iterator, where it can be closed."""
        close = getattr(self._values, "close", None)
        if close is not None:
            self._thread.run(close)

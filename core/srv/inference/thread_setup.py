"""Thread setup: `thread_started` of a runtime, called once in each thread before a method of it runs there."""

from __future__ import annotations

import inspect
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from functools import wraps
from types import CoroutineType
from typing import Any

from srv.models.own_thread import OwnThread
from srv.runtime import Runtime

#: A method of a runtime that answers requests.
Method = Callable[..., Any]


class MethodThreads:
    """Threads of one runtime's methods: the model's own if it has one, else any; each set up by `thread_started`."""

    def __init__(self, runtime: Runtime, own: OwnThread | None) -> None:
        start = runtime.thread_started
        is_default = getattr(start, "__func__", None) is Runtime.thread_started
        self._setup = None if is_default else ThreadSetup(start)
        self.own = own

    def bound(self, method: Method) -> Method:
        """Return a method that answers with one value, for any thread to call."""
        if self._setup is not None:
            method = self._setup.before(method)
        return method if self.own is None else self.own.bound(method)

    def bound_stream(self, method: Method) -> Method:
        """Return a method that answers with an iterator, for any thread to call and to take values from."""
        if self._setup is not None:
            method = self._setup.before_stream(method)
        return method if self.own is None else self.own.bound_stream(method)


class ThreadSetup:
    """Calls a function once in each thread, before what is wrapped here runs there. An error of it is that of the call."""

    def __init__(self, start: Callable[[], object]) -> None:
        self._start = start
        self._here = threading.local()

    def ready(self) -> None:
        """Call the function, unless it has returned in this thread before."""
        if not hasattr(self._here, "is_ready"):
            self._start()
            self._here.is_ready = True

    def before(self, method: Method) -> Method:
        """Return a method that answers with one value, sync or async, wrapped."""
        if inspect.iscoroutinefunction(method):

            @wraps(method)
            async def later(*arguments: Any, **named: Any) -> Any:
                self.ready()
                return await method(*arguments, **named)

            return later

        @wraps(method)
        def now(*arguments: Any, **named: Any) -> Any:
            self.ready()
            value = method(*arguments, **named)
            return self._awaited(value) if isinstance(value, CoroutineType) else value

        return now

    def before_stream(self, method: Method) -> Method:
        """Return a method that answers with an iterator, sync or async, wrapped together with what it returns."""

        @wraps(method)
        def call(*arguments: Any, **named: Any) -> Any:
            if not (inspect.iscoroutinefunction(method) or inspect.isasyncgenfunction(method)):
                self.ready()
            return self._stream(method(*arguments, **named))

        return call

    async def _awaited(self, value: Any) -> Any:
        self.ready()
        return await value

    async def _awaited_stream(self, value: Any) -> Any:
        self.ready()
        return self._stream(await value)

    def _stream(self, values: Any) -> Any:
        if isinstance(values, CoroutineType):
            return self._awaited_stream(values)
        return _ReadyAsyncValues(self, values) if hasattr(values, "__aiter__") else _ReadyValues(self, values)


class _Wrapped:
    """An iterator that can do whatever the one in it can."""

    def __init__(self, setup: ThreadSetup, values: Any) -> None:
        self._setup = setup
        self._values = values

    def __getattr__(self, name: str) -> Any:
        return getattr(self._values, name)


class _ReadyValues(_Wrapped):
    """An iterator each of whose values may be made in another thread."""

    def __iter__(self) -> Iterator[Any]:
        self._values = iter(self._values)
        return self

    def __next__(self) -> Any:
        self._setup.ready()
        return next(self._values)


class _ReadyAsyncValues(_Wrapped):
    """An async iterator, whose values are made in the event loop's thread."""

    def __aiter__(self) -> AsyncIterator[Any]:
        self._values = aiter(self._values)
        return self

    def __anext__(self) -> Any:
        self._setup.ready()
        return anext(self._values)

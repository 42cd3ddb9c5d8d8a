"""Requests of plugins and models to models: through the data plane as those of a face, from any thread or event loop."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncGenerator, Callable
from contextvars import Context, copy_context
from typing import Any

from srv.cancellation import Caller, ClientDeadline
from srv.errors import ClientLeft, SrvError
from srv.inference.execution import deadline_passed
from srv.inference.model_failures import AskedInCircle
from srv.inner_caller import CALLER, InnerCaller
from srv.messages import InferenceRequest, InferenceResponse
from srv.metrics_types import Stages
from srv.models.registry import ModelVersion
from srv.planes.asking_threads import AskingThreads
from srv.planes.dataplane import DataPlane
from srv.planes.inner_requests import Inner, InnerStream, NoRequest, Question, copied, read_only

#: How many models may ask each other, one within the other.
MOST_NESTED = 8
_NO_MORE = object()


class BlocksEventLoop(SrvError):
    """A call that waits was made on an event loop, where nothing else could run meanwhile."""

    def __init__(self, method: str) -> None:
        instead = f"await server.a{method}(...)" if method == "infer" else f"async for ... in server.a{method}(...)"
        if method not in ("infer", "stream"):
            instead = f"await asyncio.to_thread(server.{method}, ...)"
        super().__init__(f"server.{method} waits, and this thread runs an event loop. Write {instead} here.")


def check_may_wait(method: str) -> None:
    """Raise BlocksEventLoop where this thread runs an event loop."""
    if asyncio._get_running_loop() is not None:
        raise BlocksEventLoop(method)


class Asking:
    """Asks models for one plugin or model, whose name is the face under which it is counted. Safe in several threads."""

    def __init__(
        self,
        dataplane: DataPlane,
        threads: AskingThreads,
        *,
        face: str,
        asker: str | None,
        caller_here: Callable[[], Caller | None],
        request_timeout: float,
    ) -> None:
        self._dataplane = dataplane
        self._threads = threads
        self._face = face
        #: The title of the model that asks, where one does.
        self._asker = asker
        self._caller_here = caller_here
        self._request_timeout = request_timeout

    def infer(self, question: Question) -> InferenceResponse:
        """Answer as `srv.server.Server.infer` says."""
        check_may_wait("infer")
        inner = self._inner(question, here=True)
        try:
            return self._answer(inner)
        finally:
            inner.caller.stop_listening()

    async def ainfer(self, question: Question) -> InferenceResponse:
        """Answer as `srv.server.Server.ainfer` says."""
        inner = self._inner(question)
        try:
            response: InferenceResponse = await self._in_thread(
                inner, copy_context(), self._answer, inner, until=self._until(inner)
            )
        finally:
            inner.caller.stop_listening()
        return response

    def stream(self, question: Question) -> InnerStream:
        """Answer as `srv.server.Server.stream` says."""
        check_may_wait("stream")
        stream = InnerStream(self._dataplane, self._inner(question, here=True))
        stream.begin()
        return stream

    async def astream(self, question: Question) -> AsyncGenerator[InferenceResponse, None]:
        """Answer as `srv.server.Server.astream` says."""
        inner = self._inner(question)
        stream = InnerStream(self._dataplane, inner)
        context = copy_context()
        until: float | None = self._until(inner)
        try:
            while True:
                response = await self._in_thread(inner, context, next, stream, _NO_MORE, until=until)
                if response is _NO_MORE:
                    return
                until = None  # because it is for the first response only
                yield response
        finally:
            inner.caller.leave()
            closing = asyncio.wrap_future(self._threads.submit(len(inner.caller.models), stream.close, never_full=True))
            if not stream.runs:
                await asyncio.shield(closing)

    def _answer(self, inner: Inner) -> InferenceResponse:
        token = CALLER.set(inner.caller)
        try:
            response = self._dataplane.infer(
                **inner.arguments, found=inner.model, stages=Stages(taken=time.monotonic())
            )
        finally:
            CALLER.reset(token)
        return read_only(response)

    async def _in_thread(
        self, inner: Inner, context: Context, call: Callable[..., Any], *given: Any, until: float | None
    ) -> Any:
        """Return what a call returns in a thread. Raises DeadlinePassed at that time, whatever the call does."""
        try:
            future = self._threads.submit(len(inner.caller.models), context.run, call, *given)
        except SrvError as error:
            self._count_refused(inner, error)
            raise
        waiting = asyncio.wrap_future(future)
        waiting.add_done_callback(_noted)
        try:
            seconds = None if until is None else max(0.0, until - time.monotonic())
            await asyncio.wait((waiting,), timeout=seconds)
        except asyncio.CancelledError:
            inner.caller.leave()
            if future.cancel():
                self._count_refused(inner, ClientLeft())
            raise
        if waiting.done():
            return waiting.result()
        assert until is not None
        inner.caller.leave()
        late = deadline_passed(ClientDeadline(until, until - inner.asked), 0.0)
        if future.cancel():
            self._count_refused(inner, late)
        raise late

    def _count_refused(self, inner: Inner, error: SrvError) -> None:
        """Count a request that never had a thread; what has one counts by itself."""
        self._dataplane.refused(inner.model, error, received=inner.asked, face=self._face, stages=Stages())

    def _inner(self, question: Question, *, here: bool = False) -> Inner:
        """Return the inner request, which runs in this thread or in another one.

        Raises what the data plane raises for an unknown model, AskedInCircle, and ClientLeft.
        """
        name, request, version, deadline, headers = question
        if not isinstance(request, InferenceRequest):
            raise NoRequest(request)
        thread = self._caller_here()
        outer = CALLER.get() or thread
        model = self._dataplane.model(name, version)
        models = self._nested(outer, model)
        deadline = _earlier(deadline, self._due(outer))
        caller = InnerCaller(outer, thread=thread if here else None, models=models)
        if caller.is_gone():
            raise ClientLeft
        inner = Inner(model, version, copied(request, headers), caller, deadline, self._face)
        if thread is not None or here:  # an event loop cancels the task that awaits it by itself
            caller.listen()
        return inner

    def _nested(self, outer: Caller | None, model: ModelVersion) -> tuple[str, ...]:
        """Return the models that ask each other, with the one that is asked now. Raises AskedInCircle."""
        models = outer.models if outer is not None else ()
        if self._asker is not None and models[-1:] != (self._asker,):
            models += (self._asker,)
        asked = (*models, model.title)
        if len(asked) > MOST_NESTED or (model.title in models and _has_slots(model)):
            raise AskedInCircle(asked)
        return asked

    def _until(self, inner: Inner) -> float:
        """Return when nobody waits any more for an inner request."""
        own = inner.asked + (inner.model.settings.request_timeout or self._request_timeout)
        return min(own, own if inner.deadline is None else inner.deadline)

    def _due(self, outer: Caller | None) -> float | None:
        """Return when nobody waits any more for the outer request; None where there is none, or its stream has begun."""
        if outer is None:
            return None
        due = outer.until(self._request_timeout) if outer.due is None else outer.due
        return None if due == math.inf else due


def _noted(waiting: asyncio.Future[Any]) -> None:
    """Look at an outcome that nobody may await any more, because asyncio logs an error that nobody looks at."""
    if not waiting.cancelled():
        waiting.exception()


def _has_slots(model: ModelVersion) -> bool:
    """Return whether only so many requests of a model run at once, so that one that asks it again may wait for itself."""
    limit = getattr(model.runtime, "concurrency", None)
    return model.thread is not None or limit is not None or model.settings.concurrency is not None


def _earlier(one: float | None, other: float | None) -> float | None:
    return min((when for when in (one, other) if when is not None), default=None)

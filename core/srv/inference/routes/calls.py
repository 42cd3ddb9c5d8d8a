"""Calls of a runtime's routes: each runs as predict does, in the model's queue, until its deadline."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from typing import Any

from srv.errors import ClientLeft, ModelError, NotFound, TooLarge, Unimplemented, UnsupportedMedia
from srv.inference.execution import Execution, deadline_passed
from srv.inference.model_failures import SPOKEN, failure_of
from srv.inference.routes.paths import RoutePath
from srv.inference.routes.values import EVENTS, as_response, check_stream_head, event_of_value, piece_of_value
from srv.inference.streamed_values import streamed_values
from srv.messages import ModelRoute
from srv.metrics_types import Stages
from srv.routes import RouteRequest, RouteResponse

log = logging.getLogger(__name__)

#: What a route may raise to say something to the client: that something is not there, too, as predict cannot.
_SPOKEN = (*SPOKEN, NotFound, TooLarge, UnsupportedMedia, Unimplemented)
_END = object()


class RuntimeRoute:
    """One route of a loaded model: what it says of itself, and how it is called. Called from many threads."""

    def __init__(
        self, described: ModelRoute, path: RoutePath, call: Callable[..., Any], execution: Execution, model: str
    ) -> None:
        self.described = described
        self._path = path
        self._call = call
        self._execution = execution
        self._model = model
        self._raised = f"Model '%s' raised in its route {described.title}."

    @property
    def at_root(self) -> bool:
        """Whether it stands at the root, and not below its model."""
        return self._path.at_root

    def match(self, path: str) -> Mapping[str, str] | None:
        """Return the values of the path's fields, or None where the route has another path."""
        return self._path.match(path)

    def answer(self, request: RouteRequest, received: float, stages: Stages) -> RouteResponse:
        """Return the response, whose body is bytes, or for a stream an iterator of bytes that is to be closed.

        The deadline counts from when the request was `received`; a stream's first value comes before it. Raises what
        Execution does, BadRouteValue, and what the method says to the client; a stream does so between two values too.
        """
        execution = self._execution
        deadline = received + execution.timeout
        if time.monotonic() > deadline:  # it has waited for a thread until now, and must not run any more
            raise deadline_passed(deadline, execution.timeout)
        caller = request.caller
        caller.model, caller.due = self._model, deadline
        if self.described.streams:
            return self._streamed(request, deadline, stages)
        began, queued = time.monotonic_ns(), stages.queue
        try:
            value = execution.run(self._call, None, request, deadline, stages)
        except _SPOKEN:
            raise
        except BaseException as error:  # a panic in Rust is no Exception either
            raise failure_of(self._model, error, self._raised) from error
        ran = time.monotonic_ns()
        stages.infer += ran - began - (stages.queue - queued)
        response: RouteResponse = self._sendable(as_response, value)
        stages.output += time.monotonic_ns() - ran
        if caller.is_gone():
            raise ClientLeft
        return response

    def _streamed(self, request: RouteRequest, deadline: float, stages: Stages) -> RouteResponse:
        """Return the head of a stream, whose body gives the rest of it. The first value is made here."""
        execution = self._execution
        values = streamed_values(
            execution.iterate(self._call, None, request, deadline, stages),
            self._model,
            request.caller,
            stages,
            timeout=execution.timeout,
            raised=self._raised,
            spoken=_SPOKEN,
        )
        first: object = next(values, _END)
        head = first if isinstance(first, RouteResponse) else RouteResponse(first, content_type=EVENTS)
        content_type = head.content_type or EVENTS
        is_events = str(content_type).partition(";")[0].strip().lower() == EVENTS
        write = event_of_value if is_events else piece_of_value
        body = StreamedBody(values, lambda value: self._sendable(write, value), stages)
        try:
            self._sendable(check_stream_head, head)
            if head.body is not _END and not (head is first and head.body == b""):
                body.add(head.body)
        except BaseException:
            body.close()
            raise
        return RouteResponse(body, head.status, content_type, head.headers)

    def _sendable(self, write: Callable[[Any, str], Any], value: object) -> Any:
        """Return what `write` makes of a value of the model's. A value that cannot be sent is logged."""
        try:
            return write(value, self.described.title)
        except ModelError as error:
            log.error("Model '%s': %s", self._model, error)  # noqa: TRY400  the sentence says it all
            raise
        except BaseException as error:  # a value's own methods may raise anything
            raise failure_of(
                self._model, error, "What model '%s' returned from a route could not be encoded."
            ) from error


class StreamedBody:
    """The bytes of a stream, one piece for each value, made as they are asked for."""

    def __init__(self, values: Generator[Any, None, None], write: Callable[[object], bytes], stages: Stages) -> None:
        self._values = values
        self._write = write
        self._stages = stages
        self._made: list[bytes] = []

    def add(self, value: object) -> None:
        """Put a value that is made already before the others."""
        self._made.append(self._write(value))

    def __iter__(self) -> Iterator[bytes]:
        yield from self._made
        for value in self._values:
            began = time.monotonic_ns()
            piece = self._write(value)
            self._stages.output += time.monotonic_ns() - began
            yield piece

    def close(self) -> None:
        """End the model's own iterator."""
        self._values.close()

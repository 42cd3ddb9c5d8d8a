"""Routes of a runtime in a process of its own, as the faces of a worker see them."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Mapping
from functools import partial
from typing import Any

from srv.channels.frames import Frame, FrameKind
from srv.errors import ClientLeft
from srv.inference.execution import deadline_passed
from srv.inference.routes.paths import RoutePath
from srv.messages import ModelRoute
from srv.metrics_types import Stages
from srv.processes.asking_processes import WINDOW, Processes, frames_of
from srv.processes.exchange import add_times, route_head
from srv.routes import RouteRequest, RouteResponse


class DistantRoute:
    """One route, by its number in the process. Called from many threads."""

    def __init__(self, number: int, described: ModelRoute, processes: Processes) -> None:
        self._number = number
        self.described = described
        self._path = RoutePath(described.path)
        self._processes = processes

    @property
    def at_root(self) -> bool:
        """Whether it stands at the root, and not below its model."""
        return self._path.at_root

    def match(self, path: str) -> Mapping[str, str] | None:
        """Return the values of the path's fields, or None where the route has another path."""
        return self._path.match(path)

    def answer(self, request: RouteRequest, received: float, stages: Stages) -> RouteResponse:
        """Return the response, whose body is bytes, or for a stream an iterator of bytes that is to be closed.

        Raises what the process says, ProcessDied, QueueFull and DeadlinePassed.
        """
        execution = self._processes.execution
        deadline = received + execution.timeout
        if time.monotonic() > deadline:  # it has waited for a thread until now, and must not run any more
            raise deadline_passed(deadline, execution.timeout)
        caller = request.caller
        caller.model, caller.due = self._processes.name, deadline
        head = {**route_head(request, self._number, received), "credit": WINDOW}
        if self.described.streams:
            begin = partial(self._processes.call, FrameKind.ROUTE, head, (), caller, deadline)
            frames = frames_of(begin, execution, caller, deadline, stages)
            first = next(frames).head
            return _response(first, _Pieces(frames))
        execution.enter()
        try:
            execution.acquire(deadline, stages, caller)
            try:
                began = time.monotonic_ns()
                frame = self._processes.ask(FrameKind.ROUTE, head, (), caller, deadline)
                add_times(stages, frame.head, time.monotonic_ns() - began)
            finally:
                execution.release()
        finally:
            execution.leave()
        if caller.is_gone():
            raise ClientLeft
        return _response(frame.head, frame.head["body"])


class _Pieces:
    """The body of a stream, in pieces."""

    def __init__(self, frames: Generator[Frame, None, None]) -> None:
        self._frames = frames

    def __iter__(self) -> Iterator[bytes]:
        for frame in self._frames:
            yield frame.head["piece"]

    def close(self) -> None:
        """End the model's own iterator."""
        self._frames.close()


def _response(head: Mapping[str, Any], body: Any) -> RouteResponse:
    return RouteResponse(body, head["status"], head["content_type"], head["headers"])

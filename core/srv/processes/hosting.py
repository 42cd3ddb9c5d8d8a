"""Hosting: answers what workers ask of the one model of this process."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, suppress
from typing import Any

from srv.cancellation import Caller
from srv.channels.answering import answer_calls
from srv.channels.carried_errors import error_head
from srv.channels.channel import Channel
from srv.channels.errors import ChannelClosed, UnsendableFrame
from srv.channels.frames import Frame, FrameKind
from srv.errors import ClientLeft, ModelError, SrvError
from srv.inference.model_failures import failure_of
from srv.metrics_types import Stages
from srv.models.registry import ModelVersion
from srv.processes.exchange import (
    due_of,
    request_of,
    response_head,
    route_request_of,
    route_response_head,
    times_of,
)
from srv.processes.request_log import REQUEST_ID
from srv.tensors import EMPTY

log = logging.getLogger(__name__)

#: Kinds of frames that begin a call.
_CALLS = (FrameKind.REQUEST, FrameKind.STREAM, FrameKind.ROUTE)


class DistantCaller(Caller):
    """The caller of a call, in the process that answers it. Whoever answers first answers alone."""

    __slots__ = ("_answered", "_guard", "_more", "channel", "credit", "number", "thread")

    def __init__(self, channel: Channel, number: int) -> None:
        super().__init__(time.monotonic())
        self.channel = channel
        self.number = number
        self.thread = threading.get_ident()
        self._guard = threading.Lock()
        self._answered = False
        #: How many values of a stream the worker takes now.
        self.credit = 0
        self._more: threading.Condition | None = None  # made for streams only, because it takes microseconds

    def answer(self, kind: int, head: Any, tensors: Any = (), *, last: bool = True) -> None:
        """Send a frame of the answer; nothing after the last one. A worker that has gone gets nothing."""
        with self._guard:
            if self._answered:
                return
            self._answered = last
        with suppress(ChannelClosed):
            self.channel.send(kind, self.number, head, tensors)

    def abandon(self) -> None:
        """Note that nobody waits any more, and tell the worker at once, whatever runs goes on to do."""
        self.answer(FrameKind.ERROR, error_head(ClientLeft()))
        self.leave()
        self.add_credit(0)

    def add_credit(self, more: int) -> None:
        """Let so many further values of a stream go."""
        with self._guard:
            self.credit += more
            if self._more is not None:
                self._more.notify_all()

    def take_credit(self) -> bool:
        """Wait until a further value may go; return whether anybody still wants one."""
        with self._guard:
            self._more = self._more or threading.Condition(self._guard)
            self._more.wait_for(lambda: self.credit > 0 or self.left or self.channel.closed)
            self.credit -= 1
            return not self.left and not self.channel.closed


class Hosting:
    """Answers calls over the channels of all workers. Safe in several threads."""

    def __init__(self, model: ModelVersion) -> None:
        self._model = model
        self._guard = threading.Lock()
        self._running: dict[tuple[int, int], DistantCaller] = {}
        self._channels: list[Channel] = []

    def serve(self, channel: Channel) -> None:
        """Answer the calls of a worker from now on, until it is gone."""
        with self._guard:
            self._channels.append(channel)
        threading.Thread(target=self._serve, args=(channel,), name="srv-channel", daemon=True).start()

    def running(self) -> list[DistantCaller]:
        """Return the calls that run now."""
        with self._guard:
            return [*self._running.values()]

    def tick(self) -> None:
        """Give idle memory back; called about once a second."""
        with self._guard:
            channels = [*self._channels]
        for channel in channels:
            with suppress(SrvError):
                channel.tick()

    def descriptors(self) -> list[int]:
        """Return the descriptors of all channels."""
        return [channel.fileno() for channel in self._channels]

    def _serve(self, channel: Channel) -> None:
        answer_calls(channel, lambda frame: self._handle(channel, frame), name=f"srv-{self._model.name}")
        with self._guard:
            self._channels.remove(channel)
            left = [caller for (of, _), caller in self._running.items() if of == id(channel)]
        for caller in left:  # because their worker has ended
            caller.abandon()

    def _handle(self, channel: Channel, frame: Frame) -> None:
        if frame.kind in _CALLS:
            self._answer(DistantCaller(channel, frame.call), frame)
            return
        with self._guard:
            caller = self._running.get((id(channel), frame.call))
        if caller is not None and frame.kind == FrameKind.CANCEL:
            caller.abandon()
        elif caller is not None and frame.kind == FrameKind.MORE and isinstance(frame.head, int):
            caller.add_credit(frame.head)

    def _answer(self, caller: DistantCaller, frame: Frame) -> None:
        key = (id(caller.channel), caller.number)
        with self._guard:
            self._running[key] = caller
        answers: Mapping[int, Callable[[DistantCaller, Frame], None]] = {
            FrameKind.REQUEST: self._infer,
            FrameKind.STREAM: self._stream,
            FrameKind.ROUTE: self._route,
        }
        try:
            REQUEST_ID.set(frame.head.get("headers", EMPTY).get("x-request-id"))
            answers[frame.kind](caller, frame)
        except UnsendableFrame as error:
            log.error("What model '%s' answered cannot be sent: %s", self._model.title, error)  # noqa: TRY400
            caller.answer(FrameKind.ERROR, error_head(ModelError(str(error))))
        except SrvError as error:
            caller.answer(FrameKind.ERROR, error_head(error))
        except BaseException as error:  # noqa: BLE001  whatever it is, somebody waits
            failure = failure_of(self._model.name, error, "A request to model '%s' failed.")
            caller.answer(FrameKind.ERROR, error_head(failure))
        finally:
            with self._guard:
                self._running.pop(key, None)

    def _infer(self, caller: DistantCaller, frame: Frame) -> None:
        stages = Stages()
        request = request_of(frame, self._model.name, caller)
        due = due_of(frame.head)
        assert self._model.answer is not None
        response = self._model.answer(request, due, stages)
        caller.answer(FrameKind.RESPONSE, response_head(response, stages), response.outputs)

    def _stream(self, caller: DistantCaller, frame: Frame) -> None:
        stages = Stages()
        request = request_of(frame, self._model.name, caller)
        caller.credit = frame.head["credit"]
        assert self._model.stream is not None
        with closing(self._model.stream(request, due_of(frame.head), stages)) as responses:
            for response in _while_wanted(responses, caller):
                caller.answer(FrameKind.ITEM, response_head(response, stages), response.outputs, last=False)
        caller.answer(FrameKind.END, {"stages": times_of(stages)})

    def _route(self, caller: DistantCaller, frame: Frame) -> None:
        stages = Stages()
        route = self._model.routes[frame.head["route"]]
        response = route.answer(route_request_of(frame.head, caller), frame.head["received"], stages)
        if not route.described.streams:
            caller.answer(FrameKind.ROUTE_RESPONSE, route_response_head(response, response.body, stages))
            return
        caller.due = math.inf
        caller.credit = frame.head["credit"]
        with closing(response.body) as body:
            caller.answer(FrameKind.ROUTE_RESPONSE, route_response_head(response, b"", stages), last=False)
            for piece in _while_wanted(iter(body), caller):
                caller.answer(FrameKind.ITEM, {"piece": piece, "stages": times_of(stages)}, last=False)
        caller.answer(FrameKind.END, {"stages": times_of(stages)})


def _while_wanted(values: Iterator[Any], caller: DistantCaller) -> Iterator[Any]:
    """Yield values as long as the worker takes them, each made when it is wanted. Raises ClientLeft."""
    while True:
        if not caller.take_credit():
            raise ClientLeft
        try:
            value = next(values)
        except StopIteration:
            return
        caller.due = math.inf  # because the deadline is for the first value only
        yield value

"""Asks a model that runs in processes of its own: in place of the pipeline, with batches and slots of the worker."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Generator, Sequence
from functools import partial
from typing import Any, Self

from srv.cancellation import Caller
from srv.channels.calls import ChannelCall
from srv.channels.carried_errors import error_of
from srv.channels.errors import ChannelClosed
from srv.channels.frames import Frame, FrameKind
from srv.inference.batching.batches import LONG_RUN, Batching
from srv.inference.batching.merging import bare
from srv.inference.event_loop import EventLoop
from srv.inference.execution import Execution
from srv.messages import InferenceRequest, InferenceResponse
from srv.metrics_types import Stages
from srv.model_settings import ModelSettings
from srv.processes.descriptions import ModelDescription
from srv.processes.errors import NoAnswer
from srv.processes.exchange import add_times, request_head, response_of
from srv.processes.leases import ProcessLease
from srv.processes.serving_processes import ServingProcess
from srv.settings import ServerSettings
from srv.tensors import Tensor

#: A call tells its face beforehand that it waits where more of the calls lately took long, the last one counting so much:
#: because to hand the lead to another thread costs more than a small prediction, and any call may be late now and then.
_OFTEN, _WEIGHT = 0.5, 1 / 16
#: How many values of a stream a process sends before the worker has taken the first.
WINDOW = 8


class Processes:
    """Begins calls to a model's processes, with the worker's slots and deadlines. Called from many threads."""

    def __init__(
        self,
        model: ModelSettings,
        described: ModelDescription,
        lease: ProcessLease,
        loop: EventLoop,
        settings: ServerSettings,
    ) -> None:
        limit = described.concurrency
        self.name = model.name
        self.lease = lease
        self.execution = Execution(
            model.name,
            concurrency=None if limit is None else limit * lease.count,
            max_queue=model.max_queue if model.max_queue is not None else settings.max_queue,
            timeout=model.request_timeout or settings.request_timeout,
            loop=loop,
        )
        #: The share of calls that took long lately.
        self._slowness = 0.0

    def call(self, kind: int, head: Any, tensors: Sequence[Tensor], caller: Caller, until: float | None) -> ProcessCall:
        """Begin a call in the least busy process. Raises NoProcess, ProcessDied, DeadlinePassed."""
        while True:
            member = self.lease.least_busy()
            try:
                call = member.open(kind, head, tensors, until)
            except ChannelClosed:  # it has ended before it got anything of this
                self.lease.drop(member)
                continue
            return ProcessCall(self, member, call, caller, until)

    def ask(self, kind: int, head: Any, tensors: Sequence[Tensor], caller: Caller, until: float | None) -> Frame:
        """Return the one frame that answers a call. Raises what the process says, ProcessDied, DeadlinePassed."""
        if self._slowness > _OFTEN:
            caller.will_block()
        began = time.monotonic()
        with self.call(kind, head, tensors, caller, until) as call:
            frame = call.next()
            call.is_over = True
        self._slowness += _WEIGHT * ((time.monotonic() - began > LONG_RUN) - self._slowness)
        return frame


class ProcessCall:
    """One call in a process; when it is left before its end, the process is told."""

    def __init__(
        self, processes: Processes, member: ServingProcess, call: ChannelCall, caller: Caller, until: float | None
    ) -> None:
        self._processes = processes
        self._member = member
        self._call = call
        self._caller = caller
        self._until = until
        #: Whether the last frame has come.
        self.is_over = False

    def __enter__(self) -> Self:
        self._caller.on_cancel(partial(self._member.cancel, self._call))
        return self

    def __exit__(self, *raised: object) -> None:
        self._caller.on_cancel(None)
        if self.is_over:
            self._member.end(self._call)
        else:
            self._member.abandon(self._call, self._until)

    def next(self) -> Frame:
        """Return the next frame. Raises what the process says, ProcessDied, and DeadlinePassed before the first."""
        frame = self._member.receive(self._call, self._until)
        if frame is None:
            raise self._processes.execution.abandoned(self._caller, self._until)
        self._until = None  # because the deadline is for the first frame only
        for descriptor in frame.descriptors:  # no answer brings any
            os.close(descriptor)
        if frame.kind == FrameKind.ERROR:
            self.is_over = True
            raise error_of(frame.head)
        if not _is_answer(frame.head):
            raise NoAnswer(self._processes.name)
        return frame

    def more(self, count: int) -> None:
        """Let so many further values of a stream come."""
        self._call.send(FrameKind.MORE, count)


class DistantAnswering:
    """Answers requests to one model from its processes; stands where `Answering` does for a model of the worker."""

    def __init__(self, model: ModelSettings, described: ModelDescription, processes: Processes) -> None:
        self._name = model.name
        self._processes = processes
        self._execution = processes.execution
        self._takes_batches = described.takes_batches
        self.batching: Batching | None = None
        most = described.metadata.max_batch_size
        if most > 1:
            self.batching = Batching(model.name, self._ask, self._execution, most=most, max_wait=model.max_batch_time)

    def __call__(self, request: InferenceRequest, deadline: float | None, stages: Stages) -> InferenceResponse:
        """Return the response to one request. Raises what its process says, ProcessDied, QueueFull, DeadlinePassed."""
        caller = request.caller
        caller.model, caller.due = self._name, deadline
        if self.batching is not None:
            response = self.batching.answer(bare(request), deadline, stages)
        else:
            response = self._alone(request, deadline, stages)
            stages.executions = 1
        stages.elements = self._elements(request)
        return response

    def _alone(self, request: InferenceRequest, deadline: float | None, stages: Stages) -> InferenceResponse:
        """Return the response to a request that runs by itself, when it has a slot."""
        execution = self._execution
        execution.enter()
        try:
            execution.acquire(deadline, stages, request.caller)
            try:
                return self._ask(request, deadline, stages)
            finally:
                execution.release()
        finally:
            execution.leave()

    def stream(
        self, request: InferenceRequest, deadline: float | None, stages: Stages
    ) -> Generator[InferenceResponse, None, None]:
        """Yield the responses to one request, as they come; the first one comes before the deadline."""
        caller = request.caller
        caller.model, caller.due = self._name, deadline
        stages.elements = self._elements(request)
        stages.executions = 1
        head = {**request_head(request, deadline), "credit": WINDOW}
        begin = partial(self._processes.call, FrameKind.STREAM, head, request.inputs, caller, deadline)
        for frame in frames_of(begin, self._execution, caller, deadline, stages):
            yield response_of(frame)

    def waiting(self) -> int:
        """Return how many requests wait for a slot, or for others to run with."""
        return self._execution.waiting if self.batching is None else self.batching.waiting

    @property
    def has_queue(self) -> bool:
        """Whether requests may have to wait in this worker."""
        return self.batching is not None or self._execution.has_queue

    def _ask(self, request: InferenceRequest, deadline: float | None, stages: Stages) -> InferenceResponse:
        began = time.monotonic_ns()
        head = request_head(request, deadline)
        frame = self._processes.ask(FrameKind.REQUEST, head, request.inputs, request.caller, deadline)
        add_times(stages, frame.head, time.monotonic_ns() - began)
        return response_of(frame)

    def _elements(self, request: InferenceRequest) -> int:
        has_rows = self._takes_batches and request.inputs and request.inputs[0].shape
        return request.inputs[0].shape[0] if has_rows else 1


def _is_answer(head: Any) -> bool:
    """Return whether a head has where the time went, as every answer has it."""
    times = head.get("stages") if isinstance(head, dict) else None
    return isinstance(times, list) and len(times) == 4 and all(type(each) is int for each in times)


def frames_of(
    begin: Callable[[], ProcessCall], execution: Execution, caller: Caller, deadline: float | None, stages: Stages
) -> Generator[Frame, None, None]:
    """Yield the frames of a stream, which has a slot until it ends or is closed."""
    caller.on_cancel(None)  # because a face notices a disconnect only from the first registration on
    execution.enter()
    try:
        execution.acquire(deadline, stages, caller)
        try:
            with begin() as call:
                yield from _frames(call, caller, stages)
        finally:
            execution.release()
    finally:
        execution.leave()


def _frames(call: ProcessCall, caller: Caller, stages: Stages) -> Generator[Frame, None, None]:
    taken = 0
    before = Stages(queue=stages.queue, input=stages.input, infer=stages.infer, output=stages.output)
    while True:
        frame = call.next()
        caller.due = math.inf
        stages.queue, stages.input, stages.infer, stages.output = (
            before.queue,
            before.input,
            before.infer,
            before.output,
        )
        add_times(stages, frame.head)
        if frame.kind == FrameKind.END:
            call.is_over = True
            return
        yield frame
        taken += 1
        if taken % (WINDOW // 2) == 0:
            call.more(WINDOW // 2)

"""Batches: requests to one model that come at the same time run as one, and each gets its own part of the answer.

Nobody works for others: whoever comes while the model runs, and finds no batch to join, begins one and leads it. They
wait for company as long as that pays, run the batch in their own thread and wake the others, who wait on a lock each.
Who comes while nothing runs goes on alone, at the price of one look under a lock.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from itertools import pairwise

from srv.counts import Stages
from srv.errors import DeadlinePassed, ModelError, QueueFull, Unavailable
from srv.execution import Execution
from srv.gathering import Batch, Member, Turn
from srv.merging import Likeness, divided, likeness_of, merged, rows_of
from srv.messages import InferenceRequest, InferenceResponse
from srv.tensors import Tensor

log = logging.getLogger(__name__)

#: Decodes a request, runs predict and encodes what that returns. The caller has a place.
Run = Callable[[InferenceRequest, float | None, Stages], InferenceResponse]
#: What is no fault of one request: it is everybody's, and trying them one by one would not help.
EVERYBODYS = (DeadlinePassed, Unavailable, QueueFull)
#: What took longer than this many seconds the last time is not run by a thread that others wait for.
LONG = 0.0003
#: After so many waits to which nobody came, only every so many-th leader waits.
VAIN_WAITS = 4
TRIED_AGAIN = 16


class RowsLost(ModelError):
    """A model answered a batch with another number of rows, so that nobody knows whose they are."""

    def __init__(self, model: str, output: Tensor, rows: int) -> None:
        super().__init__(
            f"Model '{model}' has a max_batch_size and got {rows} rows, but its output '{output.name}' has the shape "
            f"{list(output.shape)}; each output must have one row for each row of the inputs."
        )


class Batching:
    """Answers requests to one model, several at once where they are alike; called from many threads."""

    def __init__(self, name: str, run: Run, execution: Execution, *, most: int, patience: float) -> None:
        self._name = name
        self._run = run
        self._execution = execution
        self._most = most
        self._patience = patience
        self._lock = threading.Lock()
        #: The batches that may be joined, the oldest first.
        self._open: dict[Likeness, Batch] = {}
        self._running = 0
        self._waiting = 0
        self._vain_waits = 0
        self._takes_long = False

    @property
    def waiting(self) -> int:
        """How many requests wait, for company or for the model's concurrency."""
        return self._waiting + self._execution.waiting

    def answer(self, request: InferenceRequest, deadline: float | None, stages: Stages) -> InferenceResponse:
        """The response to one request, which may run with others as one.

        Raises as `Execution.run`, what predict raises, and RowsLost.
        """
        execution = self._execution
        execution.enter()
        try:
            with self._lock:
                free = not (self._running or self._open)
                if free:
                    self._running += 1
            if not free:
                return self._with_others(request, deadline, stages)
            try:
                execution.take(deadline, stages, request.caller)
                return self._run_one(request, deadline, stages)
            finally:
                self._ended()
        finally:
            execution.leave()

    # -- alone ---------------------------------------------------------------------------------------------------------

    def _alone(self, request: InferenceRequest, deadline: float | None, stages: Stages) -> InferenceResponse:
        """Run what nothing can be merged with."""
        with self._lock:
            self._running += 1
        try:
            self._execution.take(deadline, stages, request.caller)
            return self._run_one(request, deadline, stages)
        finally:
            self._ended()

    def _run_one(self, request: InferenceRequest, deadline: float | None, stages: Stages) -> InferenceResponse:
        """Run one request, with a place. The answer is checked as a batch's is, so that a model's fault shows at once."""
        if self._takes_long:
            request.caller.blocks()
        began = time.monotonic()
        try:
            response = self._run(request, deadline, stages)
        finally:
            self._execution.release()
            self._takes_long = time.monotonic() - began > LONG
        rows = rows_of(request)
        if rows is not None:
            self._check_rows(response, rows)
        stages.executions = 1
        size = rows or 1
        stages.batch = size if size <= self._most else 0  # because the sizes that clients choose have no end
        return response

    # -- in a batch ----------------------------------------------------------------------------------------------------

    def _with_others(self, request: InferenceRequest, deadline: float | None, stages: Stages) -> InferenceResponse:
        rows = rows_of(request)
        likeness = likeness_of(request) if rows and rows < self._most else None
        if rows is None or likeness is None:
            return self._alone(request, deadline, stages)
        request.caller.stops(None)  # so that it listens
        member = Member(request, rows, deadline, stages)
        batch = self._join(member, likeness)
        return self._lead(batch, member) if batch.leader is member else self._follow(batch, member)

    def _join(self, member: Member, likeness: Likeness) -> Batch:
        """The batch that a request is in now; it leads that where there was none with room. Raises ModelBusy."""
        with self._lock:
            self._execution.check_queue(self.waiting)
            self._waiting += 1
            batch = self._open.get(likeness)
            if batch is not None and batch.rows + member.rows > self._most:
                self._close(batch)
                batch = None
            if batch is None:
                batch = Batch(likeness, member, time.monotonic() + self._patience)
                batch.called = not self._company_pays()
                self._open[likeness] = batch
                return batch
            batch.members.append(member)
            batch.rows += member.rows
            if batch.rows == self._most:
                self._close(batch)
            return batch

    def _company_pays(self) -> bool:
        """Whether a leader should wait: something runs meanwhile, and others came the last times."""
        if self._patience <= 0 or not self._running:
            return False
        if self._vain_waits < VAIN_WAITS:
            return True
        self._vain_waits += 1
        return self._vain_waits % TRIED_AGAIN == 0

    def _close(self, batch: Batch) -> None:
        """Let nobody join any more, and have it run as soon as it may. The caller has the lock."""
        if self._open.get(batch.likeness) is batch:
            del self._open[batch.likeness]
        batch.call()

    def _ended(self) -> None:
        """Something has run; the batch that has waited longest need not wait for company any more."""
        with self._lock:
            self._running -= 1
            for batch in self._open.values():
                if not batch.called:
                    batch.call()
                    return

    def _withdrawn(self, batch: Batch, member: Member) -> Exception:
        """Take somebody out of a batch; another one leads then. Gives what to raise. The caller has the lock."""
        member.turn = Turn.LEAVE
        if not batch.started:
            self._waiting -= 1
            batch.members.remove(member)
            batch.rows -= member.rows
            if not batch.members:
                self._close(batch)
            elif batch.leader is member:
                batch.leader = batch.members[0]
                batch.leader.call(Turn.LEAD)
        return self._why(member)

    def _why(self, member: Member) -> Exception:
        return self._execution.over(member.request.caller, member.deadline)

    # -- following -----------------------------------------------------------------------------------------------------

    def _follow(self, batch: Batch, member: Member) -> InferenceResponse:
        caller = member.request.caller
        caller.stops(member.rouse)
        try:
            caller.blocks()
            member.wait(member.deadline)
        finally:
            caller.stops(None)
        if member.turn is Turn.WAIT:
            with self._lock:
                if member.turn is Turn.WAIT:  # else somebody spoke in this moment
                    raise self._withdrawn(batch, member)
        if member.next is not None:
            member.next.resume()
        if member.turn is Turn.LEAD:
            return self._lead(batch, member)
        return self._once_more(member) if member.turn is Turn.RUN_ALONE else self._taken(member)

    def _taken(self, member: Member) -> InferenceResponse:
        """What the batch has brought somebody."""
        if member.error is not None:
            raise member.error
        if member.past:
            raise self._why(member)
        assert member.response is not None
        return member.response

    def _once_more(self, member: Member) -> InferenceResponse:
        """Run somebody alone who ran in a batch that failed, and has waited already."""
        with self._lock:
            self._running += 1
        try:
            if member.late or not self._execution.wait(member.deadline, member.request.caller):
                raise self._why(member)
            return self._run_one(member.request, member.deadline, member.stages)
        finally:
            self._ended()

    # -- leading -------------------------------------------------------------------------------------------------------

    def _lead(self, batch: Batch, leader: Member) -> InferenceResponse:
        leader.request.caller.blocks()
        too_late = leader.deadline is not None and leader.deadline <= batch.until
        if not batch.called:
            leader.wait(leader.deadline if too_late else batch.until)
        with self._lock:
            patient = not batch.called
            if patient and too_late:
                raise self._withdrawn(batch, leader)
            batch.called = True
        self._take_place(batch, leader)
        with self._lock:
            members = self._start(batch, leader)
            if len(members) > 1:
                self._vain_waits = 0
            elif patient:
                self._vain_waits += 1
        began = time.monotonic_ns()
        for member in members:
            member.stages.queue += began - member.arrived
        if len(members) > 1:
            return self._run_together(members, leader)
        try:
            return self._run_one(leader.request, leader.deadline, leader.stages)
        finally:
            self._ended()

    def _take_place(self, batch: Batch, leader: Member) -> None:
        """Have a place for the batch. Where the leader's time is over before, another one leads, and it is raised."""
        execution = self._execution
        has_place = execution.take_now()
        if not has_place:
            with self._lock:
                self._waiting -= 1  # who waits for a place is counted there
            has_place = execution.wait(leader.deadline, leader.request.caller)
            with self._lock:
                self._waiting += 1
        if has_place and not leader.late:
            return
        if has_place:
            execution.release()
        with self._lock:
            raise self._withdrawn(batch, leader)

    def _start(self, batch: Batch, leader: Member) -> list[Member]:
        """Those who are to run. Who is late wakes by itself, and never runs. The caller has the lock."""
        self._close(batch)
        batch.started = True
        self._running += 1
        self._waiting -= len(batch.members)
        return [member for member in batch.members if member is leader or not member.late]

    def _run_together(self, members: Sequence[Member], leader: Member) -> InferenceResponse:
        others = [member for member in members if member is not leader]
        stages = Stages()
        try:
            response = self._run_merged(members, stages)
            parts = divided(response, [member.rows for member in members])
        except (*EVERYBODYS, RowsLost) as error:
            for member in others:
                member.error = error
            self._call(others, Turn.TAKE)
            raise
        except BaseException as error:
            log.info("%d requests to model '%s' ran as one and failed; each runs alone now.", len(members), self._name)
            self._call(others, Turn.RUN_ALONE)
            if not isinstance(error, Exception):
                raise
            return self._once_more(leader)
        _count(members, leader, stages)
        for member, part in zip(members, parts, strict=True):
            member.response = part
        self._call(others, Turn.TAKE)
        return self._taken(leader)

    def _call(self, members: Sequence[Member], turn: Turn) -> None:
        """Tell those who still wait what to do; each has the next go on."""
        with self._lock:
            waiting = [member for member in members if member.turn is Turn.WAIT]
            for member, after in pairwise(waiting):
                member.next = after
            for member in waiting:
                member.turn = turn
        if waiting:
            waiting[0].resume()

    def _run_merged(self, members: Sequence[Member], stages: Stages) -> InferenceResponse:
        """What the model answers to all of them, checked."""
        deadlines = [member.deadline for member in members]
        until = None if None in deadlines else max(deadline for deadline in deadlines if deadline is not None)
        try:
            response = self._run(merged([member.request for member in members]), until, stages)
        finally:
            self._execution.release()
            self._ended()
        self._check_rows(response, sum(member.rows for member in members))
        return response

    def _check_rows(self, response: InferenceResponse, rows: int) -> None:
        for tensor in response.outputs:
            if not tensor.shape or tensor.shape[0] != rows:
                error = RowsLost(self._name, tensor, rows)
                log.error("%s", error)
                raise error


def _count(members: Sequence[Member], leader: Member, stages: Stages) -> None:
    """Tell everybody where the time went; the execution is counted with one who gets an answer."""
    staying = [member for member in members if member.turn is not Turn.LEAVE and not member.past]
    for member in staying:
        member.stages.input += stages.input
        member.stages.infer += stages.infer
        member.stages.output += stages.output
    counted = leader if leader in staying or not staying else staying[0]
    counted.stages.executions = 1
    counted.stages.batch = sum(member.rows for member in members)

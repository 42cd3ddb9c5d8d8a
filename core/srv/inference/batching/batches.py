"""Batches: requests to one model that arrive at the same time run as one, and each gets its own part of the response.

There is no batching thread. A request that arrives while the model runs joins a batch; the first member of a batch is
its leader. The leader's thread waits for more members as long as that is worthwhile, runs the batch, and wakes the
threads of the others, each of which waits on a lock. A request that arrives while nothing runs takes one lock, and runs.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from itertools import pairwise

from srv.errors import DeadlinePassed, ModelError, QueueFull, Unavailable
from srv.inference.batching.merging import BatchKey, batch_key, merged, rows_of, split
from srv.inference.batching.waiting_requests import Batch, Member, MemberState
from srv.inference.execution import Execution
from srv.inner_caller import CALLER, BatchCaller
from srv.messages import InferenceRequest, InferenceResponse
from srv.metrics_types import Stages
from srv.tensors import Tensor

log = logging.getLogger(__name__)

#: Decodes a request, runs predict and encodes what that returns. The caller has a slot.
Run = Callable[[InferenceRequest, float | None, Stages], InferenceResponse]
#: Errors that are not due to one request, so that running the requests one by one would not help.
SHARED_ERRORS = (DeadlinePassed, Unavailable, QueueFull)
#: After a run that took longer than this many seconds, the thread tells its face before the next run.
LONG_RUN = 0.0003
#: After so many waits in which no request joined, only one of RETRY_EVERY leaders waits.
MAX_FRUITLESS_WAITS = 4
RETRY_EVERY = 16


class RowsLost(ModelError):
    """A model answered a batch with another number of rows, so that they cannot be given to its requests."""

    def __init__(self, model: str, output: Tensor, rows: int) -> None:
        super().__init__(
            f"Model '{model}' has a max_batch_size and got {rows} rows, but its output '{output.name}' has the shape "
            f"{list(output.shape)}; each output must have one row for each row of the inputs."
        )


class Batching:
    """Answers requests to one model, several at once where their keys are equal. Called from many threads."""

    def __init__(self, name: str, run: Run, execution: Execution, *, most: int, max_wait: float) -> None:
        self._name = name
        self._run = run
        self._execution = execution
        self._most = most
        self._max_wait = max_wait
        self._lock = threading.Lock()
        #: The batches that requests may join, the oldest first.
        self._open: dict[BatchKey, Batch] = {}
        self._running = 0
        self._waiting = 0
        self._fruitless_waits = 0
        self._takes_long = False

    @property
    def waiting(self) -> int:
        """How many requests wait, for other members or for a slot."""
        return self._waiting + self._execution.waiting

    def answer(self, request: InferenceRequest, deadline: float | None, stages: Stages) -> InferenceResponse:
        """Return the response to one request, which may run with others as one.

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
                execution.acquire(deadline, stages, request.caller)
                return self._run_one(request, deadline, stages)
            finally:
                self._run_ended()
        finally:
            execution.leave()

    # -- one request ---------------------------------------------------------------------------------------------------------

    def _run_alone(self, request: InferenceRequest, deadline: float | None, stages: Stages) -> InferenceResponse:
        """Run a request that cannot be merged with others."""
        with self._lock:
            self._running += 1
        try:
            self._execution.acquire(deadline, stages, request.caller)
            return self._run_one(request, deadline, stages)
        finally:
            self._run_ended()

    def _run_one(self, request: InferenceRequest, deadline: float | None, stages: Stages) -> InferenceResponse:
        """Run one request, which has a slot. Check the number of rows as for a batch, so that a model's fault shows at once."""
        if self._takes_long:
            request.caller.will_block()
        began = time.monotonic()
        try:
            response = self._run(request, deadline, stages)
        finally:
            self._execution.release()
            self._takes_long = time.monotonic() - began > LONG_RUN
        rows = rows_of(request)
        if rows is not None:
            self._check_rows(response, rows)
        stages.executions = 1
        size = rows or 1
        stages.batch = (
            size if size <= self._most else 0
        )  # because clients may choose any size, and each would be counted
        return response

    # -- joining ----------------------------------------------------------------------------------------------------

    def _with_others(self, request: InferenceRequest, deadline: float | None, stages: Stages) -> InferenceResponse:
        rows = rows_of(request)
        key = batch_key(request) if rows and rows < self._most else None
        if rows is None or key is None:
            return self._run_alone(request, deadline, stages)
        request.caller.on_cancel(None)  # because a face notices a disconnect only from the first registration on
        member = Member(request, rows, deadline, stages)
        batch = self._join(member, key)
        return self._lead(batch, member) if batch.leader is member else self._follow(batch, member)

    def _join(self, member: Member, key: BatchKey) -> Batch:
        """Return the batch that a request joins, which is a new one where none has room for it. Raises ModelBusy."""
        with self._lock:
            self._execution.check_queue(self.waiting)
            self._waiting += 1
            batch = self._open.get(key)
            if batch is not None and batch.rows + member.rows > self._most:
                self._close(batch)
                batch = None
            if batch is None:
                batch = Batch(key, member, time.monotonic() + self._max_wait)
                batch.ready = not self._should_wait()
                self._open[key] = batch
                return batch
            batch.members.append(member)
            batch.rows += member.rows
            if batch.rows == self._most:
                self._close(batch)
            return batch

    def _should_wait(self) -> bool:
        """Return whether a leader should wait: the model runs something, and requests joined in the last waits."""
        if self._max_wait <= 0 or not self._running:
            return False
        if self._fruitless_waits < MAX_FRUITLESS_WAITS:
            return True
        self._fruitless_waits += 1
        return self._fruitless_waits % RETRY_EVERY == 0

    def _close(self, batch: Batch) -> None:
        """Let no request join any more, and the batch run as soon as it has a slot. The caller holds the lock."""
        if self._open.get(batch.key) is batch:
            del self._open[batch.key]
        batch.set_ready()

    def _run_ended(self) -> None:
        """Count a run as ended, and make the batch that has waited longest ready."""
        with self._lock:
            self._running -= 1
            for batch in self._open.values():
                if not batch.ready:
                    batch.set_ready()
                    return

    def _withdraw(self, batch: Batch, member: Member) -> Exception:
        """Remove a member from its batch, which another one leads then; return the error to raise. The caller holds the lock."""
        member.state = MemberState.ABANDONED
        if not batch.started:
            self._waiting -= 1
            batch.members.remove(member)
            batch.rows -= member.rows
            if not batch.members:
                self._close(batch)
            elif batch.leader is member:
                batch.leader = batch.members[0]
                batch.leader.set_state(MemberState.LEADING)
        return self._abandoned(member)

    def _abandoned(self, member: Member) -> Exception:
        return self._execution.abandoned(member.request.caller, member.deadline)

    # -- following -----------------------------------------------------------------------------------------------------

    def _follow(self, batch: Batch, member: Member) -> InferenceResponse:
        caller = member.request.caller
        caller.on_cancel(member.wake)
        try:
            caller.will_block()
            member.wait(member.deadline)
        finally:
            caller.on_cancel(None)
        if member.state is MemberState.WAITING:
            with self._lock:
                if member.state is MemberState.WAITING:  # the leader may have set another state in this moment
                    raise self._withdraw(batch, member)
        if member.successor is not None:
            member.successor.resume()
        if member.state is MemberState.LEADING:
            return self._lead(batch, member)
        return self._retry_alone(member) if member.state is MemberState.RETRYING else self._result_of(member)

    def _result_of(self, member: Member) -> InferenceResponse:
        """Return a member's response, or raise its error."""
        late = member.is_past_deadline and (member.error is None or isinstance(member.error, DeadlinePassed))
        if late:
            raise self._abandoned(member)  # because each member has a deadline of its own
        if member.error is not None:
            raise member.error
        assert member.response is not None
        return member.response

    def _retry_alone(self, member: Member) -> InferenceResponse:
        """Run a request of a failed batch by itself, unless it is abandoned."""
        with self._lock:
            self._running += 1
        try:
            if member.is_abandoned or not self._execution.wait(member.deadline, member.request.caller):
                raise self._abandoned(member)
            return self._run_one(member.request, member.deadline, member.stages)
        finally:
            self._run_ended()

    # -- leading -------------------------------------------------------------------------------------------------------

    def _lead(self, batch: Batch, leader: Member) -> InferenceResponse:
        leader.request.caller.will_block()
        ends_before = leader.deadline is not None and leader.deadline <= batch.until
        if not batch.ready:
            leader.wait(leader.deadline if ends_before else batch.until)
        with self._lock:
            waited = not batch.ready
            if waited and ends_before:
                raise self._withdraw(batch, leader)
            batch.ready = True
        self._acquire_slot(batch, leader)
        with self._lock:
            members = self._start(batch, leader)
            if len(members) > 1:
                self._fruitless_waits = 0
            elif waited:
                self._fruitless_waits += 1
        began = time.monotonic_ns()
        for member in members:
            member.stages.queue += began - member.arrived
        if len(members) > 1:
            return self._run_together(members, leader)
        try:
            return self._run_one(leader.request, leader.deadline, leader.stages)
        finally:
            self._run_ended()

    def _acquire_slot(self, batch: Batch, leader: Member) -> None:
        """Acquire a slot for the batch. Where the leader is abandoned before, hand the batch on and raise the leader's error."""
        execution = self._execution
        has_slot = execution.acquire_now()
        if not has_slot:
            with self._lock:
                self._waiting -= 1  # because the execution counts it while it waits for a slot
            has_slot = execution.wait(leader.deadline, leader.request.caller)
            with self._lock:
                self._waiting += 1
        if has_slot and not leader.is_abandoned:
            return
        if has_slot:
            execution.release()
        with self._lock:
            raise self._withdraw(batch, leader)

    def _start(self, batch: Batch, leader: Member) -> list[Member]:
        """Start a batch; return the members that run. An abandoned one wakes by itself. The caller holds the lock."""
        self._close(batch)
        batch.started = True
        self._running += 1
        self._waiting -= len(batch.members)
        return [member for member in batch.members if member is leader or not member.is_abandoned]

    def _run_together(self, members: Sequence[Member], leader: Member) -> InferenceResponse:
        others = [member for member in members if member is not leader]
        stages = Stages()
        try:
            response = self._run_merged(members, stages)
            parts = split(response, [member.rows for member in members])
        except (*SHARED_ERRORS, RowsLost) as error:
            for member in members:
                member.error = error
            self._notify(others, MemberState.DONE)
            return self._result_of(leader)
        except BaseException as error:
            log.info("%d requests to model '%s' ran as one and failed; each runs alone now.", len(members), self._name)
            self._notify(others, MemberState.RETRYING)
            if not isinstance(error, Exception):
                raise
            return self._retry_alone(leader)
        _count(members, leader, stages)
        for member, part in zip(members, parts, strict=True):
            member.response = part
        self._notify(others, MemberState.DONE)
        return self._result_of(leader)

    def _notify(self, members: Sequence[Member], state: MemberState) -> None:
        """Set the state of the members that still wait; wake the first, which resumes the next."""
        with self._lock:
            waiting = [member for member in members if member.state is MemberState.WAITING]
            for member, after in pairwise(waiting):
                member.successor = after
            for member in waiting:
                member.state = state
        if waiting:
            waiting[0].resume()

    def _run_merged(self, members: Sequence[Member], stages: Stages) -> InferenceResponse:
        """Return the model's response to all members together. Raises RowsLost."""
        deadlines = [member.deadline for member in members]
        until = None if None in deadlines else max(deadline for deadline in deadlines if deadline is not None)
        request = merged([member.request for member in members])
        # A caller of its own, because none of the members' clients speaks for the others.
        request.caller = caller = BatchCaller([member.request.caller for member in members])
        caller.due = until
        token = CALLER.set(caller)
        try:
            response = self._run(request, until, stages)
        finally:
            CALLER.reset(token)
            self._execution.release()
            self._run_ended()
        self._check_rows(response, sum(member.rows for member in members))
        return response

    def _check_rows(self, response: InferenceResponse, rows: int) -> None:
        for tensor in response.outputs:
            if not tensor.shape or tensor.shape[0] != rows:
                error = RowsLost(self._name, tensor, rows)
                log.error("%s", error)
                raise error


def _count(members: Sequence[Member], leader: Member, stages: Stages) -> None:
    """Add the batch's times to its members; count the execution with one that gets a response."""
    staying = [
        member for member in members if member.state is not MemberState.ABANDONED and not member.is_past_deadline
    ]
    for member in staying:
        member.stages.input += stages.input
        member.stages.infer += stages.infer
        member.stages.output += stages.output
    counted = leader if leader in staying or not staying else staying[0]
    counted.stages.executions = 1
    counted.stages.batch = sum(member.rows for member in members)

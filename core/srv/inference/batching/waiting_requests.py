"""Members of a batch: requests that wait to run as one, each with the thread that waits for its response."""

from __future__ import annotations

import threading
import time
from enum import Enum

from srv.inference.batching.merging import BatchKey
from srv.messages import InferenceRequest, InferenceResponse
from srv.metrics_types import Stages


class MemberState(Enum):
    """The state of a request in a batch."""

    WAITING = 1
    LEADING = 2  # its thread runs the batch
    RETRYING = 3  # the batch failed, and each request runs again by itself
    DONE = 4  # with a response or an error
    ABANDONED = 5  # its client disconnected, or its deadline passed


class Member:
    """A request in a batch, and the thread that waits for its response."""

    __slots__ = (
        "_wakes",
        "arrived",
        "deadline",
        "error",
        "request",
        "response",
        "rows",
        "stages",
        "state",
        "successor",
    )

    def __init__(self, request: InferenceRequest, rows: int, deadline: float | None, stages: Stages) -> None:
        self.request = request
        self.rows = rows
        self.deadline = deadline
        self.stages = stages
        self.arrived = time.monotonic_ns()
        self.state = MemberState.WAITING
        self.response: InferenceResponse | None = None
        self.error: BaseException | None = None
        #: The member that this one resumes. One resumes the next, because all at once would compete for the interpreter lock.
        self.successor: Member | None = None
        self._wakes = threading.Lock()
        self._wakes.acquire()

    def set_state(self, state: MemberState) -> None:
        """Set the state, and wake the thread."""
        self.state = state
        self.wake()

    def wake(self) -> None:
        """Wake the thread, if it waits."""
        try:
            self._wakes.release()
        except RuntimeError:  # it is awake already
            return

    def resume(self) -> None:
        """Wake the thread as soon as the face has a place for it."""
        self.request.caller.resume(self.wake)

    def wait(self, until: float | None) -> None:
        """Wait until the thread is woken, or until that time."""
        seconds = -1.0 if until is None else min(max(0.0, until - time.monotonic()), threading.TIMEOUT_MAX)
        self._wakes.acquire(timeout=seconds)

    @property
    def is_past_deadline(self) -> bool:
        """Whether the deadline has passed."""
        return self.deadline is not None and time.monotonic() >= self.deadline

    @property
    def is_abandoned(self) -> bool:
        """Whether nobody waits for the response any more."""
        return self.request.caller.left or self.is_past_deadline


class Batch:
    """Requests that will run as one. Its attributes are changed only under the lock of its Batching."""

    __slots__ = ("key", "leader", "members", "ready", "rows", "started", "until")

    def __init__(self, key: BatchKey, leader: Member, until: float) -> None:
        self.key = key
        self.leader = leader
        self.members = [leader]
        self.rows = leader.rows
        self.until = until
        #: Whether the leader waits for no more members. Requests that arrive before the start may still join.
        self.ready = False
        self.started = False

    def set_ready(self) -> None:
        """Let the leader wait for no more members."""
        if not self.ready:
            self.ready = True
            self.leader.wake()

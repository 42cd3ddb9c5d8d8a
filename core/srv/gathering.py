"""Requests that wait to run as one, and how the threads that wait with them are told what to do."""

from __future__ import annotations

import threading
import time
from enum import Enum

from srv.counts import Stages
from srv.merging import Likeness
from srv.messages import InferenceRequest, InferenceResponse


class Turn(Enum):
    """What somebody in a batch does next."""

    WAIT = 1
    LEAD = 2
    RUN_ALONE = 3
    TAKE = 4  # the response or the error
    LEAVE = 5


class Member:
    """A request in a batch, and the thread that waits for its answer."""

    __slots__ = ("arrived", "deadline", "error", "next", "request", "response", "rows", "stages", "turn", "wake")

    def __init__(self, request: InferenceRequest, rows: int, deadline: float | None, stages: Stages) -> None:
        self.request = request
        self.rows = rows
        self.deadline = deadline
        self.stages = stages
        self.arrived = time.monotonic_ns()
        self.turn = Turn.WAIT
        self.response: InferenceResponse | None = None
        self.error: BaseException | None = None
        #: Whom this one has go on when it goes on itself. Were it all at once, they would fight for the interpreter.
        self.next: Member | None = None
        self.wake = threading.Lock()
        self.wake.acquire()

    def call(self, turn: Turn) -> None:
        """Tell the thread what to do next."""
        self.turn = turn
        self.rouse()

    def rouse(self) -> None:
        """Have the thread look around, if it waits."""
        try:
            self.wake.release()
        except RuntimeError:  # it was roused already
            return

    def resume(self) -> None:
        """Have the thread go on with what it was told, as soon as the face of its caller lets it."""
        self.request.caller.resumes(self.rouse)

    def wait(self, until: float | None) -> None:
        """Wait to be roused, until then at the most."""
        seconds = -1.0 if until is None else min(max(0.0, until - time.monotonic()), threading.TIMEOUT_MAX)
        self.wake.acquire(timeout=seconds)

    @property
    def past(self) -> bool:
        """Whether the deadline has passed."""
        return self.deadline is not None and time.monotonic() >= self.deadline

    @property
    def late(self) -> bool:
        """Whether nobody wants the answer any more."""
        return self.request.caller.left or self.past


class Batch:
    """Requests that will run as one. All of it is changed under the lock of its Batching only."""

    __slots__ = ("called", "leader", "likeness", "members", "rows", "started", "until")

    def __init__(self, likeness: Likeness, leader: Member, until: float) -> None:
        self.likeness = likeness
        self.leader = leader
        self.members = [leader]
        self.rows = leader.rows
        self.until = until
        #: Nobody is waited for any more, but who comes before it starts may still join.
        self.called = False
        self.started = False

    def call(self) -> None:
        """Wait for nobody any more."""
        if not self.called:
            self.called = True
            self.leader.rouse()

"""One request and its answer, from the moment in which the request is complete."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from srv.callers import Caller
from srv.serve.http.connection import Buffer, Connection
from srv.serve.http.parser import Head


class State(Enum):
    """Who may write the answer: whoever changes RUNNING first, the thread to ANSWERING or the leader to TAKEN."""

    RUNNING = 1
    ANSWERING = 2
    TAKEN = 3


@dataclass(slots=True)
class Switches:
    """What every thread looks at and the main thread sets."""

    draining: bool = False  # connections end with their present answer
    stopped: bool = False  # nobody leads any more


class Leading(Protocol):
    """What an exchange that was begun by the thread that leads may ask for."""

    def give_way(self, exchange: Exchange) -> object:
        """Have another thread lead, if the one that runs this leads."""

    def resume(self, exchange: Exchange, rouse: Callable[[], object]) -> object:
        """Have the thread go on that runs this and waits: `rouse` does that."""


class Exchange(Caller):
    """A complete request of a connection, waiting or running; and to whatever runs it, the client that waits for it."""

    __slots__ = (
        "answer", "aside", "body", "connection", "head", "held", "leader", "may_wait", "patience", "received", "state",
    )  # fmt: skip

    def __init__(self, connection: Connection, head: Head, body: memoryview, held: int, received: float) -> None:
        super().__init__()
        self.connection = connection
        self.head = head
        self.body = body
        self.held = held  # bytes of the body that count as in flight
        self.received = received  # monotonic time at which the request was complete
        #: Seconds that the model gives it, where that is not what the server gives.
        self.patience: float | None = None
        self.state = State.RUNNING
        #: Whether the leader runs it and sends its answer together with others'; then what is to be sent.
        self.may_wait = False
        self.answer: list[Buffer] = []
        #: Who has it run by the thread that leads; and whether the lead was taken from that thread, which runs it still.
        self.leader: Leading | None = None
        self.aside = False

    def blocks(self) -> None:
        """Have another thread lead, if the one that runs this leads."""
        if self.leader is not None:
            self.leader.give_way(self)

    def resumes(self, rouse: Callable[[], object]) -> None:
        """Have the thread that runs this go on; where it led when it began, it has the lead again then, in its turn."""
        if self.leader is None:
            rouse()
        else:
            self.leader.resume(self, rouse)

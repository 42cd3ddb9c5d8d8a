"""What became of each request, and what explains a request that was lost."""

from __future__ import annotations

import itertools
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum


class Outcome(StrEnum):
    """What became of a request."""

    RIGHT = "right"
    #: Refused for a reason that the load gives: no room, a deadline, a worker that stops.
    REFUSED = "refused"
    #: The client went away on purpose.
    LEFT = "left"
    LOST = "lost"
    HUNG = "hung"
    WRONG = "wrong"


@dataclass(frozen=True)
class Exchange:
    """One request that was not answered as usual. `alive` is when its connection was last known to be open."""

    client: str
    number: int
    outcome: Outcome
    detail: str
    alive: float
    ended: float
    #: The worker that had answered before on the same connection.
    worker: int | None = None
    #: Whether the answer before it on the same connection said that the server would close.
    behind_close: bool = False


@dataclass
class Disturbances:
    """What was done to the server, and when."""

    kills: list[tuple[float, int]] = field(default_factory=list)
    #: From a SIGHUP until the last of the workers before it had gone.
    replacements: list[tuple[float, float]] = field(default_factory=list)
    failed_replacements: int = 0
    loads: Counter[str] = field(default_factory=Counter)

    def cause(self, lost: Exchange, ran: frozenset[int]) -> str:
        """Return why a request was lost; empty if nothing explains it.

        Its worker was killed; or it did not run, and was sent behind one whose answer closed the connection, or while the
        workers were replaced.
        """
        for killed, pid in self.kills:
            if lost.alive <= killed <= lost.ended and lost.worker in (None, pid):
                return "worker killed"
        if lost.number not in ran:
            if lost.behind_close:
                return "behind an answer that closes, request not run"
            for began, ended in self.replacements:
                if lost.alive <= ended and began <= lost.ended:
                    return "worker replaced, request not run"
        return ""


class Records:
    """Counts outcomes by client; keeps what was lost, hung or wrong. May be called from several threads."""

    def __init__(self) -> None:
        self.counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self.refusals: Counter[str] = Counter()
        self.kept: list[Exchange] = []
        self.slowest: defaultdict[str, float] = defaultdict(float)
        self._numbers = itertools.count(1)
        self._guard = threading.Lock()

    def number(self) -> int:
        """Return a number that no other request has."""
        return next(self._numbers)

    def add(
        self,
        client: str,
        number: int,
        outcome: Outcome,
        detail: str = "",
        *,
        alive: float = 0.0,
        took: float = 0.0,
        worker: int | None = None,
        behind_close: bool = False,
    ) -> None:
        """Count one request."""
        with self._guard:
            self.counts[client][outcome] += 1
            self.slowest[client] = max(self.slowest[client], took)
            if outcome is Outcome.REFUSED:
                self.refusals[f"{client}: {detail}"] += 1
            elif outcome not in (Outcome.RIGHT, Outcome.LEFT):
                now = time.monotonic()
                self.kept.append(Exchange(client, number, outcome, detail, alive, now, worker, behind_close))

    def total(self, outcome: Outcome) -> int:
        """Return how many requests of all clients ended so."""
        return sum(counts[outcome] for counts in self.counts.values())

    def of(self, *outcomes: Outcome) -> Iterable[Exchange]:
        """Return the kept requests that ended so."""
        return [each for each in self.kept if each.outcome in outcomes]

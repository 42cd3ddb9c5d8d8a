"""Who leads and who runs: the lead, the count of what runs, and the queue before it."""

from __future__ import annotations

import threading
from collections import deque
from enum import Enum

from srv.serve.http.exchange import Exchange, State


class Place(Enum):
    """Where a request that may block goes."""

    RUN = 1
    WAIT = 2
    NOWHERE = 3


class Followers:
    """One thread more than may run at once, so that one can always lead.

    `lead` is held by the thread that leads; the others wait for it or run requests. `guard` protects all that the
    threads share: these counts, the deadlines, and which thread a connection belongs to. `sprint` is what the leader
    runs itself at the moment: should that take long, the lead is taken from it and its thread counts as running. Each
    time that a thread runs something while leading is one of `sprints`.
    """

    def __init__(self, threads: int, most_waiting: int) -> None:
        self.lead = threading.Lock()
        self.guard = threading.Lock()
        self.threads = threads
        self.running = 0
        self.waiting: deque[Exchange] = deque()
        self.sprint: Exchange | None = None
        self.sprints = 0
        self._most_waiting = most_waiting

    def idle(self) -> bool:
        """Whether a thread rests that could take the lead."""
        return self.running < self.threads

    def place(self, exchange: Exchange) -> Place:
        """RUN, and the caller runs it after giving the lead away; or it waits now; or there is no place for it."""
        with self.guard:
            if self.running < self.threads:
                self.running += 1
                return Place.RUN
            if len(self.waiting) < self._most_waiting:
                self.waiting.append(exchange)
                return Place.WAIT
            return Place.NOWHERE

    def next(self) -> Exchange | None:
        """What a thread that has run a request runs now; None, and it rests."""
        with self.guard:
            while self.waiting and self.running <= self.threads:
                exchange = self.waiting.popleft()
                if exchange.state is State.RUNNING:
                    return exchange
            self.running -= 1
            return None

    def begin_sprint(self, exchange: Exchange) -> None:
        """The caller, who leads, runs this now."""
        self.sprints += 1
        self.sprint = exchange

    def sprint_ended(self, exchange: Exchange) -> bool:
        """Whether the caller, who ran this and led when that began, leads still or again."""
        with self.guard:
            exchange.aside = False
            if self.sprint is exchange:
                self.sprint = None
                return True
            return False

    def relieve(self, exchange: Exchange) -> bool:
        """Take the lead from the thread that runs this while leading; False where it no longer does, or nobody rests.

        Whoever rests takes the lead; the thread itself learns of it when it asks whether its sprint has ended.
        """
        with self.guard:
            if self.sprint is not exchange or self.running >= self.threads:
                return False
            self.sprint = None
            exchange.aside = True
            self.running += 1
        self.lead.release()
        return True

    def lend(self, exchange: Exchange, sprint: Exchange | None) -> bool:
        """Give the lead back to the thread from which it was taken while it ran this, and which waits; whether it has it.

        The caller leads, and runs on without the lead what was its `sprint`; where that is None, it rests.
        """
        with self.guard:
            if not exchange.aside or self.sprint is not sprint or (sprint is None and self.waiting):
                return False
            exchange.aside = False
            if sprint is None:
                self.running -= 1
            else:
                sprint.aside = True
            self.begin_sprint(exchange)
        return True

    def may_answer(self, exchange: Exchange) -> bool:
        """Whether the answer is this thread's to write; the leader may have written one in its place."""
        with self.guard:
            if exchange.state is State.RUNNING:
                exchange.state = State.ANSWERING
                return True
        return False

    def take_over(self, exchange: Exchange) -> bool:
        """Whether the leader may answer instead of the thread that runs the exchange; it may not while that writes."""
        with self.guard:
            if exchange.state is State.RUNNING:
                exchange.state = State.TAKEN
                return True
        return False

    def withdraw(self, exchange: Exchange) -> bool:
        """Take a request out of the queue so that it never runs; False if it runs already. The caller has the guard."""
        try:
            self.waiting.remove(exchange)
        except ValueError:
            return False
        return True

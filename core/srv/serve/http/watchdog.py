"""Lets the thread that leads run what is quick itself, and takes the lead from it when that turns out to be slow.

Handing the lead to another thread costs more than a small prediction, because the two then pass the interpreter lock
to and fro. So the thread that leads runs what was quick the last times, and the watchdog has another one lead within
milliseconds if a request is not quick after all.
"""

from __future__ import annotations

import logging
import threading
import time

from srv.logs import safely
from srv.serve.http.connections import Exchange
from srv.serve.http.scheduler import Scheduler

log = logging.getLogger(__name__)

#: A request that takes longer is not for the leader: it would keep more than one core's worth of others waiting.
QUICK = 0.0003
#: On one core it may compute this long, waiting for nothing: no other thread could run beside it anyway, and most of
#: NumPy lets go of the interpreter lock, for which several threads on one core would queue again and again.
COMPUTING = 0.001
#: After this long the lead is taken from a thread that runs a request.
PATIENCE = 0.004
#: How much the last run says about a path, and how much one says that cost its thread the lead.
WEIGHT, HEAVY_WEIGHT = 1 / 32, 1 / 3
#: A path of which so many runs are slow is not tried again for a while. Fewer are no sign: on a machine with other
#: work every thread waits now and then.
TOO_OFTEN = 0.75
#: That while, at first and at most; each trial that fails doubles it.
FIRST_BAN = 1.0
LONGEST_BAN = 64.0
#: Paths that are remembered; names of models are clients' words, so there must be an end.
REMEMBERED = 1024
#: After so many looks at which nothing ran, the watchdog sleeps until it is woken.
LOOKS_AT_NOTHING = 50


class Pace:
    """How a path has done: the share of slow runs, recent ones counting more, and when it may be tried again."""

    __slots__ = ("ban", "banned_until", "slowness")

    def __init__(self) -> None:
        self.slowness = 0.0
        self.ban = FIRST_BAN / 2
        self.banned_until = 0.0

    def ran(self, slow: float, weight: float) -> None:
        """One more run, slow or not."""
        self.slowness += weight * (slow - self.slowness)
        if self.slowness > TOO_OFTEN:
            self.ban = min(2 * self.ban, LONGEST_BAN)
            self.banned_until = time.monotonic() + self.ban
            self.slowness = TOO_OFTEN


class Paces:
    """Which paths are quick. One that is not known is taken for quick until it is not.

    `parallel` says whether threads of this process may run beside each other, on cores of their own.
    """

    def __init__(self, *, parallel: bool = True) -> None:
        self._longest = QUICK if parallel else COMPUTING
        self._paces: dict[str, Pace] = {}  # of paths that were slow lately

    def quick(self, path: str) -> bool:
        """Return whether the leader may try this path itself."""
        pace = self._paces.get(path)
        return pace is None or pace.banned_until < time.monotonic()

    def suspects(self, path: str) -> bool:
        """Return whether it matters how long a request of this path computes."""
        return path in self._paces and self._longest > QUICK

    def ran(self, path: str, seconds: float, *, computed: float = 0.0) -> None:
        """A request of this path was run by the leader and took so long; so much of that it computed."""
        if seconds > QUICK and (computed > self._longest or seconds - computed > QUICK):
            self._pace(path).ran(1.0, WEIGHT)
        elif path in self._paces:
            pace = self._paces[path]
            pace.ran(0.0, WEIGHT)
            if pace.slowness < WEIGHT / 4:
                del self._paces[path]

    def stuck(self, path: str) -> None:
        """A request of this path cost its thread the lead."""
        self._pace(path).ran(1.0, HEAVY_WEIGHT)

    def _pace(self, path: str) -> Pace:
        if len(self._paces) >= REMEMBERED:
            self._paces.clear()
        return self._paces.setdefault(path, Pace())


class Watchdog:
    """Looks every few milliseconds, as long as there is something to see, whether what the leader runs is slow."""

    def __init__(self, scheduler: Scheduler, paces: Paces) -> None:
        self.paces = paces
        self.sleeps = False
        self._scheduler = scheduler
        self._woken = threading.Event()

    def wake(self) -> None:
        """Look again, because something runs."""
        self.sleeps = False
        self._woken.set()

    def run(self) -> None:
        """Watch until the server is stopped."""
        while not self._scheduler.stopped:
            try:
                self._watch()
            except BaseException:  # noqa: BLE001  whatever it is, somebody must go on watching
                safely(log.exception, "The watchdog of the HTTP worker failed, and goes on.")

    def _watch(self) -> None:
        scheduler = self._scheduler
        looks_at_nothing = 0
        while not scheduler.stopped:
            runs, run = scheduler.inline, scheduler.inline_runs
            looks_at_nothing = 0 if runs is not None else looks_at_nothing + 1
            if looks_at_nothing > LOOKS_AT_NOTHING:
                self._woken.clear()
                self.sleeps = True
                # Looked at after the line above: else somebody may begin who sees nobody sleep, and stop.
                if scheduler.inline is None and not scheduler.stopped:
                    self._woken.wait()
                looks_at_nothing = 0
            time.sleep(PATIENCE)
            if runs is not None and scheduler.inline is runs and scheduler.inline_runs == run:
                self.take_lead(runs)

    def take_lead(self, exchange: Exchange) -> bool:
        """Take the lead from the thread that runs this while leading, if it still does and another one rests.

        From now on its path is like any other that may block.
        """
        taken = self._scheduler.take_lead(exchange)
        if taken:
            self.paces.stuck(exchange.head.path)
        return taken

    def step_aside(self, exchange: Exchange) -> bool:
        """Have another thread lead than the one that runs this and calls; False where it leads and nobody rests."""
        return self.take_lead(exchange) or self._scheduler.inline is not exchange

"""Lets the leader run what is quick itself, and takes the lead from it when that turns out to be slow.

Handing the lead to another thread costs more than a small prediction, because the two then pass the interpreter lock
to and fro. So the leader runs what was quick the last times, and this watch relieves it within milliseconds if a
request is not quick after all.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from srv.serve.http.exchange import Exchange, Switches
from srv.serve.http.followers import Followers

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
#: So many looks without a request, and the watch waits to be called.
DULL = 50


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
        """Whether the leader may try this path itself."""
        pace = self._paces.get(path)
        return pace is None or pace.banned_until < time.monotonic()

    def suspects(self, path: str) -> bool:
        """Whether it matters of how long a request of this path computes."""
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


class Relief:
    """A thread that looks every few milliseconds, as long as there is something to see, whether the leader is stuck."""

    def __init__(self, followers: Followers, switches: Switches, relieved: Callable[[Exchange], object]) -> None:
        self._followers = followers
        self._switches = switches
        self._relieved = relieved
        self._called = threading.Event()
        self.dozing = False

    def call(self) -> None:
        """There is something to watch again."""
        self.dozing = False
        self._called.set()

    def run(self) -> None:
        """Watch until the server is stopped."""
        dull = 0
        while not self._switches.stopped:
            sprint, sprints = self._followers.sprint, self._followers.sprints
            dull = 0 if sprint is not None else dull + 1
            if dull > DULL:
                self._called.clear()
                self.dozing = True
                if self._followers.sprint is None:  # else somebody ran off before seeing that nobody looks
                    self._called.wait()
                dull = 0
            time.sleep(PATIENCE)
            if sprint is not None and self._followers.sprint is sprint and self._followers.sprints == sprints:
                self.relieve(sprint)

    def relieve(self, exchange: Exchange) -> bool:
        """Take the lead from the thread that runs this while leading, if it still does and another one rests."""
        relieved = self._followers.relieve(exchange)
        if relieved:
            self._relieved(exchange)
        return relieved

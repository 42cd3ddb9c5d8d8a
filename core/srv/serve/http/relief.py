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
QUICK = 0.0002
#: After this long the lead is taken from a thread that runs a request.
PATIENCE = 0.004
#: How long a path that was slow is not tried again, at first and at most; each slow trial doubles it.
FIRST_BAN = 1.0
LONGEST_BAN = 64.0
#: Paths that are remembered; names of models are clients' words, so there must be an end.
REMEMBERED = 1024
#: So many looks without a request, and the watch waits to be called.
DULL = 50


class Paces:
    """Which paths are quick. One that is not known is taken for quick until it is not."""

    def __init__(self) -> None:
        self._bans: dict[str, tuple[float, float]] = {}  # until when, and how long that is

    def quick(self, path: str) -> bool:
        """Whether the leader may try this path itself."""
        ban = self._bans.get(path)
        return ban is None or ban[0] < time.monotonic()

    def ran(self, path: str, seconds: float) -> None:
        """A request of this path was run by the leader and took so long."""
        if seconds > QUICK:
            self.slow(path)
        elif path in self._bans:
            del self._bans[path]

    def slow(self, path: str) -> None:
        """This path is not for the leader for a while."""
        _, length = self._bans.get(path, (0.0, FIRST_BAN / 2))
        if len(self._bans) >= REMEMBERED:
            self._bans.clear()
        length = min(2 * length, LONGEST_BAN)
        self._bans[path] = (time.monotonic() + length, length)


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
            sprint = self._followers.sprint
            dull = 0 if sprint is not None else dull + 1
            if dull > DULL:
                self._called.clear()
                self.dozing = True
                if self._followers.sprint is None:  # else somebody ran off before seeing that nobody looks
                    self._called.wait()
                dull = 0
            time.sleep(PATIENCE)
            if sprint is not None and self._followers.sprint is sprint:
                self.relieve(sprint)

    def relieve(self, exchange: Exchange) -> bool:
        """Take the lead from the thread that runs this while leading, if it still does and another one rests."""
        relieved = self._followers.relieve(exchange)
        if relieved:
            self._relieved(exchange)
        return relieved

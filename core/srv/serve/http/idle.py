"""Room for clients at max_connections: the connections that ask for nothing are closed, the longest idle first."""

from __future__ import annotations

import heapq
import logging
from collections.abc import Iterable

from srv.limited_log import LimitedLog
from srv.serve.http.acceptor import AT_ONCE, Acceptor
from srv.serve.http.connections import Connection, Step
from srv.serve.http.scheduler import Scheduler

log = logging.getLogger(__name__)

#: Seconds for which a connection must have asked for nothing: a client that goes on asking keeps its connection.
LEAST_IDLE = 1.0
#: While no more connections may be, the leader looks this often whether a client waits to be let in.
ROOM_BEAT = 0.1


def longest_idle(connections: Iterable[Connection], now: float, most: int) -> list[Connection]:
    """Return at most so many idle connections, the longest idle one first; those that never asked for anything count too."""
    idle = (connection for connection in connections if _is_idle(connection, now))
    return heapq.nsmallest(most, idle, key=lambda connection: connection.idle_since)


def _is_idle(connection: Connection, now: float) -> bool:
    if connection.exchange is not None or connection.idle_since > now - LEAST_IDLE:
        return False
    if connection.step is Step.HANDSHAKE:
        return not connection.searched
    return connection.step is Step.HEAD and not connection.received


class Room:
    """Closes idle connections for clients that wait while no more connections may be. Used by the thread that leads."""

    def __init__(self, most: int, scheduler: Scheduler, acceptor: Acceptor) -> None:
        self._most = most
        self._scheduler = scheduler
        self._acceptor = acceptor
        self._log = LimitedLog(log)
        self._next_look = 0.0
        self._somebody_waits = False

    def make(self, now: float) -> None:
        """Let clients in who wait, each in place of the longest idle connection.

        Only those who still wait at the second look, because another worker may let them in.
        """
        if now < self._next_look:
            return
        self._next_look = now + ROOM_BEAT
        waited, self._somebody_waits = self._somebody_waits, bool(self._acceptor.waited_at())
        if not waited:
            return
        for idle in longest_idle(self._scheduler.table.connections.values(), now, AT_ONCE):
            listeners = self._acceptor.waited_at()
            if not listeners:
                return
            self._scheduler.discard(idle)
            for connection in self._acceptor.admit(listeners[0], 1):
                self._scheduler.adopt(connection)
            self._log.warning(
                "As many connections are open as max_connections allows, %d: the longest idle one was closed to let "
                "another client in.",
                self._most,
            )

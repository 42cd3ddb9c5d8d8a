"""Timers of connections: when to look at which one, at no cost while deadlines only move later."""

from __future__ import annotations

import heapq
import math
from itertools import count

from srv.serve.http.connections import Connection

#: Timers that no longer count are taken out once there are so many, and more than those that count.
LITTER = 64


class Timers:
    """Connections by when their timer fires. A deadline that moves later is found out when the old timer fires.

    Not safe for threads: the scheduler holds its guard.
    """

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Connection]] = []
        self._order = count()
        self._litter = 0  # how many in the heap no longer count

    def set(self, connection: Connection, when: float) -> bool:
        """Give the connection a deadline; True if its timer fires sooner now than it would have."""
        connection.deadline = when
        if when >= connection.alarm:
            return False
        self._drop(connection)
        connection.alarm = when
        heapq.heappush(self._heap, (when, next(self._order), connection))
        return True

    def forget(self, connection: Connection) -> None:
        """Have the connection's timer never fire; nothing of the connection is kept for long."""
        self._drop(connection)
        connection.deadline = math.inf

    def next(self) -> float:
        """Return when the next timer fires; infinity if none will."""
        return self._heap[0][0] if self._heap else math.inf

    def due(self, now: float, most: int) -> list[Connection]:
        """Return the connections whose deadline has passed, once each, at most so many at a time.

        Their next deadline is infinity until it is set.
        """
        passed: list[Connection] = []
        while self._heap and self._heap[0][0] <= now and len(passed) < most:
            when, _, connection = heapq.heappop(self._heap)
            if when != connection.alarm:
                self._litter = max(0, self._litter - 1)
                continue
            connection.alarm = math.inf
            if connection.deadline <= now:
                connection.deadline = math.inf
                passed.append(connection)
            else:
                self.set(connection, connection.deadline)
        return passed

    def _drop(self, connection: Connection) -> None:
        if connection.alarm == math.inf:
            return
        connection.alarm = math.inf
        self._litter += 1
        if self._litter > max(LITTER, len(self._heap) // 2):
            self._heap = [timer for timer in self._heap if timer[0] == timer[2].alarm]
            heapq.heapify(self._heap)
            self._litter = 0

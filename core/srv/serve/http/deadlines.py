"""When to look at which connection: an alarm clock that costs nothing while deadlines only move later."""

from __future__ import annotations

import heapq
import math
from itertools import count

from srv.serve.http.connection import Connection


class Deadlines:
    """Connections by their next alarm. A deadline that moves later is found out when the old alarm rings.

    Not safe for threads: the caller holds the followers' guard.
    """

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Connection]] = []
        self._order = count()

    def set(self, connection: Connection, when: float) -> bool:
        """Give the connection a deadline; True if an alarm was set that rings before the one it had."""
        connection.deadline = when
        if when >= connection.alarm:
            return False
        connection.alarm = when
        heapq.heappush(self._heap, (when, next(self._order), connection))
        return True

    def next(self) -> float:
        """When the next alarm rings; infinity if none will."""
        return self._heap[0][0] if self._heap else math.inf

    def due(self, now: float) -> list[Connection]:
        """The connections whose deadline has passed, once each; their next deadline is infinity until set."""
        passed = []
        while self._heap and self._heap[0][0] <= now:
            when, _, connection = heapq.heappop(self._heap)
            if when != connection.alarm:
                continue  # an earlier alarm was set after this one
            connection.alarm = math.inf
            if connection.deadline <= now:
                connection.deadline = math.inf
                passed.append(connection)
            else:
                self.set(connection, connection.deadline)
        return passed

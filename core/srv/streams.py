"""How many streams a worker has open, over both faces together."""

from __future__ import annotations

import threading


class StreamCount:
    """How many streams are open, of as many as there may be; for several threads."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._open = 0
        self._guard = threading.Lock()

    def enter(self) -> bool:
        """One more, if there may be one more."""
        with self._guard:
            if self._open >= self.most:
                return False
            self._open += 1
            return True

    def leave(self) -> None:
        """One less."""
        with self._guard:
            self._open -= 1


class StreamPlace:
    """A place that was entered, and is left once however often that is said."""

    def __init__(self, count: StreamCount) -> None:
        self._count: StreamCount | None = count

    def leave(self) -> None:
        """Give the place back."""
        count, self._count = self._count, None
        if count is not None:
            count.leave()

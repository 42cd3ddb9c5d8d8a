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

"""How many bytes of requests and answers a worker holds, over both faces together."""

from __future__ import annotations

import threading


class InFlight:
    """Bytes that have really come or have not gone yet, of as many as there may be; for several threads."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.count = 0
        self._guard = threading.Lock()

    def fits(self, count: int) -> bool:
        """Whether so many more would be within the limit now."""
        return self.count + count <= self.most

    def take(self, count: int) -> bool:
        """Count them in; False if that is beyond the limit."""
        with self._guard:
            self.count += count
            return self.count <= self.most

    def give_back(self, count: int) -> None:
        """Count them out."""
        if count:
            with self._guard:
                self.count -= count

"""Limits that both faces of a worker share, on bytes in flight and on open streams; leases count against them."""

from __future__ import annotations

import threading

from srv.errors import Unavailable


class BytesOverflow(Unavailable):
    """The requests in flight are together larger than the worker may hold."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"The requests in flight exceed the {limit} bytes of max_inflight_bytes. Try again later.")


class Limit:
    """So many of one thing, and no more at once; for several threads."""

    def __init__(self, most: int) -> None:
        self.most = most
        #: How many are leased now.
        self.count = 0
        self.guard = threading.Lock()

    def fits(self, count: int) -> bool:
        """Return whether so many more would be within the limit now."""
        return self.count + count <= self.most

    def take(self, count: int = 1) -> Lease | None:
        """Return a lease of so many; None, and nothing is counted, where that is beyond the limit."""
        lease = Lease(self)
        if lease.grow(count):
            return lease
        lease.release()
        return None


class Lease:
    """What counts against a limit until `release`, which gives it back once, however many threads call it."""

    __slots__ = ("_limit", "_released", "count")

    def __init__(self, limit: Limit) -> None:
        self._limit = limit
        self._released = False
        self.count = 0

    def grow(self, count: int) -> bool:
        """Count so many more, also where that is beyond the limit; False then. A released lease counts nothing."""
        limit = self._limit
        with limit.guard:
            if not self._released:
                self.count += count
                limit.count += count
            return limit.count <= limit.most

    def release(self) -> None:
        """Give everything back."""
        limit = self._limit
        with limit.guard:
            if not self._released:
                self._released = True
                limit.count -= self.count

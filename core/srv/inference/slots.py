"""Slots: how many requests of a model may run at once; the others wait in the order in which they came."""

from __future__ import annotations

import threading
from collections import deque

from srv.cancellation import Caller


class Slots:
    """A number of slots. Waiting threads get them in order, except those whose time passes or whose client disconnects."""

    def __init__(self, count: int) -> None:
        self._free = count
        self._guard = threading.Lock()
        self._queue: deque[_WaitingThread] = deque()

    @property
    def waiting(self) -> int:
        """How many threads wait."""
        return len(self._queue)

    def acquire_now(self) -> bool:
        """Acquire a slot if one is free; return whether one was."""
        with self._guard:
            if self._free:
                self._free -= 1
                return True
            return False

    def wait(self, seconds: float | None, caller: Caller) -> bool:
        """Wait for a slot, for so many seconds at most; return whether the thread has one now."""
        waiting = _WaitingThread()
        with self._guard:
            if self._free:
                self._free -= 1
                return True
            self._queue.append(waiting)
        caller.on_cancel(lambda: self._remove(waiting))
        try:
            waiting.wakes.acquire(timeout=-1 if seconds is None else min(seconds, threading.TIMEOUT_MAX))
        finally:
            caller.on_cancel(None)
        self._remove(waiting)
        return waiting.has_slot

    def release(self) -> None:
        """Give a slot to the thread that has waited longest, or keep it free."""
        with self._guard:
            if not self._queue:
                self._free += 1
                return
            first = self._queue.popleft()
            first.has_slot = True
        first.wakes.release()

    def _remove(self, waiting: _WaitingThread) -> None:
        """Remove a thread from the queue and wake it; do nothing where it has a slot already."""
        with self._guard:
            if waiting not in self._queue:
                return
            self._queue.remove(waiting)
        waiting.wakes.release()


class _WaitingThread:
    """A thread that waits for a slot."""

    __slots__ = ("has_slot", "wakes")

    def __init__(self) -> None:
        self.has_slot = False
        self.wakes = threading.Lock()
        self.wakes.acquire()

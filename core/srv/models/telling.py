"""The thread that tells plugins what became of a model: one at a time, and it is known which."""

from __future__ import annotations

import threading


class Telling:
    """Held while plugins are told what became of a model, again by the thread that holds it."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._depth = 0
        self._thread: int | None = None

    def __enter__(self) -> None:
        self._lock.acquire()
        self._depth += 1
        self._thread = threading.get_ident()

    def __exit__(self, *raised: object) -> None:
        self._depth -= 1
        if not self._depth:
            self._thread = None
        self._lock.release()

    def is_here(self) -> bool:
        """Return whether this thread tells plugins of a model at the moment."""
        return self._thread == threading.get_ident()

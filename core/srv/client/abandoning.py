"""Calls that another thread may end, so that the server notices that the client left."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextvars import ContextVar


class Abandonable:
    """A call that another thread may end, by what its transport gave for that: shutting a connection, cancelling a call."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stop: Callable[[], object] | None = None
        self._abandoned = False

    def use(self, stop: Callable[[], object]) -> None:
        """Note what ends the call from now on; call it at once if the call was abandoned already."""
        with self._lock:
            self._stop = stop
            if self._abandoned:
                stop()

    def finished(self) -> None:
        """Note that what was used serves other calls from now on, which abandoning this one must not end."""
        with self._lock:
            self._stop = None

    def abandon(self) -> None:
        """End the call, from any thread."""
        with self._lock:
            self._abandoned = True
            if self._stop is not None:
                self._stop()


#: The call that this thread makes, where another one may end it.
CALL: ContextVar[Abandonable | None] = ContextVar("srv.client.call", default=None)

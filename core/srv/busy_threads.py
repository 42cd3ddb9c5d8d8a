"""The request that each thread of a face runs, so that another thread can find those that hang."""

from __future__ import annotations

from collections.abc import Iterator
from threading import get_ident

from srv.cancellation import Caller


class BusyThreads:
    """The threads of one face that run requests. A thread enters and leaves its own request; any thread may look."""

    def __init__(self) -> None:
        #: By the thread's identifier; a face for which a call is dear writes here itself.
        self.running: dict[int, Caller] = {}

    def begin(self, caller: Caller) -> None:
        """Enter the request that this thread runs from now on."""
        self.running[get_ident()] = caller

    def end(self) -> None:
        """Remove the request that this thread ran, if there is one."""
        self.running.pop(get_ident(), None)

    def __iter__(self) -> Iterator[tuple[int, Caller]]:
        """The identifiers of the threads that run requests now, each with its request."""
        return iter([*self.running.items()])

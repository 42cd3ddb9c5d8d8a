"""Calls in the main thread of a process, for runtimes with `main_thread = True`."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

from srv.errors import SrvError, Unavailable
from srv.models.own_thread import PendingCall


class NoMainThread(SrvError):
    """A runtime wants the main thread, and in this process the main thread takes no calls."""

    def __init__(self) -> None:
        super().__init__(
            "main_thread = True needs the process's main thread, and here that takes no work from other threads. Load "
            "the model in the main thread."
        )


class Stopping(Unavailable):
    """The process stops, so no load begins any more."""

    def __init__(self) -> None:
        super().__init__("The server stops, and loads nothing any more.")


class Interrupted(BaseException):
    """Ends a load in the main thread, because the process was told to stop."""

    def __init__(self) -> None:
        super().__init__("the server stops")


class MainThread:
    """Calls functions in the main thread. `run` may be called from any thread, everything else from the main thread."""

    def __init__(self) -> None:
        #: Makes the main thread call `work` soon; None where the main thread takes no calls.
        self.wake: Callable[[], object] | None = None
        self._guard = threading.RLock()  # because a signal's handler may come while the main thread has it
        self._jobs: deque[tuple[PendingCall, bool]] = deque()
        self._stopping = False
        self._is_loading = False

    def run(self, call: Callable[[], Any], *, loads: bool = False) -> Any:
        """Return what a function returns in the main thread, or raise what it raises there.

        Called in the main thread, it calls the function at once. Raises NoMainThread, or Stopping for a load while the
        process stops.
        """
        if threading.current_thread() is threading.main_thread():
            return call()
        if self.wake is None:
            raise NoMainThread
        job = PendingCall(partial(self._load, call) if loads else call)
        with self._guard:
            if self._stopping and loads:
                raise Stopping
            self._jobs.append((job, loads))
        self.wake()
        return job.result()

    def has_work(self) -> bool:
        """Return whether a function waits to be called."""
        return bool(self._jobs)

    def work(self) -> None:
        """Call the functions that wait."""
        while self._jobs:
            self._jobs.popleft()[0].do()

    def end_loads(self) -> None:
        """Refuse all later loads; raise Interrupted into the frames of a running one. For signal handlers."""
        with self._guard:
            self._stopping = True
            for job, loads in [*self._jobs]:
                if loads:
                    self._jobs.remove((job, loads))
                    job.refuse(Stopping())
        if self._is_loading:
            raise Interrupted

    def _load(self, call: Callable[[], Any]) -> Any:
        self._is_loading = True
        try:
            return call()
        finally:
            self._is_loading = False

"""Hung calls: those that run on long after nobody waits for them any more."""

from __future__ import annotations

import sys
import time
import traceback
from collections.abc import Iterable
from types import FrameType

from srv.processes.hosting import DistantCaller

#: Seconds between two looks that mean that the process was stopped meanwhile.
_PAUSE = 5.0


class HungCalls:
    """Finds calls that are past their deadline by `stuck_timeout`. Used by one thread, about once a second."""

    def __init__(self, stuck_timeout: float) -> None:
        self._stuck_timeout = stuck_timeout
        self._looked = self._resumed = time.monotonic()

    def look(self, running: Iterable[DistantCaller]) -> str | None:
        """Return why the process must end, as it goes on after 'because'; None where nothing hangs."""
        now = time.monotonic()
        if now - self._looked > _PAUSE:
            self._resumed = now  # after it was stopped everything is late
        self._looked = now
        overdue = [
            caller
            for caller in running
            if caller.due is not None and now - max(caller.due, self._resumed) > self._stuck_timeout
        ]
        if not overdue:
            return None
        what = "a request hangs" if len(overdue) == 1 else f"{len(overdue)} requests hang"
        place = _place_of(overdue[0].thread)
        return f"{what} past the deadline by more than {self._stuck_timeout:g} s (stuck_timeout){place}"


def _place_of(thread: int) -> str:
    """Return the line of the model's own code at which a thread is, as a sentence ends; "" where it is elsewhere."""
    frame: FrameType | None = sys._current_frames().get(thread)
    while frame is not None:
        if str(frame.f_globals.get("__name__", "")).startswith("srv.model."):
            (place,) = traceback.extract_stack(frame, limit=1)
            return f", at {place.filename}:{place.lineno} in {place.name}"
        frame = frame.f_back
    return ""

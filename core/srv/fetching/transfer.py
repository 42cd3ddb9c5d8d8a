"""A transfer: one download as it runs, with its lines in the log, its limits and its deadline."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from srv.fetching.errors import FetchTooLong
from srv.fetching.sizes import shown_size
from srv.storage import FetchFailed

log = logging.getLogger(__name__)

#: Seconds until the first line about a download or a wait; each further one comes after twice that, at most the last.
FIRST_LINE, LONGEST_PAUSE = 1.0, 30.0
#: Further bytes for which room is asked at once, where more come than was said.
_STEP = 64_000_000


class LinePace:
    """When the next line about something that lasts is due."""

    def __init__(self) -> None:
        self.began = time.monotonic()
        self._pause = FIRST_LINE
        self._next = self.began + FIRST_LINE

    def is_due(self) -> bool:
        """Return whether a line is due now; the next one then comes later."""
        now = time.monotonic()
        if now < self._next:
            return False
        self._pause = min(2 * self._pause, LONGEST_PAUSE)
        self._next = now + self._pause
        return True

    def seconds(self) -> float:
        """Return how long it has lasted."""
        return time.monotonic() - self.began


class Transfer:
    """Tells of a download, asks for room before bytes come, and ends it when its time is over. Used from any thread."""

    def __init__(self, title: str, shown: str, *, until: float, limit: float, room: Callable[[int], object]) -> None:
        self._title = title
        self._shown = shown
        self._until = until
        self._limit = limit
        self._room = room
        self._pace = LinePace()
        self._lock = threading.Lock()
        self._expected: int | None = None
        self._asked = 0
        self._received = 0
        #: Why the download has to end; a library may have wrapped the error that said so.
        self.ended: FetchFailed | None = None

    def expect(self, size: int) -> None:
        """Take the number of bytes that will come, and ask for room for them."""
        with self._lock:
            self._expected = size
            if size > self._asked:
                self._ask(size)

    def add(self, size: int) -> None:
        """Count bytes; write a line where one is due."""
        with self._lock:
            self._received += size
            if time.monotonic() > self._until:
                self._end(FetchTooLong(f"The download of {self._shown}", self._limit))
            if self._received > self._asked:
                self._ask(self._received)
            if self._pace.is_due():
                self._tell()

    def seconds_left(self) -> float:
        """Return the time that is left of load_timeout."""
        return max(0.0, self._until - time.monotonic())

    def _ask(self, size: int) -> None:
        """Ask for room; where that was done before, for some more than needed, so that it is not done for every byte."""
        for wanted in (size + _STEP, size) if self._asked else (size,):
            try:
                self._room(wanted)
            except FetchFailed as error:
                if wanted == size:
                    self._end(error)
            else:
                self._asked = wanted
                return

    def _end(self, error: FetchFailed) -> None:
        self.ended = error
        raise error

    def _tell(self) -> None:
        seconds = max(self._pace.seconds(), 0.001)
        of = ""
        if self._expected and self._received <= self._expected:
            of = f" of {shown_size(self._expected)} ({100 * self._received // self._expected} %)"
        log.info(
            "Model '%s': %s%s of %s have come, %s/s.",
            self._title, shown_size(self._received), of, self._shown, shown_size(self._received / seconds),
        )  # fmt: skip

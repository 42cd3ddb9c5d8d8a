"""Log lines whose rate is limited, because a client must not be able to fill the log."""

from __future__ import annotations

import logging
import threading
import time

from srv.logs import safely

#: Seconds between two lines of one kind.
INTERVAL = 10.0


class LimitedLog:
    """Warnings of one kind: the first one at once, then one line an interval, which counts those left out before it."""

    def __init__(self, log: logging.Logger, *, interval: float = INTERVAL) -> None:
        self._log = log
        self._interval = interval
        self._next = 0.0
        self._left_out = 0
        self._guard = threading.Lock()

    def warning(self, message: str, *args: object) -> None:
        """Write the line, or count it as left out. What a logging handler raises is dropped."""
        now = time.monotonic()
        with self._guard:
            if now < self._next:
                self._left_out += 1
                return
            self._next = now + self._interval
            left_out, self._left_out = self._left_out, 0
        if left_out:
            message += " (%d more such lines were left out.)"
            args = (*args, left_out)
        safely(self._log.warning, message, *args)

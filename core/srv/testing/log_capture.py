"""Captures the exceptions that srv logs while a test runs, because answers do not show them."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import PurePath


class CapturedErrors(logging.Handler):
    """Keeps the last exception that was logged."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._last: logging.LogRecord | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the record if it has an exception."""
        if record.exc_info:
            self._last = record

    def clear(self) -> None:
        """Forget the exception."""
        self._last = None

    def last_error(self) -> str:
        """Return the last exception: the log's message, its class and text, and the line that raised it; empty without one."""
        if self._last is None or not self._last.exc_info or self._last.exc_info[1] is None:
            return ""
        error = self._last.exc_info[1]
        frames = traceback.extract_tb(error.__traceback__)
        place = f" ({PurePath(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""
        return f"{self._last.getMessage()} {type(error).__name__}: {error}{place}"


@contextmanager
def captured_errors() -> Iterator[CapturedErrors]:
    """Capture what srv's loggers log inside of the `with` block."""
    handler = CapturedErrors()
    logger = logging.getLogger("srv")
    logger.addHandler(handler)
    try:
        yield handler
    finally:
        logger.removeHandler(handler)

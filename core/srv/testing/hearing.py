"""What srv's log says while a test runs: the exceptions that answers keep to themselves."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import PurePath


class Heard(logging.Handler):
    """Keeps the last exception that was logged."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._last: logging.LogRecord | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Keep it, where it brings an exception."""
        if record.exc_info:
            self._last = record

    def forget(self) -> None:
        """Start anew."""
        self._last = None

    def told(self) -> str:
        """The last exception: what the log said, its class and message, and the line that raised it."""
        if self._last is None or not self._last.exc_info or self._last.exc_info[1] is None:
            return ""
        error = self._last.exc_info[1]
        frames = traceback.extract_tb(error.__traceback__)
        place = f" ({PurePath(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""
        return f"{self._last.getMessage()} {type(error).__name__}: {error}{place}"


@contextmanager
def heard() -> Iterator[Heard]:
    """Listen to srv's loggers."""
    handler = Heard()
    logger = logging.getLogger("srv")
    logger.addHandler(handler)
    try:
        yield handler
    finally:
        logger.removeHandler(handler)

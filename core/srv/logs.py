"""The logging of every process: where lines go, and what a line looks like."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from functools import lru_cache
from typing import Any

from srv.access_log import ACCESS
from srv.printable import escaped_json, escaped_lines
from srv.safe_logging import StderrHandler, never_raise

#: What a log record may carry for the lines of JSON, beside the message that people read.
_FIELDS = (
    "request_id",
    "method",
    "path",
    "status",
    "duration_ms",
    "queue_ms",
    "compute_ms",
    "model",
    "outcome",
    "reason",
)
#: Begins each line of a record but its first, so that no record can look like two.
_CONTINUED = "| "


class TextLines(logging.Formatter):
    """One line for people: time, level, process, logger, message; further lines and a traceback follow with a mark."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s [%(process)d] %(name)s: %(message)s")

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802, ARG002  the base class calls it so
        """Return the local time with its offset, to the millisecond."""
        return _time(record)

    def format(self, record: logging.LogRecord) -> str:
        """Return the record with control characters escaped, and with a mark before each line but the first.

        Without line ends behind it, because warnings of Python end in one and would leave an empty line.
        """
        text = super().format(record).rstrip("\n")
        return text if text.isprintable() else escaped_lines(text).replace("\n", f"\n{_CONTINUED}")


class JsonLines(logging.Formatter):
    """One JSON object for each record, tracebacks included, so that no line is ever half a record."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line of JSON."""
        line: dict[str, Any] = {
            "time": _time(record),
            "level": record.levelname,
            "logger": record.name,
            "process": record.process,
            "message": record.getMessage().rstrip("\n"),
        }
        line.update({field: getattr(record, field) for field in _FIELDS if hasattr(record, field)})
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        if record.stack_info:
            line["stack"] = self.formatStack(record.stack_info)
        return escaped_json(json.dumps(line, default=str, ensure_ascii=False))


def configure(*, level: str = "info", form: str = "text", access_log: bool = True) -> None:
    """Set up logging for this process and those forked from it, to stderr; a second call replaces the first.

    Called once, before any code of a user's is imported: what a runtime sets up for itself afterwards stays.
    """
    root = logging.getLogger()
    for handler in [handler for handler in root.handlers if isinstance(handler, StderrHandler)]:
        root.removeHandler(handler)
        handler.close_descriptor()
    root.addHandler(StderrHandler(JsonLines() if form == "json" else TextLines()))
    root.setLevel(level.upper())
    ACCESS.setLevel(logging.INFO if access_log else logging.CRITICAL)
    logging.captureWarnings(capture=True)
    never_raise()


def announce(logger: logging.Logger, message: str) -> None:
    """Write a line that everyone wants to see, such as the address, whatever the level is."""
    logger.handle(logger.makeRecord(logger.name, logging.INFO, "", 0, message, (), None))


def safely(write: Callable[..., object], *arguments: Any, **options: Any) -> None:
    """Write to the log by `write`. What a handler or filter raises, such as on a closed stderr, is dropped."""
    with suppress(BaseException):  # because a line of the log is worth less than what would be lost with it
        write(*arguments, **options)


class GunicornLog:
    """gunicorn's logger: its records go where all others go.

    gunicorn's info about booting and signals is written at the level debug, because srv logs the same in its own words.
    """

    access_log_enabled = False

    def __init__(self, cfg: Any) -> None:
        self.cfg = cfg
        self.error_log = logging.getLogger("gunicorn")

    def setup(self, cfg: Any) -> None:
        """Do nothing: logging was configured before gunicorn began."""
        self.cfg = cfg

    def critical(self, message: str, *args: Any, **options: Any) -> None:
        """Write the message."""
        self.error_log.critical(message, *args, **options)

    def error(self, message: str, *args: Any, **options: Any) -> None:
        """Write the message."""
        self.error_log.error(message, *args, **options)

    def warning(self, message: str, *args: Any, **options: Any) -> None:
        """Write the message."""
        self.error_log.warning(message, *args, **options)

    def info(self, message: str, *args: Any, **options: Any) -> None:
        """Write the message at the level debug."""
        self.error_log.debug(message, *args, **options)

    def debug(self, message: str, *args: Any, **options: Any) -> None:
        """Do nothing: gunicorn's debugging shows every setting, and a line for each connection."""

    def exception(self, message: str, *args: Any, **options: Any) -> None:
        """Write the message and the traceback."""
        self.error_log.exception(message, *args, **options)

    def log(self, level: int, message: str, *args: Any, **options: Any) -> None:
        """Write the message."""
        self.error_log.log(level, message, *args, **options)

    def access(self, *_: Any) -> None:
        """Do nothing: the app writes the access log."""

    def reopen_files(self) -> None:
        """Do nothing: lines go to stderr."""

    def close_on_exec(self) -> None:
        """Do nothing: lines go to stderr."""


def _time(record: logging.LogRecord) -> str:
    second = int(record.created)
    moment, offset = _local_time(second)
    return f"{moment}.{int((record.created - second) * 1000):03d}{offset}"


@lru_cache(maxsize=2)
def _local_time(second: int) -> tuple[str, str]:
    """Return a second and its offset as text, made once for all lines of that second."""
    written = datetime.fromtimestamp(second).astimezone().isoformat(timespec="seconds")
    return written[:19], written[19:]

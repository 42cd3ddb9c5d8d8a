"""The one logging configuration of every process: where lines go, and what one looks like."""

from __future__ import annotations

import json
import logging
import sys
from datetime import datetime
from functools import lru_cache
from typing import Any

from srv.counts import Stages

#: One line for each request that was answered; the application and the worker both write to it.
ACCESS = logging.getLogger("srv.access")

#: What a log record may carry for the lines of JSON, beside the message that people read.
_FIELDS = ("request_id", "method", "path", "status", "duration_ms", "queue_ms", "compute_ms", "model", "outcome")
#: Control characters, of which a path or an id sent by a client could make a line that nobody wrote.
_CONTROL = {code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029)}


class _Handler(logging.StreamHandler[Any]):
    """Writes to whatever stderr is at that moment. A class of its own, so that it can be found and replaced."""

    def __init__(self, formatter: logging.Formatter) -> None:
        super().__init__(sys.stderr)
        self.setFormatter(formatter)


class TextLines(logging.Formatter):
    """One line for people: time, level, process, logger, message; a traceback follows on lines of its own."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s [%(process)d] %(name)s: %(message)s")

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802, ARG002  the base class calls it so
        """Local time with its offset, to the millisecond."""
        return _time(record)


class JsonLines(logging.Formatter):
    """One JSON object for each record, tracebacks included, so that no line is ever half a record."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line of JSON."""
        line: dict[str, Any] = {
            "time": _time(record),
            "level": record.levelname,
            "logger": record.name,
            "process": record.process,
            "message": record.getMessage(),
        }
        line.update({field: getattr(record, field) for field in _FIELDS if hasattr(record, field)})
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        if record.stack_info:
            line["stack"] = self.formatStack(record.stack_info)
        return json.dumps(line, default=str, ensure_ascii=False)


def configure(*, level: str = "info", form: str = "text", access_log: bool = True) -> None:
    """Set up logging for this process and those forked from it, to stderr; a second call replaces the first.

    Called once, before any code of a user's is imported: what a runtime sets up for itself afterwards stays.
    """
    root = logging.getLogger()
    for handler in [handler for handler in root.handlers if isinstance(handler, _Handler)]:
        root.removeHandler(handler)
    root.addHandler(_Handler(JsonLines() if form == "json" else TextLines()))
    root.setLevel(level.upper())
    ACCESS.setLevel(logging.INFO if access_log else logging.CRITICAL)
    logging.captureWarnings(capture=True)


def announce(logger: logging.Logger, message: str) -> None:
    """Write a line that everyone wants to see, such as the address, whatever the level is."""
    logger.handle(logger.makeRecord(logger.name, logging.INFO, "", 0, message, (), None))


def access_log(
    method: str,
    path: str,
    status: int,
    seconds: float,
    request_id: str,
    *,
    model: str | None = None,
    outcome: str | None = None,
    stages: Stages | None = None,
) -> None:
    """Write the access log's line for one answer; `stages` for those that a model was asked for."""
    if not ACCESS.isEnabledFor(logging.INFO):
        return
    fields: dict[str, Any] = {
        "method": method,
        "path": path,
        "status": status,
        "duration_ms": round(seconds * 1000, 3),
        "request_id": request_id,
    } | {name: word for name, word in (("model", model), ("outcome", outcome)) if word is not None}
    spent = ""
    if stages is not None:
        queue, compute = stages.queue / 1e6, (stages.input + stages.infer + stages.output) / 1e6
        fields |= {"queue_ms": round(queue, 3), "compute_ms": round(compute, 3)}
        spent = f" queue={queue:.1f} compute={compute:.1f}"
    known = "".join(f" {name}={_shown(fields[name])}" for name in ("model", "outcome") if name in fields)
    said = (_shown(method), _shown(path), status, seconds * 1000, _shown(request_id), known + spent)
    # Made here, because the logger would look for the line of code that calls it.
    ACCESS.handle(
        ACCESS.makeRecord(
            ACCESS.name, logging.INFO, "", 0, "%s %s %d %.1f ms id=%s%s", said, None, "access_log", fields
        )
    )


class GunicornLog:
    """What gunicorn writes to: the same lines as everyone's, and nothing is configured.

    Its own talk about booting and signals is for those who debug gunicorn; srv says the same in words of its own.
    """

    access_log_enabled = False

    def __init__(self, cfg: Any) -> None:
        self.cfg = cfg
        self.error_log = logging.getLogger("gunicorn")

    def setup(self, cfg: Any) -> None:
        """Nothing: the configuration was made before gunicorn began."""
        self.cfg = cfg

    def critical(self, message: str, *args: Any, **options: Any) -> None:
        """Written as it comes."""
        self.error_log.critical(message, *args, **options)

    def error(self, message: str, *args: Any, **options: Any) -> None:
        """Written as it comes."""
        self.error_log.error(message, *args, **options)

    def warning(self, message: str, *args: Any, **options: Any) -> None:
        """Written as it comes."""
        self.error_log.warning(message, *args, **options)

    def info(self, message: str, *args: Any, **options: Any) -> None:
        """Written for those who debug."""
        self.error_log.debug(message, *args, **options)

    def debug(self, message: str, *args: Any, **options: Any) -> None:
        """Left out: gunicorn's debugging shows every setting, and a line for each connection."""

    def exception(self, message: str, *args: Any, **options: Any) -> None:
        """Written as it comes, with the traceback."""
        self.error_log.exception(message, *args, **options)

    def log(self, level: int, message: str, *args: Any, **options: Any) -> None:
        """Written as it comes."""
        self.error_log.log(level, message, *args, **options)

    def access(self, *_: Any) -> None:
        """Nothing: the access log is the application's."""

    def reopen_files(self) -> None:
        """Nothing: lines go to stderr."""

    def close_on_exec(self) -> None:
        """Nothing: lines go to stderr."""


def _time(record: logging.LogRecord) -> str:
    second = int(record.created)
    moment, offset = _local_time(second)
    return f"{moment}.{int((record.created - second) * 1000):03d}{offset}"


@lru_cache(maxsize=2)
def _local_time(second: int) -> tuple[str, str]:
    """A second and its offset, made once for all lines of that second."""
    written = datetime.fromtimestamp(second).astimezone().isoformat(timespec="seconds")
    return written[:19], written[19:]


def _shown(word: str) -> str:
    return word if word.isprintable() else word.translate(_CONTROL)

"""Logging that never raises into the code that logs, whatever handlers, filters, factories and models do."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from srv.errors import is_from_signal, said_by

log = logging.getLogger(__name__)

#: Seconds between two lines about handlers, filters or factories that raise.
_QUIET = 60.0
_PLAIN_FACTORY = logging.LogRecord


class StderrHandler(logging.StreamHandler[Any]):
    """Writes to the stderr that there was when the handler was made, also after a model has closed that.

    It has a descriptor of its own: the number 2, once closed, may become a client's connection.
    """

    def __init__(self, formatter: logging.Formatter) -> None:
        super().__init__(sys.stderr)
        self.setFormatter(formatter)
        self._descriptor = _copy_of(self.stream)
        self._encoding: str = getattr(self.stream, "encoding", None) or "utf-8"

    @property
    def descriptor(self) -> int | None:
        """The descriptor that lines go to; None where stderr is no file, as in tests."""
        return self._descriptor

    def handle(self, record: logging.LogRecord) -> Any:
        """Write a record, unless a filter says otherwise; a filter that raises says nothing."""
        try:
            passed: Any = self.filter(record)
        except BaseException as error:
            if is_from_signal(error):
                raise
            passed = True
        if passed:
            record = passed if isinstance(passed, logging.LogRecord) else record
            self.acquire()
            try:
                self.emit(record)
            finally:
                self.release()
        return passed

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record. One that cannot be formatted is written as it is, with the reason."""
        try:
            text = self.format(record)
        except Exception as error:  # noqa: BLE001  an argument's own __str__ may raise anything
            text = self.format(_unformatted(record, error))
        if self._descriptor is None:
            with contextlib.suppress(Exception):
                self.stream.write(text + self.terminator)
                self.flush()
            return
        line = memoryview((text + self.terminator).encode(self._encoding, "backslashreplace"))
        with contextlib.suppress(OSError):  # because the reader has gone
            while line:
                line = line[os.write(self._descriptor, line) :]

    def flush(self) -> None:
        """Flush the stream, where it still is one."""
        with contextlib.suppress(Exception):
            super().flush()

    def close_descriptor(self) -> None:
        """Close the descriptor, because another handler takes this one's place."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def log_descriptors() -> list[int]:
    """Return the descriptors that srv's own lines go to."""
    handlers = [each for each in logging.getLogger().handlers if isinstance(each, StderrHandler)]
    return [each.descriptor for each in handlers if each.descriptor is not None]


def reopen_standard_streams() -> None:
    """Open again those of the descriptors 0, 1 and 2 that somebody has closed, and say so.

    The next connection would get such a number, and with it what models print.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            own = log_descriptors() if number == 2 else []
            nothing = os.open(os.devnull, os.O_RDWR)  # takes the number itself, where it is the lowest that is free
            if own or nothing != number:
                os.dup2(own[0] if own else nothing, number)
            if nothing != number:
                os.close(nothing)
            os.set_inheritable(number, True)  # noqa: FBT003  the function takes it so
            log.warning("A model has closed the descriptor %d of the standard streams, which is open again.", number)


def never_raise() -> None:
    """Keep to itself what handlers, filters and record factories raise, for all loggers of this process.

    Other libraries log in srv's threads too, so this replaces three methods of `logging.Logger`. One line a minute says
    what was raised. An error by which a signal ends the process still passes.
    """
    logging.raiseExceptions = False
    if getattr(logging.Logger.handle, "srv_never_raises", False):
        return
    failures = _Failures()
    handle = _handle_with(failures)
    handle.srv_never_raises = True  # type: ignore[attr-defined]  # so that a second call knows the first
    patched: Any = logging.Logger  # a type checker takes methods for what must not be replaced
    patched.handle = handle
    patched.callHandlers = _call_handlers_with(failures)
    patched.makeRecord = _make_record_with(failures)


def _handle_with(failures: _Failures) -> Callable[[logging.Logger, logging.LogRecord], None]:
    def handle(logger: logging.Logger, record: logging.LogRecord) -> None:
        if logger.disabled:
            return
        passed = failures.guard(logger, logger.filter, record) if logger.filters else True
        if passed:
            record = passed if isinstance(passed, logging.LogRecord) else record
            failures.guard(logger, logger.callHandlers, record)

    return handle


def _call_handlers_with(failures: _Failures) -> Callable[[logging.Logger, logging.LogRecord], None]:
    def call_handlers(logger: logging.Logger, record: logging.LogRecord) -> None:
        handlers = list(_handlers_of(logger))
        if not handlers and logging.lastResort is not None:
            handlers.append(logging.lastResort)
        for handler in handlers:
            if record.levelno >= handler.level:
                failures.guard(handler, handler.handle, record)

    return call_handlers


def _handlers_of(logger: logging.Logger) -> Iterator[logging.Handler]:
    each: logging.Logger | None = logger
    while each is not None:
        yield from each.handlers
        each = each.parent if each.propagate else None


def _make_record_with(failures: _Failures) -> Callable[..., logging.LogRecord]:
    make_record = logging.Logger.makeRecord

    def make(logger: logging.Logger, *arguments: Any, **named: Any) -> logging.LogRecord:
        factory = logging.getLogRecordFactory()
        if factory is _PLAIN_FACTORY:
            return make_record(logger, *arguments, **named)
        try:
            return make_record(logger, *arguments, **named)
        except BaseException as error:
            if is_from_signal(error):
                raise
            failures.tell(factory, error)
            return _PLAIN_FACTORY(*arguments[:7])

    return make


class _Failures:
    """Calls what may raise, and tells of what was raised, not too often."""

    def __init__(self) -> None:
        self._quiet_until = 0.0

    def guard(self, owner: object, call: Callable[[logging.LogRecord], Any], record: logging.LogRecord) -> Any:
        """Call a filter or handler; True where it raises."""
        try:
            return call(record)
        except BaseException as error:
            if is_from_signal(error):
                raise
            self.tell(owner, error)
            return True

    def tell(self, owner: object, error: BaseException) -> None:
        """Write that a part of logging raises, with srv's own handlers only."""
        now = time.monotonic()
        if now < self._quiet_until:
            return
        self._quiet_until = now + _QUIET
        kind = getattr(owner, "__qualname__", None) or type(owner).__qualname__
        sentence = f"Logging: {kind} raised {type(error).__name__}: {said_by(error)}".rstrip(": ")
        record = _PLAIN_FACTORY("srv.logging", logging.ERROR, "", 0, "%s. Its lines may be lost.", (sentence,), None)
        for handler in logging.getLogger().handlers:
            if isinstance(handler, StderrHandler):
                handler.handle(record)


def _copy_of(stream: Any) -> int | None:
    """Return a descriptor of this process's own for what a stream writes to; None where it writes to no file."""
    try:
        return os.dup(stream.fileno())
    except (AttributeError, OSError, ValueError):
        return None


def _unformatted(record: logging.LogRecord, error: Exception) -> logging.LogRecord:
    """Return a record that says what another one would have said, if its text could be made."""
    message = "%s (not formatted: %s)"
    said = (str(record.msg) if isinstance(record.msg, str) else type(record.msg).__name__, type(error).__name__)
    copy = _PLAIN_FACTORY(record.name, record.levelno, record.pathname, record.lineno, message, said, None)
    copy.created, copy.process = record.created, record.process
    return copy

"""What workers report to the launcher: one line of JSON each, through one pipe."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import select
from collections.abc import Iterator
from typing import Literal

import msgspec

log = logging.getLogger("srv.serve")

What = Literal["doing", "failed", "loaded", "ready", "spent", "unresponsive"]

#: A write up to this size is atomic, so that workers share the pipe without a lock.
_LINE = select.PIPE_BUF
#: Bytes read without a line's end that are given up: no report is so long.
_LONGEST_REST = 16 * _LINE


class WorkerReport(msgspec.Struct, frozen=True):
    """What one worker said: what it is doing, why it failed, which models it serves, or that it wants a successor."""

    pid: int
    what: What
    text: str = ""


class StatusPipe:
    """The pipe. Made before the first fork; the launcher reads, the workers write."""

    def __init__(self) -> None:
        self._reading, self._writing = os.pipe()
        os.set_blocking(self._reading, False)
        self._rest = b""

    def fileno(self) -> int:
        """Return the end that the launcher waits on."""
        return self._reading

    def doing(self, what: str) -> None:
        """Say what this worker does from now on, as it goes on after 'while': 'loading model iris'."""
        self._write("doing", what)

    def failed(self, sentence: str) -> None:
        """Say why this worker cannot serve."""
        self._write("failed", sentence)

    def loaded(self) -> None:
        """Say that this worker lets clients in as soon as the gate is open."""
        self._write("loaded", "")

    def ready(self, models: str) -> None:
        """Say that this worker serves what it was asked to; the models as the banner lists them."""
        self._write("ready", models)

    def spent(self, why: str = "") -> None:
        """Ask for a successor, after which this worker goes: it has answered its max_requests, or `why`."""
        self._write("spent", why)

    def unresponsive(self, why: str) -> None:
        """Say what keeps this worker from showing that it lives, as it goes on after 'because'; "" takes it back."""
        self._write("unresponsive", why)

    def received(self) -> Iterator[WorkerReport]:
        """Give everything that was said since the last call. What is no report is logged and passed over."""
        with contextlib.suppress(BlockingIOError):
            while piece := os.read(self._reading, 65536):
                self._rest += piece
        *lines, self._rest = self._rest.split(b"\n")
        if len(self._rest) > _LONGEST_REST:
            self._rest = b""
        for line in lines:
            try:
                yield msgspec.json.decode(line, type=WorkerReport)
            except (msgspec.DecodeError, UnicodeDecodeError):
                log.warning("What came through the workers' pipe is no report: %.100r", line)

    def never_wait(self) -> None:
        """Drop reports where the pipe is full, because nobody reads them."""
        os.set_blocking(self._writing, False)

    def only_write(self) -> None:
        """Close the reading end, in a worker, which notices by that when the launcher is gone."""
        os.close(self._reading)

    def close(self) -> None:
        """Close both ends."""
        os.close(self._reading)
        os.close(self._writing)

    def _write(self, what: What, text: str) -> None:
        with contextlib.suppress(BrokenPipeError, BlockingIOError):  # nobody reads it, or the launcher is gone
            os.write(self._writing, _line(WorkerReport(os.getpid(), what, text)))


def _line(report: WorkerReport) -> bytes:
    line = json.dumps(msgspec.structs.asdict(report)).encode() + b"\n"
    if len(line) <= _LINE:
        return line
    # A character takes at most twelve bytes as JSON, so that this much always fits.
    return _line(WorkerReport(report.pid, report.what, report.text[: _LINE // 12 - 20] + "…"))

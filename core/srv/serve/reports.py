"""What workers tell the master while it looks after them: one line of JSON each, through one pipe."""

from __future__ import annotations

import contextlib
import json
import os
import select
from collections.abc import Iterator
from typing import Literal

import msgspec

What = Literal["doing", "failed", "ready", "spent"]

#: A write up to this size is atomic, so that workers share the pipe without a lock.
_LINE = select.PIPE_BUF


class Report(msgspec.Struct, frozen=True):
    """What one worker said: what it is doing, why it failed, which models it serves, or that it wants a successor."""

    pid: int
    what: What
    text: str = ""


class Reports:
    """The pipe. Made before the first fork; the master reads, the workers write."""

    def __init__(self) -> None:
        self._reading, self._writing = os.pipe()
        os.set_blocking(self._reading, False)
        self._rest = b""

    def fileno(self) -> int:
        """The end that the master waits on."""
        return self._reading

    def doing(self, what: str) -> None:
        """What this worker does from now on, as it goes on after 'while': 'loading model iris'."""
        self._write("doing", what)

    def failed(self, sentence: str) -> None:
        """Why this worker cannot serve."""
        self._write("failed", sentence)

    def ready(self, models: str) -> None:
        """This worker serves what it was asked to; the models as the banner lists them."""
        self._write("ready", models)

    def spent(self) -> None:
        """This worker has answered its max_requests, and goes when another has taken its place."""
        self._write("spent", "")

    def heard(self) -> Iterator[Report]:
        """Everything that was said since the last call."""
        with contextlib.suppress(BlockingIOError):
            while piece := os.read(self._reading, 65536):
                self._rest += piece
        *lines, self._rest = self._rest.split(b"\n")
        for line in lines:
            yield Report(**json.loads(line))

    def only_write(self) -> None:
        """Let go of the reading end, in a worker: a master that is gone is noticed then."""
        os.close(self._reading)

    def close(self) -> None:
        """Let go of both ends."""
        os.close(self._reading)
        os.close(self._writing)

    def _write(self, what: What, text: str) -> None:
        with contextlib.suppress(BrokenPipeError):  # the master is gone, and this worker will notice by itself
            os.write(self._writing, _line(Report(os.getpid(), what, text)))


def _line(report: Report) -> bytes:
    line = json.dumps(msgspec.structs.asdict(report)).encode() + b"\n"
    if len(line) <= _LINE:
        return line
    # A character takes at most twelve bytes as JSON, so that this much always fits.
    return _line(Report(report.pid, report.what, report.text[: _LINE // 12 - 20] + "…"))

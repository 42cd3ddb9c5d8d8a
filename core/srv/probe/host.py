"""The host of the child process: starts it, reads its messages with a time limit, and names the plugin that ended it."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import IO, Any

from srv.discovery.plugin import Plugin
from srv.errors import SrvError
from srv.probe.messages import Job, from_wire

#: How long one plugin may take before its child process is given up.
SECONDS = 30.0


class ProbeFailed(SrvError):
    """The child process ended, and no plugin can be blamed."""

    def __init__(self, how: str) -> None:
        super().__init__(f"The process that imports plugins failed: it {how}.")


class _Ended(Exception):
    """The child ended, or took too long, before its job was done."""


@dataclass
class Outcome:
    """What the child processes reported: the last state of each plugin."""

    rows: list[Plugin] = field(default_factory=list)
    order: dict[str, list[Plugin]] = field(default_factory=dict)
    #: What is wrong with the sections: each has `section`, `key` and `message`.
    sections: list[dict[str, str]] = field(default_factory=list)
    #: What a task of a plugin has to tell.
    told: list[dict[str, Any]] = field(default_factory=list)
    #: Plugins that ended or held up their process, by `kind:distribution:name`, and how.
    broken: dict[str, str] = field(default_factory=dict)


def run(job: Job, *, seconds: float = SECONDS) -> Outcome:
    """Do a job in a child process, and repeat it without each plugin that ends it, until a child finishes."""
    broken = dict(job.broken)
    while True:
        outcome = Outcome(broken=broken)
        trying = ""
        try:
            for message in _messages(replace(job, broken=broken), seconds):
                trying = message.get("trying", trying)
                _take(message, outcome)
        except _Ended as ended:
            if not trying or trying in broken:
                raise ProbeFailed(str(ended)) from None
            broken[trying] = f"its import {ended}"
            continue
        return outcome


def _take(message: dict[str, Any], outcome: Outcome) -> None:
    if "rows" in message:
        outcome.rows = [from_wire(row) for row in message["rows"]]
    elif "order" in message:
        outcome.order = {hook: [from_wire(row) for row in rows] for hook, rows in message["order"].items()}
    elif "section" in message:
        outcome.sections.append(message)
    elif "trying" not in message and "done" not in message:
        outcome.told.append(message)


def _messages(job: Job, seconds: float) -> Iterator[dict[str, Any]]:
    """Yield the child's messages as they come. Raises _Ended if it hangs, crashes or leaves early."""
    with tempfile.TemporaryFile() as stderr:
        # -P, because the folder where somebody stands must not shadow srv.
        child = subprocess.Popen(
            [sys.executable, "-P", "-m", "srv.probe.child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            start_new_session=True,
        )
        assert child.stdin is not None
        assert child.stdout is not None
        try:
            with contextlib.suppress(BrokenPipeError), child.stdin:
                child.stdin.write(job.to_json().encode())
            done = False
            for line in _lines(child.stdout, seconds):
                message = json.loads(line)
                done = done or "done" in message
                yield message
            if not done:
                raise _Ended(_how(child.wait(), stderr))
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            child.stdout.close()
            child.wait()


def _lines(pipe: IO[bytes], seconds: float) -> Iterator[bytes]:
    """Yield whole lines until the pipe's end. Raises _Ended if none comes within that time."""
    rest = b""
    with selectors.DefaultSelector() as selector:
        selector.register(pipe, selectors.EVENT_READ)
        deadline = time.monotonic() + seconds
        while True:
            if not selector.select(max(0.0, deadline - time.monotonic())):
                raise _Ended(f"did not end within {seconds:g} s")
            chunk = os.read(pipe.fileno(), 65536)
            if not chunk:
                return
            *whole, rest = (rest + chunk).split(b"\n")
            if whole:
                deadline = time.monotonic() + seconds
            yield from whole


def _how(code: int, stderr: IO[bytes]) -> str:
    """Return how the child ended, with the last line that it printed."""
    ended = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended the process with exit code {code}"
    stderr.seek(0)
    lines = stderr.read().decode(errors="replace").strip().splitlines()
    return f"{ended}: {lines[-1][:200]}" if lines else ended

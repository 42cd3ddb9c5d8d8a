"""Shows on stderr how a build goes on: one line that changes on a terminal, a line a step elsewhere."""

from __future__ import annotations

import shutil
import sys
import threading
import time
from typing import Self

import click

from srv.images import BuildEvent

EVERY = 0.2


class Quiet:
    """Is called with each event while a build runs inside its `with`, and says nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        """Nothing was begun."""

    def __call__(self, event: BuildEvent) -> None:
        """Say nothing."""


class Lines(Quiet):
    """A line for each step as it begins, with the seconds since the start, and one where it is cached."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    def __call__(self, event: BuildEvent) -> None:
        """Tell of a step."""
        if event.begins:
            click.echo(self.line(event), err=True)
        elif event.cached:
            click.echo(f"{'':>9}(kept from an earlier build)", err=True)

    def line(self, event: BuildEvent) -> str:
        """A step, and when."""
        place = f"{event.step}/{event.steps}" if event.step and event.steps else ""
        return f"{time.monotonic() - self._began:5.0f} s  {place:>5}  {event.text}"


class Live(Lines):
    """One line at the bottom of a terminal: the time, which goes on by itself, the step and its last word."""

    def __init__(self) -> None:
        super().__init__()
        self._step = BuildEvent("")
        self._said = ""
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._tick, name="progress", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *failure: object) -> None:
        """Take the line away."""
        self._ended.set()
        self._thread.join()
        self._show("")

    def __call__(self, event: BuildEvent) -> None:
        """Take an event in; the next tick shows it."""
        if event.begins:
            self._step, self._said = event, ""
        else:
            self._said = event.text.strip()

    def _tick(self) -> None:
        while not self._ended.wait(EVERY):
            self._show(f"{self.line(self._step)}  {self._said}")

    def _show(self, line: str) -> None:
        sys.stderr.write(f"\r\x1b[K{line[: shutil.get_terminal_size().columns - 1]}")
        sys.stderr.flush()


def shown(*, quiet: bool) -> Quiet:
    """What suits the place where stderr goes to."""
    if quiet:
        return Quiet()
    return Live() if sys.stderr.isatty() else Lines()

"""Progress of a build on stderr: one changing line on a terminal, a line for each step elsewhere."""

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
    """A progress that prints nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        """Do nothing, because nothing was begun."""

    def __call__(self, event: BuildEvent) -> None:
        """Print nothing."""


class Lines(Quiet):
    """A line for each step as it begins, with the seconds since the start; cached steps are marked."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    def __call__(self, event: BuildEvent) -> None:
        """Print a step that begins."""
        if event.begins:
            click.echo(self.line(event), err=True)
        elif event.cached:
            click.echo(f"{'':>9}(kept from an earlier build)", err=True)

    def line(self, event: BuildEvent) -> str:
        """Return the line of a step."""
        place = f"{event.step}/{event.steps}" if event.step and event.steps else ""
        return f"{time.monotonic() - self._began:5.0f} s  {place:>5}  {event.text}"


class Live(Lines):
    """One line at the bottom of a terminal: the running time, the step and its last output."""

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
        """Remove the line."""
        self._ended.set()
        self._thread.join()
        self._show("")

    def __call__(self, event: BuildEvent) -> None:
        """Keep an event; the next tick shows it."""
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
    """Return the progress that suits stderr: live on a terminal, lines elsewhere."""
    if quiet:
        return Quiet()
    return Live() if sys.stderr.isatty() else Lines()

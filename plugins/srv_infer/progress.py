"""The progress of a run on stderr: a line that is written anew on a terminal, a line every ten seconds elsewhere."""

from __future__ import annotations

import sys
import time

from srv.cli.output import echo

_EVERY_SECONDS = 10.0
_ANEW_SECONDS = 0.2
_BAR = 24


class Progress:
    """Tells how many rows are done, how fast, and how long the rest takes. Silent where `shown` is false."""

    def __init__(self, *, shown: bool, rows_before: int) -> None:
        self._shown = shown
        self._terminal = sys.stderr.isatty()
        self._before = rows_before
        self._started = self._told = time.monotonic()

    def tell(self, rows: int, failed: int, done: float | None) -> None:
        """Tell how far the run is, unless that was told a moment ago."""
        now = time.monotonic()
        if self._shown and now - self._told >= (_ANEW_SECONDS if self._terminal else _EVERY_SECONDS):
            self._told = now
            line = self._line(rows, failed, done, now - self._started)
            if self._terminal:
                echo(f"{line:<79}", err=True, nl=False)
                sys.stderr.write("\r")
                sys.stderr.flush()
            else:
                echo(line, err=True)

    def end(self) -> None:
        """Leave the line of a terminal empty."""
        if self._shown and self._terminal:
            sys.stderr.write(" " * 79 + "\r")
            sys.stderr.flush()

    def _line(self, rows: int, failed: int, done: float | None, seconds: float) -> str:
        rate = (rows - self._before) / seconds if seconds else 0.0
        parts = [f"{rows:,} rows", f"{rate:,.0f} rows/s", f"{failed:,} failed"]
        if done is not None:
            filled = round(_BAR * done)
            parts.insert(0, f"[{'#' * filled}{'.' * (_BAR - filled)}] {done:4.0%}")
            if 0 < done < 1 and rate:
                total = rows / done
                parts.insert(3, f"{_clock((total - rows) / rate)} left")
        return "  ".join(parts)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"

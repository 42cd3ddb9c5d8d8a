"""The progress of a run on stderr: a line that is written anew on a terminal, a line every ten seconds elsewhere."""

from __future__ import annotations

import os
import sys
import time

from srv.cli.output import echo

_EVERY_SECONDS = 10.0
_ANEW_SECONDS = 0.2
_WIDTH = 80
_BAR = 24


class Progress:
    """Tells how many rows are done, how fast, and how long the rest takes. Silent where `shown` is false."""

    def __init__(self, *, shown: bool, rows_before: int, failed_before: int = 0) -> None:
        self._shown = shown
        self._terminal = sys.stderr.isatty()
        self._before = rows_before
        self._rows, self._failed = rows_before, failed_before
        self._done: float | None = None
        self._started = self._told = time.monotonic()

    def tell(self, rows: int, failed: int, done: float | None) -> None:
        """Tell how far the run is, unless that was told a moment ago."""
        self._rows, self._failed, self._done = rows, failed, done
        self.wait(None)

    def wait(self, trouble: str | None) -> None:
        """Tell that the run waits, and what for where the server is in trouble, unless something was told a moment ago."""
        now = time.monotonic()
        if self._shown and now - self._told >= (_ANEW_SECONDS if self._terminal else _EVERY_SECONDS):
            self._told = now
            line = self._line(now - self._started, trouble)
            if self._terminal:
                self._write(line)
            else:
                echo(line, err=True)

    def end(self) -> None:
        """Leave the line of a terminal empty."""
        if self._shown and self._terminal:
            self._write("")
            sys.stderr.write("\r")
            sys.stderr.flush()

    def _write(self, line: str) -> None:
        width = _width() - 1
        echo(f"{line[:width]:<{width}}", err=True, nl=False)
        sys.stderr.write("\r")
        sys.stderr.flush()

    def _line(self, seconds: float, trouble: str | None) -> str:
        rate = (self._rows - self._before) / seconds if seconds else 0.0
        parts = [f"{self._rows:,} rows", f"{rate:,.0f} rows/s", f"{self._failed:,} failed"]
        if trouble is not None:
            return "  ".join([parts[0], parts[2], f"waiting: {trouble}"])
        if self._done is not None:
            filled = round(_BAR * self._done)
            parts.insert(0, f"[{'#' * filled}{'.' * (_BAR - filled)}] {self._done:4.0%}")
            if 0 < self._done < 1 and rate:
                parts.insert(3, f"{_clock((self._rows / self._done - self._rows) / rate)} left")
        return "  ".join(parts)


def _width() -> int:
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns or _WIDTH
    except OSError:
        return _WIDTH


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"

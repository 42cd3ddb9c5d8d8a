"""The progress of `srv infer`: one line that is written anew on a terminal of any width, lines elsewhere."""

import fcntl
import io
import os
import pty
import struct
import sys
import termios
from contextlib import suppress

import pytest

from srv_infer import progress
from srv_infer.progress import Progress


@pytest.fixture
def clock(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


@pytest.fixture
def terminal():
    """A terminal of forty columns: a file to write to, and a function that closes it and gives all that was written."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 40, 0, 0))

    def written():
        stderr.close()
        pieces = []
        with suppress(OSError):  # which is a terminal's word for its end
            while piece := os.read(master, 65536):  # a piece may be any part of what was written
                pieces.append(piece)
        return b"".join(pieces).decode()

    with os.fdopen(slave, "w") as stderr:
        yield stderr, written
    os.close(master)


def test_a_terminal_has_one_line_that_fits_its_width_and_is_empty_in_the_end(terminal, clock, monkeypatch):
    stderr, written = terminal
    monkeypatch.setattr(sys, "stderr", stderr)
    told = Progress(shown=True, rows_before=0)
    for rows in (100, 200):
        clock[0] += 1
        told.tell(rows, 3, rows / 400)
    clock[0] += 1
    told.wait("No server answers at http://localhost:8080: Connection refused.")
    told.end()
    first, second, waiting, empty, *_ = written().split("\r")
    assert first.startswith("[######..................]  25%  100 ro")
    assert second.startswith("[############............]  50%  200 ro")
    assert waiting == "200 rows  3 failed  waiting: No server "
    assert empty == " " * 39
    assert {len(first), len(second), len(waiting)} == {39}


def test_elsewhere_a_line_comes_every_ten_seconds(monkeypatch, clock):
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    told = Progress(shown=True, rows_before=1000, failed_before=1)
    for _ in range(25):
        clock[0] += 1
        told.tell(1000 + 10 * round(clock[0] - 100), 1, 0.5)
    told.end()
    assert sys.stderr.getvalue().splitlines() == [
        "[############............]  50%  1,100 rows  10 rows/s  1:50 left  1 failed",
        "[############............]  50%  1,200 rows  10 rows/s  2:00 left  1 failed",
    ]


def test_a_run_over_a_pipe_tells_no_part_because_nobody_knows_it(monkeypatch, clock):
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    told = Progress(shown=True, rows_before=0)
    clock[0] += 60
    told.tell(6000, 0, None)
    assert sys.stderr.getvalue() == "6,000 rows  100 rows/s  0 failed\n"

"""The journal beside an output: how far a run has come, so that it can go on after any interruption.

A line stands in it for each batch that is written: what counts of the output are the bytes that its last whole line tells.
Bytes behind them are of a batch whose line was not written, and are cut off before the run goes on.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import IO, Any, NamedTuple

import orjson

from srv_infer.errors import AnotherRun, NothingToResume
from srv_infer.files import opened_alone

_BEGINNING = 1 << 20


class Place(NamedTuple):
    """How far a run has come: rows of the input, bytes of the output and of the file of failed rows, and both counts."""

    rows: int = 0
    out_bytes: int = 0
    failed_bytes: int = 0
    answered: int = 0
    failed: int = 0


class Journal:
    """The journal of one run. Each line is one write, so that a kill leaves whole lines and at most half of one.

    No other run can have it open, so that two runs never write one output.
    """

    def __init__(self, path: Path, file: IO[bytes], place: Place) -> None:
        self._path = path
        self._file = file
        self.place = place

    @classmethod
    def begun(cls, path: Path, run: dict[str, Any]) -> Journal:
        """Begin a journal for a run, which these values tell from others. Raises BusyOutput."""
        file = opened_alone(path)
        file.truncate(0)
        file.write(orjson.dumps(run) + b"\n")
        return cls(path, file, Place())

    @classmethod
    def resumed(cls, path: Path, run: dict[str, Any]) -> Journal:
        """Go on with the run whose journal is there. Raises NothingToResume, AnotherRun or BusyOutput."""
        if not path.exists():
            raise NothingToResume(path)
        file = opened_alone(path)
        try:
            lines = file.read().split(b"\n")[:-1]  # behind the last line break is half a line, or nothing
            place = _place(path, lines, run)
        except BaseException:
            file.close()
            raise
        file.truncate(sum(len(line) + 1 for line in lines))
        file.seek(0, os.SEEK_END)
        return cls(path, file, place)

    def note(self, place: Place) -> None:
        """Write how far the run has come, when all that it tells of is written."""
        self._file.write(orjson.dumps([*place]) + b"\n")
        self.place = place

    def finished(self) -> None:
        """Remove the journal of a run that has come to its end."""
        self._path.unlink(missing_ok=True)

    def close(self) -> None:
        """Close the file, and leave it for another run."""
        self._file.close()


def _place(path: Path, lines: list[bytes], run: dict[str, Any]) -> Place:
    try:
        said, *places = map(orjson.loads, lines)
    except ValueError:
        raise NothingToResume(path) from None
    differs = [name for name in run if said.get(name) != run[name]]
    if differs:
        raise AnotherRun(path, differs)
    return Place(*places[-1]) if places else Place()


def journal_of(output: Path) -> Path:
    """Return the path of an output's journal."""
    return output.with_name(f"{output.name}.journal")


def fingerprint(path: Path) -> str:
    """Return what tells an input from another one: its size, the time of its last change and the hash of its beginning."""
    with path.open("rb") as file:
        beginning = hashlib.sha256(file.read(_BEGINNING)).hexdigest()
        status = os.fstat(file.fileno())
    return f"{status.st_size}:{status.st_mtime_ns}:{beginning[:16]}"

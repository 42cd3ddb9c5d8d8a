"""Rows of numbers that one worker writes and every worker reads: in a mapped file, which outlives its worker.

A second file has a line of JSON for each row, which says where the row is and what it counts. Where there is no folder, or
the disk takes no more, rows are in memory of the worker's own.
"""

from __future__ import annotations

import json
import logging
import mmap
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Literal, NamedTuple

from srv.planes.shared_files import open_private

log = logging.getLogger(__name__)

#: What a cell holds, as `struct` has it: a whole number or a floating-point number, both of 8 bytes.
Cell = Literal["q", "d"]
#: A map, its cells, and the number of a row's first cell there.
Place = tuple[mmap.mmap, Any, int]
_SIZE = 8


class StoredRow:
    """One row: words that say what it counts, and its cells."""

    __slots__ = ("place", "width", "words")

    #: Read in one step, because `move` replaces it; `Rows.put` sets it.
    place: Place

    def __init__(self, words: Sequence[object], width: int) -> None:
        self.words = words
        self.width = width

    def move(self, place: Place) -> None:
        """Count in another place from now on, where what was counted so far is written too."""
        _, before, at = self.place
        _, cells, start = place
        cells[start : start + self.width] = before[at : at + self.width]
        self.place = place

    def read(self) -> list[Any]:
        """Return the numbers in the cells."""
        _, cells, start = self.place
        numbers: list[Any] = cells[start : start + self.width].tolist()
        return numbers


class OtherRow(NamedTuple):
    """A row of another worker as it is now, and the name of that worker."""

    worker: str
    words: list[Any]
    numbers: list[Any]


class _RowFile:
    """The two files of one worker's rows."""

    def __init__(self, folder: Path, name: str, cell: Cell, growth: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        while (folder / f"{name}.rows").exists():  # a dead worker had the same process id
            name += "+"
        self.names = folder / f"{name}.kinds"
        self._cell = cell
        self._growth = growth
        self._rows = open_private(self.names.with_suffix(".rows"), "x+b")
        self._kinds = open_private(self.names, "ab")
        self._segments: list[mmap.mmap] = []
        self._used = 0
        self._bytes_of_kinds = 0

    def __del__(self) -> None:
        for name in ("_rows", "_kinds"):
            if hasattr(self, name):
                getattr(self, name).close()

    def add(self, row: StoredRow) -> Place:
        """Return the place of a new row. Raises OSError where the disk takes no more."""
        start = _start(self._used, row.width, self._growth)
        if start + row.width > len(self._segments) * self._growth:
            self._segments.append(self._grown())
        self._write_kind(json.dumps([start, row.width, *row.words]).encode() + b"\n")
        self._used = start + row.width
        return _place(self._segments[-1], self._cell, start % self._growth)

    def is_there(self) -> bool:
        """Return whether the file is still at its path, where other workers look for it."""
        try:
            return self.names.stat().st_ino == os.fstat(self._kinds.fileno()).st_ino
        except OSError:
            return False

    def _grown(self) -> mmap.mmap:
        size = self._growth * _SIZE
        start = len(self._segments) * size
        _allocate(self._rows, start, size)
        return mmap.mmap(self._rows.fileno(), size, offset=start)

    def _write_kind(self, line: bytes) -> None:
        """Append a line whole or not at all."""
        written = 0
        try:
            written = self._kinds.write(line)
        finally:
            if written != len(line):
                os.truncate(self._kinds.fileno(), self._bytes_of_kinds)
        if written != len(line):
            raise OSError(f"{self.names} cannot grow")
        self._bytes_of_kinds += written


class Rows:
    """The rows of one worker, and those that other workers keep in the same folder. Safe to call from several threads.

    `cell` says what a row's numbers are, `growth` by how many cells the file grows, which is as many as a row may have:
    their bytes are a multiple of the page size. `loss` is logged once where the disk takes no more.
    """

    def __init__(self, folder: Path | None, name: str, *, cell: Cell, growth: int, loss: str) -> None:
        self._folder = folder
        self._name = name
        self._cell = cell
        self._growth = growth
        self._loss = loss
        self._has_warned = False
        self._file: _RowFile | None = None
        self._own_memory: list[mmap.mmap] = []
        self._used = 0
        self._rows: list[StoredRow] = []
        #: Held while rows are added or moved; one who writes under it loses nothing to a move.
        self.guard = threading.RLock()

    def put(self, row: StoredRow) -> None:
        """Give a new row its place, with every cell 0."""
        with self.guard:
            row.place = self._place_for(row)
            self._rows.append(row)

    def own(self) -> list[StoredRow]:
        """Return the rows of this worker."""
        with self.guard:
            return [*self._rows]

    def others(self) -> Iterator[OtherRow]:
        """Yield the rows of the other workers, dead ones too."""
        own = self._file.names if self._file is not None else None
        for names in sorted(self._folder.glob("*.kinds")) if self._folder is not None else ():
            if names != own:
                with suppress(FileNotFoundError):
                    yield from _read(names, self._cell)

    def restore(self) -> None:
        """Write the files again, with the numbers of this worker, where somebody has deleted them."""
        if self._folder is None or not self._rows or (self._file is not None and self._file.is_there()):
            return
        with self.guard:
            self._file = self._opened()
            if self._file is None:
                return
            with suppress(OSError):  # the rest is counted where it is
                for row in self._rows:
                    row.move(self._file.add(row))

    def leave_files(self) -> None:
        """Count in private memory from now on, in a child that a model has forked; its parent goes on with the files."""
        self.guard = threading.RLock()  # because a thread that is not in this process may hold the other one
        self._folder = self._file = None
        for row in self._rows:
            row.move(self._private(row))

    def _opened(self) -> _RowFile | None:
        if self._folder is None:
            return None
        try:
            return _RowFile(self._folder, self._name, self._cell, self._growth)
        except OSError as error:
            self._warn(error)
            return None

    def _place_for(self, row: StoredRow) -> Place:
        """Return a free place for a row: in the file, or in private memory where the disk is full."""
        if self._file is None and not self._rows:
            self._file = self._opened()  # now, because a worker that counts nothing needs none
        if self._file is not None:
            try:
                return self._file.add(row)
            except OSError as error:
                self._warn(error)
        return self._private(row)

    def _private(self, row: StoredRow) -> Place:
        """Return a free place for a row in memory of this process alone."""
        start = _start(self._used, row.width, self._growth)
        if start + row.width > len(self._own_memory) * self._growth:
            self._own_memory.append(mmap.mmap(-1, self._growth * _SIZE))
        self._used = start + row.width
        return _place(self._own_memory[-1], self._cell, start % self._growth)

    def _warn(self, error: OSError) -> None:
        if not self._has_warned:
            self._has_warned = True
            log.warning("%s: %s.", self._loss, error.strerror or error)


def _start(used: int, width: int, growth: int) -> int:
    """Return the first free cell from which a row of that width is whole in one map."""
    return used if used % growth + width <= growth else (used // growth + 1) * growth


def _place(mapped: mmap.mmap, cell: Cell, start: int) -> Place:
    return mapped, memoryview(mapped).cast(cell), start


def _allocate(file: IO[bytes], start: int, size: int) -> None:
    """Extend a file by bytes that the disk has reserved: writing to a map without them kills the process."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file.fileno(), start, size)
    else:
        file.truncate(start + size)


def _read(names: Path, cell: Cell) -> Iterator[OtherRow]:
    """Yield the rows of another worker."""
    lines = [*_lines_in(names)]  # read first, because the file of rows grows before a line is written
    if not lines:
        return
    with (
        names.with_suffix(".rows").open("rb") as file,
        mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as rows,
        memoryview(rows) as view,
        view.cast(cell) as cells,
    ):
        for start, width, *words in lines:
            yield OtherRow(names.stem, words, cells[start : start + width].tolist())


def _lines_in(names: Path) -> Iterator[list[Any]]:
    """Yield what the lines say; a line that is being written counts the next time."""
    for line in names.read_text().splitlines(keepends=True):
        if line.endswith("\n"):
            yield json.loads(line)

"""Rows of numbers that one worker writes and every worker reads, in files that outlive the worker.

Where there is no folder, or the disk takes no more, rows are in memory of the worker's own.
"""

from __future__ import annotations

import logging
import mmap
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from srv.planes.row_files import (
    SIZE,
    Cell,
    Fold,
    OtherRow,
    Place,
    RowFile,
    fold_dead,
    place_in,
    rows_of_others,
    start_of,
)

log = logging.getLogger(__name__)


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
        self._file: RowFile | None = None
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

    def others(self) -> list[OtherRow]:
        """Return the rows of the other workers, dead ones too."""
        if self._folder is None:
            return []
        return rows_of_others(self._folder, self._file.names if self._file is not None else None, self._cell)

    def fold_dead(self, fold: Fold) -> None:
        """Let one file stand for those of all dead workers."""
        if self._folder is not None:
            with suppress(OSError):  # where the disk takes no more, they stay as they are
                fold_dead(self._folder, self._cell, fold)

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
                    row.move(self._file.add(row.words, row.width))

    def leave_files(self) -> None:
        """Count in private memory from now on, in a child that a model has forked; its parent goes on with the files."""
        self.guard = threading.RLock()  # because a thread that is not in this process may hold the other one
        self._folder = self._file = None
        for row in self._rows:
            row.move(self._private(row))

    def _opened(self) -> RowFile | None:
        if self._folder is None:
            return None
        try:
            return RowFile(self._folder, self._name, self._cell, self._growth)
        except OSError as error:
            self._warn(error)
            return None

    def _place_for(self, row: StoredRow) -> Place:
        """Return a free place for a row: in the file, or in private memory where the disk is full."""
        if self._file is None and not self._rows:
            self._file = self._opened()  # now, because a worker that counts nothing needs none
        if self._file is not None:
            try:
                return self._file.add(row.words, row.width)
            except OSError as error:
                self._warn(error)
        return self._private(row)

    def _private(self, row: StoredRow) -> Place:
        """Return a free place for a row in memory of this process alone."""
        start = start_of(self._used, row.width, self._growth)
        if start + row.width > len(self._own_memory) * self._growth:
            self._own_memory.append(mmap.mmap(-1, self._growth * SIZE))
        self._used = start + row.width
        return place_in(self._own_memory[-1], self._cell, start % self._growth)

    def _warn(self, error: OSError) -> None:
        if not self._has_warned:
            self._has_warned = True
            log.warning("%s: %s.", self._loss, error.strerror or error)

"""The ledger: what each worker has counted, summed over all workers when asked.

Each worker has a file of rows, mapped into its memory. A thread has a row for each kind of answer that it gives, and adds
to the row without a lock, because no other thread writes there. The rows of a thread that has ended go to the next thread
that counts the same kind. The file grows with the rows, and outlives its worker, so that sums hold through restarts.
"""

from __future__ import annotations

import json
import logging
import mmap
import os
import struct
import threading
import time
from bisect import bisect_left
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import IO

from srv.metrics_types import BOUNDS, Kind, Stages, Sums
from srv.planes.shared_files import open_private

log = logging.getLogger(__name__)

_BOUNDS_NS = tuple(int(bound * 1_000_000_000) for bound in BOUNDS)

_COUNT, _ELEMENTS, _EXECUTIONS, _LAST, _QUEUE, _INPUT, _INFER, _OUTPUT, _TOTAL, _DURATIONS = range(10)
_QUEUES = _DURATIONS + len(BOUNDS) + 1
_WIDTH = _QUEUES + len(BOUNDS) + 1
_write_sums = struct.Struct(f"{_DURATIONS}q").pack_into
#: The face in the kind of a row that counts batches of one size, and not answers.
_BATCHES = "batches of"
#: How many rows a file grows by. Their bytes are a multiple of every usual page size, as offsets of maps must be.
_GROWTH = 1024

#: What `record` takes for a Kind.
KindLike = tuple[str, str | None, str, str]


class _Row:
    """One row: its place in a map, and its first cells as Python numbers too.

    Adding to the numbers and writing all of them at once takes half as long as adding in place.
    """

    __slots__ = ("kind", "place", "sums")

    def __init__(self, kind: Kind, mapped: mmap.mmap, start: int) -> None:
        self.kind = kind
        #: The map, its cells, and the number of the row's first cell: read in one step, because `move` replaces it.
        self.place = (mapped, memoryview(mapped).cast("q"), start)
        self.sums = [0] * _DURATIONS

    def write(self) -> None:
        """Copy the numbers to the map."""
        mapped, _, start = self.place
        _write_sums(mapped, start * 8, *self.sums)

    def move(self, mapped: mmap.mmap, start: int) -> None:
        """Count in another map from now on, where what was counted so far is written too."""
        _, before, at = self.place
        cells = memoryview(mapped).cast("q")
        cells[start : start + _WIDTH] = before[at : at + _WIDTH]
        self.place = (mapped, cells, start)

    def read(self) -> Sums:
        """Return what was counted."""
        _, cells, start = self.place
        return _sums_of(cells[start : start + _WIDTH].tolist())


class _RowFile:
    """A file of rows and a file of their kinds, which other workers read."""

    def __init__(self, folder: Path, name: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        while (folder / f"{name}.rows").exists():  # a dead worker had the same process id
            name += "+"
        self.names = folder / f"{name}.kinds"
        self._rows = open_private(self.names.with_suffix(".rows"), "x+b")
        self._kinds = open_private(self.names, "ab")
        self._segments: list[mmap.mmap] = []
        self._count = 0
        self._bytes_of_kinds = 0

    def __del__(self) -> None:
        for name in ("_rows", "_kinds"):
            if hasattr(self, name):
                getattr(self, name).close()

    def add(self, kind: Kind) -> tuple[mmap.mmap, int]:
        """Return the map and the first cell of a new row. Raises OSError where the disk takes no more."""
        if self._count == len(self._segments) * _GROWTH:
            self._segments.append(self._grown())
        self._write_kind(json.dumps(kind).encode() + b"\n")
        place = self._count % _GROWTH
        self._count += 1
        return self._segments[-1], place * _WIDTH

    def is_there(self) -> bool:
        """Return whether the file is still at its path, where other workers look for it."""
        try:
            return self.names.stat().st_ino == os.fstat(self._kinds.fileno()).st_ino
        except OSError:
            return False

    def _grown(self) -> mmap.mmap:
        start, size = len(self._segments) * _GROWTH * _WIDTH * 8, _GROWTH * _WIDTH * 8
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


def _allocate(file: IO[bytes], start: int, size: int) -> None:
    """Extend a file by bytes that the disk has reserved: writing to a map without them kills the process."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file.fileno(), start, size)
    else:
        file.truncate(start + size)


class Ledger:
    """One worker's rows. With a folder they outlive the worker and other workers read them; without, they are its own."""

    def __init__(self, folder: Path | None = None, name: str = "worker") -> None:
        self._folder = folder
        self._name = name
        self._has_warned = False
        self._file = self._opened()
        self._own_memory: list[mmap.mmap] = []
        self._in_own_memory = 0
        self._rows: list[_Row] = []
        self._guard = threading.Lock()
        self._mine = threading.local()
        #: Rows of threads that have ended, which their last reference puts here, in whatever thread that is.
        self._left: deque[_Row] = deque()
        self._free: dict[Kind, list[_Row]] = {}
        self._batches: dict[tuple[str, str | None, int], _Row] = {}
        self._counting = threading.Lock()

    def record(self, kind: KindLike, stages: Stages, total: int, *, elements: int, executions: int) -> None:
        """Count one answer; the kind may be a plain tuple. Takes about a microsecond and no lock."""
        try:
            row: _Row = self._mine.rows[kind]
        except (AttributeError, KeyError):
            row = self._row_of_thread(Kind(*kind))
        sums = row.sums
        count, counted, executed, _, queued, reading, inferring, writing, answering = sums
        queue = stages.queue
        sums[:] = (
            count + 1,
            counted + elements,
            executed + executions,
            int(time.time() * 1000),
            queued + queue,
            reading + stages.input,
            inferring + stages.infer,
            writing + stages.output,
            answering + total,
        )
        mapped, cells, start = row.place
        _write_sums(mapped, start * 8, *sums)
        cells[start + _DURATIONS + bisect_left(_BOUNDS_NS, total)] += 1
        cells[start + _QUEUES + (bisect_left(_BOUNDS_NS, queue) if queue > _BOUNDS_NS[0] else 0)] += 1

    def record_batch(self, model: str, version: str | None, rows: int, stages: Stages) -> None:
        """Count that a model that batches has run with so many rows, alone or together.

        All threads of a worker share one row for each size, and take a lock: one for each thread would be too many.
        """
        key = (model, version, rows)
        with self._counting:
            if key not in self._batches:
                self._batches[key] = self._row_of(Kind(model, version, _BATCHES, str(rows)))
            row = self._batches[key]
            row.sums[_COUNT] += 1
            row.sums[_INPUT] += stages.input
            row.sums[_INFER] += stages.infer
            row.sums[_OUTPUT] += stages.output
            row.write()

    def sums(self) -> dict[Kind, Sums]:
        """Return what was counted so far: by all workers that share the folder, dead ones too, or by this one alone."""
        return {kind: sums for kind, sums in self._all().items() if kind.face != _BATCHES}

    def batches(self) -> dict[tuple[str, str | None], dict[int, Sums]]:
        """Return how often models that batch have run, and how long, by name and version and there by rows."""
        batches: dict[tuple[str, str | None], dict[int, Sums]] = {}
        for kind, sums in self._all().items():
            if kind.face == _BATCHES:
                batches.setdefault((kind.model, kind.version), {})[int(kind.outcome)] = sums
        return batches

    def restore(self) -> None:
        """Write the files again, with the counts of this worker, where somebody has deleted them."""
        if self._folder is None or (self._file is not None and self._file.is_there()):
            return
        with self._guard:
            self._file = self._opened()
            if self._file is None:
                return
            with suppress(OSError):  # the rest is counted where it is
                for row in self._rows:
                    row.move(*self._file.add(row.kind))

    def _all(self) -> dict[Kind, Sums]:
        self.restore()
        with self._guard:
            rows = [*self._rows]
        sums: dict[Kind, Sums] = {}
        for row in rows:
            sums.setdefault(row.kind, Sums()).add(row.read())
        own = self._file.names if self._file is not None else None
        for names in sorted(self._folder.glob("*.kinds")) if self._folder is not None else ():
            if names != own:
                with suppress(FileNotFoundError):
                    _add_rows(sums, names)
        return sums

    def _opened(self) -> _RowFile | None:
        if self._folder is None:
            return None
        try:
            return _RowFile(self._folder, self._name)
        except OSError as error:
            self._warn(error)
            return None

    def _row_of_thread(self, kind: Kind) -> _Row:
        """Return a row for this thread and kind."""
        if not hasattr(self._mine, "rows"):
            self._mine.rows = {}
            self._mine.at_the_end = _AtTheEnd(self._mine.rows, self._left)
        row = self._mine.rows[kind] = self._row_of(kind)
        return row

    def _row_of(self, kind: Kind) -> _Row:
        """Return a row of this kind in which no thread counts."""
        with self._guard:
            while self._left:
                row = self._left.popleft()
                self._free.setdefault(row.kind, []).append(row)
            if self._free.get(kind):
                return self._free[kind].pop()
            row = _Row(kind, *self._place_for(kind))
            self._rows.append(row)
            return row

    def _place_for(self, kind: Kind) -> tuple[mmap.mmap, int]:
        """Return a free place for a row: in the file, or in private memory where the disk is full."""
        if self._file is not None:
            try:
                return self._file.add(kind)
            except OSError as error:
                self._warn(error)
        if self._in_own_memory == len(self._own_memory) * _GROWTH:
            self._own_memory.append(mmap.mmap(-1, _GROWTH * _WIDTH * 8))
        place = self._in_own_memory % _GROWTH
        self._in_own_memory += 1
        return self._own_memory[-1], place * _WIDTH

    def _warn(self, error: OSError) -> None:
        if self._has_warned:
            return
        self._has_warned = True
        log.warning(
            "Some requests are counted in this worker only, and not in its successor: %s.", error.strerror or error
        )


class _AtTheEnd:
    """Returns the rows of a thread to the ledger when the thread ends: only the thread refers to this object."""

    __slots__ = ("_left", "_rows")

    def __init__(self, rows: dict[Kind, _Row], left: deque[_Row]) -> None:
        self._rows = rows
        self._left = left

    def __del__(self) -> None:
        self._left.extend(self._rows.values())


def _add_rows(sums: dict[Kind, Sums], names: Path) -> None:
    """Add the counts of another worker."""
    kinds = [*_kinds_in(names)]  # read first, because the file of rows grows before a kind is written
    if not kinds:
        return
    with (
        names.with_suffix(".rows").open("rb") as file,
        mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as rows,
        memoryview(rows) as view,
        view.cast("q") as cells,
    ):
        for place, kind in enumerate(kinds):
            sums.setdefault(kind, Sums()).add(_sums_of(cells[place * _WIDTH : (place + 1) * _WIDTH].tolist()))


def _sums_of(row: list[int]) -> Sums:
    return Sums(
        count=row[_COUNT],
        elements=row[_ELEMENTS],
        executions=row[_EXECUTIONS],
        last=row[_LAST],
        stages=Stages(row[_QUEUE], row[_INPUT], row[_INFER], row[_OUTPUT]),
        total=row[_TOTAL],
        durations=row[_DURATIONS:_QUEUES],
        queues=row[_QUEUES:_WIDTH],
    )


def _kinds_in(names: Path) -> Iterable[Kind]:
    """Yield the kinds of a ledger's rows; a line that is being written counts the next time."""
    for line in names.read_text().splitlines(keepends=True):
        if line.endswith("\n"):
            yield Kind(*json.loads(line))

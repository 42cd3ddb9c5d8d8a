"""The ledger: what each worker has counted, summed over all workers when asked.

Each worker has a file of rows, mapped into its memory. A thread has a row for each kind of answer that it gives, and adds
to the row without a lock, because no other thread writes there. The rows of a thread that has ended go to the next thread
that counts the same kind. The file grows with the rows, and outlives its worker, so that sums hold through restarts.
"""

from __future__ import annotations

import struct
import threading
import time
from bisect import bisect_left
from collections import deque
from collections.abc import Iterable, Sequence
from pathlib import Path

from srv.metrics_types import BOUNDS, Kind, RouteKind, Stages, Sums
from srv.planes.row_files import OtherRow
from srv.planes.rows import Rows, StoredRow

_BOUNDS_NS = tuple(int(bound * 1_000_000_000) for bound in BOUNDS)

_COUNT, _ELEMENTS, _EXECUTIONS, _LAST, _QUEUE, _INPUT, _INFER, _OUTPUT, _TOTAL, _DURATIONS = range(10)
_QUEUES = _DURATIONS + len(BOUNDS) + 1
_WIDTH = _QUEUES + len(BOUNDS) + 1
_write_sums = struct.Struct(f"{_DURATIONS}q").pack_into
#: The face in the kind of a row that counts batches of one size, and not answers.
_BATCHES = "batches of"
#: How the face begins in the kind of a row that counts requests to a runtime's own route, and not those for inference.
_ROUTE = "route "
#: How many cells a file grows by: those of 1024 rows.
_GROWTH = 1024 * _WIDTH

#: What `record` takes for a Kind.
KindLike = tuple[str, str | None, str, str]


class _LedgerRow(StoredRow):
    """A row of the ledger, with its first cells as Python numbers too.

    Adding to the numbers and writing all of them at once takes half as long as adding in place.
    """

    __slots__ = ("kind", "sums")

    def __init__(self, kind: Kind) -> None:
        super().__init__(kind, _WIDTH)
        self.kind = kind
        self.sums = [0] * _DURATIONS

    def write(self) -> None:
        """Copy the numbers to the map."""
        mapped, _, start = self.place
        _write_sums(mapped, start * 8, *self.sums)


class Ledger:
    """One worker's rows. With a folder they outlive the worker and other workers read them; without, they are its own."""

    def __init__(self, folder: Path | None = None, name: str = "worker") -> None:
        self._rows = Rows(
            folder,
            name,
            cell="q",
            growth=_GROWTH,
            loss="Some requests are counted in this worker only, and not in its successor",
        )
        self._guard = threading.Lock()
        self._mine = threading.local()
        #: Rows of threads that have ended, which their last reference puts here, in whatever thread that is.
        self._left: deque[_LedgerRow] = deque()
        self._free: dict[Kind, list[_LedgerRow]] = {}
        self._batches: dict[tuple[str, str | None, int], _LedgerRow] = {}
        self._counting = threading.Lock()

    def record(self, kind: KindLike, stages: Stages, total: int, *, elements: int, executions: int) -> None:
        """Count one answer; the kind may be a plain tuple. Takes about a microsecond and no lock."""
        try:
            row: _LedgerRow = self._mine.rows[kind]
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

    def record_route(self, kind: RouteKind, stages: Stages, total: int) -> None:
        """Count one request to a runtime's own route."""
        model, version, route, outcome = kind
        self.record((model, version, f"{_ROUTE}{route}", outcome), stages, total, elements=0, executions=0)

    def sums(self) -> dict[Kind, Sums]:
        """Return what was counted so far: by all workers that share the folder, dead ones too, or by this one alone."""
        found = self._all().items()
        return {kind: sums for kind, sums in found if kind.face != _BATCHES and not kind.face.startswith(_ROUTE)}

    def routes(self) -> dict[RouteKind, Sums]:
        """Return the requests to runtimes' own routes, counted likewise."""
        return {
            RouteKind(kind.model, kind.version, kind.face.removeprefix(_ROUTE), kind.outcome): sums
            for kind, sums in self._all().items()
            if kind.face.startswith(_ROUTE)
        }

    def batches(self) -> dict[tuple[str, str | None], dict[int, Sums]]:
        """Return how often models that batch have run, and how long, by name and version and there by rows."""
        batches: dict[tuple[str, str | None], dict[int, Sums]] = {}
        for kind, sums in self._all().items():
            if kind.face == _BATCHES:
                batches.setdefault((kind.model, kind.version), {})[int(kind.outcome)] = sums
        return batches

    def restore(self) -> None:
        """Write the files again, with the counts of this worker, where somebody has deleted them."""
        self._rows.restore()

    def fold_dead(self) -> None:
        """Let one file stand for those of all dead workers."""
        self._rows.fold_dead(_folded)

    def _all(self) -> dict[Kind, Sums]:
        self.restore()
        sums: dict[Kind, Sums] = {}
        for row in self._rows.own():
            sums.setdefault(Kind(*row.words), Sums()).add(_sums_of(row.read()))  # type: ignore[arg-type]  # words of a _LedgerRow
        for other in self._rows.others():
            sums.setdefault(Kind(*other.words), Sums()).add(_sums_of(other.numbers))
        return sums

    def _row_of_thread(self, kind: Kind) -> _LedgerRow:
        """Return a row for this thread and kind."""
        if not hasattr(self._mine, "rows"):
            self._mine.rows = {}
            self._mine.at_the_end = _AtTheEnd(self._mine.rows, self._left)
        row = self._mine.rows[kind] = self._row_of(kind)
        return row

    def _row_of(self, kind: Kind) -> _LedgerRow:
        """Return a row of this kind in which no thread counts."""
        with self._guard:
            while self._left:
                row = self._left.popleft()
                self._free.setdefault(row.kind, []).append(row)
            if self._free.get(kind):
                return self._free[kind].pop()
            row = _LedgerRow(kind)
            self._rows.put(row)
            return row


class _AtTheEnd:
    """Returns the rows of a thread to the ledger when the thread ends: only the thread refers to this object."""

    __slots__ = ("_left", "_rows")

    def __init__(self, rows: dict[Kind, _LedgerRow], left: deque[_LedgerRow]) -> None:
        self._rows = rows
        self._left = left

    def __del__(self) -> None:
        self._left.extend(self._rows.values())


def _folded(rows: Iterable[OtherRow]) -> Iterable[tuple[Sequence[object], Sequence[int]]]:
    """Return a row for each kind, which stands for all rows of that."""
    sums: dict[tuple[object, ...], list[int]] = {}
    for row in rows:
        kind = tuple(row.words)
        before = sums.get(kind, [0] * _WIDTH)
        sums[kind] = [one + other for one, other in zip(before, row.numbers, strict=True)]
        sums[kind][_LAST] = max(before[_LAST], row.numbers[_LAST])
    return sums.items()


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

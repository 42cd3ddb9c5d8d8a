"""What the server has done: counted by each thread in memory of its own, summed over threads and workers when asked.

Each worker has a file of rows, mapped into its memory. A thread has a row for each kind of answer it gives and adds to
it without a lock, because nobody else writes there. A file outlives its worker, so that sums hold through restarts.
"""

from __future__ import annotations

import json
import logging
import mmap
import struct
import threading
import time
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from srv import errors
from srv.counts import BOUNDS, OK, Kind, Stages, Sums

__all__ = ("BOUNDS", "OK", "OUTCOMES", "Kind", "Ledger", "Stages", "Sums", "by_model", "model_statistics", "outcome_of")

log = logging.getLogger(__name__)

_BOUNDS_NS = tuple(int(bound * 1_000_000_000) for bound in BOUNDS)

_COUNT, _ELEMENTS, _EXECUTIONS, _LAST, _QUEUE, _INPUT, _INFER, _OUTPUT, _TOTAL, _DURATIONS = range(10)
_QUEUES = _DURATIONS + len(BOUNDS) + 1
_WIDTH = _QUEUES + len(BOUNDS) + 1
_write_sums = struct.Struct(f"{_DURATIONS}q").pack_into
#: What stands in a row's kind for the face where it is no kind of answer, but a size of batches.
_BATCHES = "batches of"
#: Where a thread's row begins, and what stands in its first cells.
Row = tuple[int, list[int]]
#: More kinds of answers than a worker's threads will ever give; pages that nobody writes take no memory.
_ROWS = 16384

#: Class of error → the contract's stable name, which is its outcome. The most derived class that stands here decides.
OUTCOMES: Mapping[type[BaseException], str] = {
    errors.InvalidInput: "INVALID_INPUT",
    errors.Unauthenticated: "UNAUTHENTICATED",
    errors.Forbidden: "FORBIDDEN",
    errors.NotFound: "NOT_FOUND",
    errors.TooLarge: "TOO_LARGE",
    errors.UnsupportedMedia: "UNSUPPORTED_MEDIA",
    errors.QueueFull: "QUEUE_FULL",
    errors.ModelError: "MODEL_ERROR",
    errors.Unimplemented: "UNIMPLEMENTED",
    errors.Unavailable: "UNAVAILABLE",
    errors.DeadlinePassed: "DEADLINE",
    errors.ClientLeft: "CANCELLED",
}


def outcome_of(error: BaseException) -> str:
    """How an error is counted; INTERNAL for what nobody foresaw."""
    return next((OUTCOMES[kind] for kind in type(error).__mro__ if kind in OUTCOMES), "INTERNAL")


class Ledger:
    """One worker's rows. With a folder they outlive the worker and others read them; without, they are its own."""

    def __init__(self, folder: Path | None = None, name: str = "worker") -> None:
        self._folder = folder
        self._names: Path | None = None
        size = _ROWS * _WIDTH * 8
        if folder is None:
            self._map = mmap.mmap(-1, size)
        else:
            folder.mkdir(parents=True, exist_ok=True)
            while (folder / f"{name}.rows").exists():  # a dead worker had the same process id
                name += "+"
            self._names = folder / f"{name}.kinds"
            with self._names.with_suffix(".rows").open("x+b") as file:
                file.truncate(size)
                self._map = mmap.mmap(file.fileno(), size)
        self._cells = memoryview(self._map).cast("q")
        self._kinds: list[Kind] = []
        self._lock = threading.Lock()
        self._mine = threading.local()
        self._batches: dict[tuple[str, str | None, int], Row | None] = {}
        self._counting = threading.Lock()

    def record(
        self, kind: tuple[str, str | None, str, str], stages: Stages, total: int, *, elements: int, executions: int
    ) -> None:
        """Count one answer; the kind may be a plain tuple. Takes about a microsecond and no lock."""
        try:
            row = self._mine.rows[kind]
        except (AttributeError, KeyError):
            row = self._new_row(Kind(*kind))
        if row is None:
            return
        # Kept as a list too, because adding to numbers and writing all at once takes half as long as adding in place.
        base, sums = row
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
        _write_sums(self._map, base * 8, *sums)
        self._cells[base + _DURATIONS + bisect_left(_BOUNDS_NS, total)] += 1
        self._cells[base + _QUEUES + (bisect_left(_BOUNDS_NS, queue) if queue > _BOUNDS_NS[0] else 0)] += 1

    def record_batch(self, model: str, version: str | None, rows: int, stages: Stages) -> None:
        """Count that a model that batches has run with so many rows, alone or together.

        There is one row for each size, because one for each thread too would be too many: who counts takes a lock.
        """
        key = (model, version, rows)
        with self._counting:
            if key not in self._batches:
                self._batches[key] = self._row_of(Kind(model, version, _BATCHES, str(rows)))
            row = self._batches[key]
            if row is not None:
                base, sums = row
                sums[_COUNT] += 1
                sums[_INPUT] += stages.input
                sums[_INFER] += stages.infer
                sums[_OUTPUT] += stages.output
                _write_sums(self._map, base * 8, *sums)

    def sums(self) -> dict[Kind, Sums]:
        """What was counted so far: by all workers that share the folder, dead ones too, or by this one alone."""
        return {kind: sums for kind, sums in self._all().items() if kind.face != _BATCHES}

    def batches(self) -> dict[tuple[str, str | None], dict[int, Sums]]:
        """How often models that batch have run, and how long, by name and version and there by rows."""
        batches: dict[tuple[str, str | None], dict[int, Sums]] = {}
        for kind, sums in self._all().items():
            if kind.face == _BATCHES:
                batches.setdefault((kind.model, kind.version), {})[int(kind.outcome)] = sums
        return batches

    def _all(self) -> dict[Kind, Sums]:
        sums: dict[Kind, Sums] = {}
        if self._folder is None:
            with self._lock:
                kinds = list(self._kinds)
            _add_rows(sums, kinds, self._cells)
            return sums
        for names in sorted(self._folder.glob("*.kinds")):
            with (
                names.with_suffix(".rows").open("rb") as file,
                mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as rows,
                memoryview(rows) as view,
                view.cast("q") as cells,
            ):
                _add_rows(sums, _kinds_in(names), cells)
        return sums

    def _told(self, kind: Kind) -> bool:
        """Tell the others what the next row is about, in one write; not being counted is no reason to fail."""
        if self._names is None:
            return True
        try:
            with self._names.open("ab", buffering=0) as names:
                names.write(json.dumps(kind).encode() + b"\n")
        except OSError as error:
            log.warning("Requests like %s are not counted: %s.", kind, error.strerror)
            return False
        return True

    def _new_row(self, kind: Kind) -> Row | None:
        """A row for this thread and kind."""
        row = self._row_of(kind)
        if not hasattr(self._mine, "rows"):
            self._mine.rows = {}
        self._mine.rows[kind] = row
        return row

    def _row_of(self, kind: Kind) -> Row | None:
        """A row that nobody has; None when all are taken, or the disk takes no more."""
        with self._lock:
            place = len(self._kinds)
            if place >= _ROWS or not self._told(kind):
                return None
            self._kinds.append(kind)
            return (place * _WIDTH, [0] * _DURATIONS)


def by_model(sums: Mapping[Kind, Sums]) -> dict[tuple[str, str | None], dict[str, Sums]]:
    """The same by name and version, and there by outcome, the faces together."""
    models: dict[tuple[str, str | None], dict[str, Sums]] = {}
    for kind, counted in sums.items():
        models.setdefault((kind.model, kind.version), {}).setdefault(kind.outcome, Sums()).add(counted)
    return models


def model_statistics(
    name: str, version: str | None, outcomes: Mapping[str, Sums], batches: Mapping[int, Sums] = MappingProxyType({})
) -> dict[str, Any]:
    """One model's row of the statistics extension; all but `fail` counts what was answered well.

    `batch_stats` tells of executions by their rows, where the model batches. Else it tells of those of one element,
    and is empty where others were among them.
    """
    good = outcomes.get(OK, Sums())
    bad = Sums()
    for outcome, sums in outcomes.items():
        if outcome != OK:
            bad.add(sums)
    stages = good.stages
    computed = _computed(good)
    by_rows = [{"batch_size": rows, **_computed(batches[rows])} for rows in sorted(batches)]
    if not batches and 0 < good.executions == good.elements:
        by_rows = [{"batch_size": 1, **computed}]
    return {
        "name": name,
        "version": version or "",
        "last_inference": max(good.last, bad.last),
        "inference_count": good.elements,
        "execution_count": good.executions,
        "inference_stats": {
            "success": _duration(good.count, good.total),
            "fail": _duration(bad.count, bad.total),
            "queue": _duration(good.count, stages.queue),
            **computed,
            "cache_hit": _duration(0, 0),
            "cache_miss": _duration(0, 0),
        },
        "batch_stats": by_rows,
    }


def _computed(sums: Sums) -> dict[str, dict[str, int]]:
    stages = sums.stages
    return {
        "compute_input": _duration(sums.count, stages.input),
        "compute_infer": _duration(sums.count, stages.infer),
        "compute_output": _duration(sums.count, stages.output),
    }


def _duration(count: int, nanoseconds: int) -> dict[str, int]:
    return {"count": count, "ns": nanoseconds}


def _add_rows(sums: dict[Kind, Sums], kinds: Iterable[Kind], cells: memoryview) -> None:
    for place, kind in enumerate(kinds):
        sums.setdefault(kind, Sums()).add(_read(cells[place * _WIDTH : (place + 1) * _WIDTH].tolist()))


def _read(row: list[int]) -> Sums:
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


def _kinds_in(names: Path) -> Iterator[Kind]:
    """The kinds of a ledger's rows; a line that is being written counts the next time."""
    for line in names.read_text().splitlines(keepends=True):
        if line.endswith("\n"):
            yield Kind(*json.loads(line))

"""What the server has done: counted by each thread in memory of its own, summed over threads and workers when asked.

Each worker has a file of rows, mapped into its memory. A thread has a row for each kind of answer it gives and adds to
it without a lock, because nobody else writes there. A file outlives its worker, so that sums hold through restarts.
"""

from __future__ import annotations

import json
import mmap
import threading
import time
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

#: Upper bounds of the histograms' buckets in seconds; what is longer counts in a last one.
BOUNDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_BOUNDS_NS = tuple(int(bound * 1_000_000_000) for bound in BOUNDS)

_COUNT, _ELEMENTS, _EXECUTIONS, _LAST, _QUEUE, _INPUT, _INFER, _OUTPUT, _TOTAL, _DURATIONS = range(10)
_QUEUES = _DURATIONS + len(BOUNDS) + 1
_WIDTH = _QUEUES + len(BOUNDS) + 1
#: More kinds of answers than a worker's threads will ever give; pages that nobody writes take no memory.
_ROWS = 16384

OK = "ok"


class Kind(NamedTuple):
    """What is counted apart: a model's version, the face that asked, and how it ended (`ok`, or the error's code)."""

    model: str
    version: str | None
    face: str
    outcome: str


@dataclass
class Stages:
    """Where one request's time went, in nanoseconds; stages that it never reached are 0."""

    queue: int = 0
    input: int = 0
    infer: int = 0
    output: int = 0


@dataclass
class Sums:
    """Everything that was counted for one kind of answer. Times are sums in nanoseconds."""

    count: int = 0
    elements: int = 0
    executions: int = 0
    last: int = 0
    stages: Stages = field(default_factory=Stages)
    total: int = 0
    durations: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS) + 1))
    queues: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS) + 1))

    def add(self, row: memoryview) -> None:
        """Add a row of a ledger."""
        self.count += row[_COUNT]
        self.elements += row[_ELEMENTS]
        self.executions += row[_EXECUTIONS]
        self.last = max(self.last, row[_LAST])
        self.stages.queue += row[_QUEUE]
        self.stages.input += row[_INPUT]
        self.stages.infer += row[_INFER]
        self.stages.output += row[_OUTPUT]
        self.total += row[_TOTAL]
        for place in range(len(BOUNDS) + 1):
            self.durations[place] += row[_DURATIONS + place]
            self.queues[place] += row[_QUEUES + place]


class Ledger:
    """One worker's rows. With a folder they outlive the worker and others read them; without, they are its own."""

    def __init__(self, folder: Path | None = None, name: str = "worker") -> None:
        self._folder = folder
        self._names = folder / f"{name}.kinds" if folder is not None else None
        size = _ROWS * _WIDTH * 8
        if folder is None:
            self._map = mmap.mmap(-1, size)
        else:
            folder.mkdir(parents=True, exist_ok=True)
            path = folder / f"{name}.rows"
            with path.open("w+b") as file:
                file.truncate(size)
                self._map = mmap.mmap(file.fileno(), size)
        self._cells = memoryview(self._map).cast("q")
        self._kinds: list[Kind] = []
        self._lock = threading.Lock()
        self._mine = threading.local()

    def record(self, kind: Kind, stages: Stages, total: int, *, elements: int, executions: int) -> None:
        """Count one answer. Takes about a microsecond and no lock."""
        try:
            base = self._mine.rows[kind]
        except (AttributeError, KeyError):
            base = self._new_row(kind)
        if base is None:
            return
        cells = self._cells
        cells[base] += 1
        cells[base + _ELEMENTS] += elements
        cells[base + _EXECUTIONS] += executions
        cells[base + _LAST] = int(time.time() * 1000)
        cells[base + _QUEUE] += stages.queue
        cells[base + _INPUT] += stages.input
        cells[base + _INFER] += stages.infer
        cells[base + _OUTPUT] += stages.output
        cells[base + _TOTAL] += total
        cells[base + _DURATIONS + bisect_left(_BOUNDS_NS, total)] += 1
        cells[base + _QUEUES + bisect_left(_BOUNDS_NS, stages.queue)] += 1

    def sums(self) -> dict[Kind, Sums]:
        """What was counted so far: by all workers that share the folder, dead ones too, or by this one alone."""
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

    def _new_row(self, kind: Kind) -> int | None:
        """A row for this thread and kind; None when all are taken."""
        with self._lock:
            place = len(self._kinds)
            base = place * _WIDTH if place < _ROWS else None
            if base is not None:
                self._kinds.append(kind)
                if self._names is not None:
                    with self._names.open("a") as names:
                        names.write(json.dumps(kind) + "\n")
        if not hasattr(self._mine, "rows"):
            self._mine.rows = {}
        self._mine.rows[kind] = base
        return base


def by_model(sums: Mapping[Kind, Sums]) -> dict[tuple[str, str | None], dict[str, Sums]]:
    """The same by name and version, and there by outcome, the faces together."""
    models: dict[tuple[str, str | None], dict[str, Sums]] = {}
    for kind, counted in sums.items():
        outcomes = models.setdefault((kind.model, kind.version), {})
        if kind.outcome in outcomes:
            _merge(outcomes[kind.outcome], counted)
        else:
            outcomes[kind.outcome] = counted
    return models


def _merge(into: Sums, more: Sums) -> None:
    into.count += more.count
    into.elements += more.elements
    into.executions += more.executions
    into.last = max(into.last, more.last)
    for name in ("queue", "input", "infer", "output"):
        setattr(into.stages, name, getattr(into.stages, name) + getattr(more.stages, name))
    into.total += more.total
    into.durations = [one + other for one, other in zip(into.durations, more.durations, strict=True)]
    into.queues = [one + other for one, other in zip(into.queues, more.queues, strict=True)]


def _add_rows(sums: dict[Kind, Sums], kinds: Iterable[Kind], cells: memoryview) -> None:
    for place, kind in enumerate(kinds):
        sums.setdefault(kind, Sums()).add(cells[place * _WIDTH : (place + 1) * _WIDTH])


def _kinds_in(names: Path) -> Iterator[Kind]:
    """The kinds of a ledger's rows; a line that is being written counts the next time."""
    for line in names.read_text().splitlines(keepends=True):
        if line.endswith("\n"):
            yield Kind(*json.loads(line))

"""Sums of models' metrics over the rows of all workers."""

from __future__ import annotations

import math
import os
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from srv.metrics_types import Series
from srv.planes.metric_definitions import GAUGE, HISTOGRAM
from srv.planes.row_files import OtherRow
from srv.planes.rows import StoredRow


class _Metric(NamedTuple):
    model: str
    version: str
    name: str


class _Found(NamedTuple):
    """A row, whichever worker's it is."""

    worker: str
    metric: _Metric
    labels: tuple[tuple[str, str], ...]
    #: When it was defined in milliseconds, and how.
    defined: tuple[int, str, tuple[float, ...]]
    numbers: list[float]


def summed(own: Iterable[StoredRow], others: Iterable[OtherRow], workers: Collection[int]) -> list[Series]:
    """Return the series of all rows in order, of gauges those of this worker and of the workers with these process ids."""
    rows = [*_found(own, others)]
    newest: dict[_Metric, tuple[int, str, tuple[float, ...]]] = {}
    for row in rows:
        newest[row.metric] = max(newest.get(row.metric, row.defined), row.defined)
    living = _rows_of({os.getpid(), *workers}, {row.worker for row in rows})
    sums: dict[tuple[_Metric, tuple[tuple[str, str], ...], int | None], list[float]] = {}
    for row in rows:
        _, kind, bounds = newest[row.metric]
        if row.defined[1:] != (kind, bounds):
            continue
        if kind == GAUGE and (row.worker not in living or not row.numbers[1]):
            continue
        series = (row.metric, row.labels, living[row.worker] if kind == GAUGE else None)
        before = sums.get(series, [0.0] * len(row.numbers))
        sums[series] = [one + other for one, other in zip(before, row.numbers, strict=True)]
    return [
        _series(metric, labels, pid, *newest[metric][1:], numbers)
        for (metric, labels, pid), numbers in sorted(sums.items(), key=lambda each: each[0][:2])
    ]


def folded(rows: Iterable[OtherRow]) -> Iterator[tuple[Sequence[object], list[float]]]:
    """Yield rows that stand for those of dead workers. Their gauges are gone."""
    sums: dict[tuple[Any, ...], list[float]] = {}
    newest: dict[tuple[Any, ...], int] = {}
    for row in _found((), rows):
        defined, kind, bounds = row.defined
        if kind != GAUGE:
            key: tuple[Any, ...] = (*row.metric, kind, row.labels, bounds)
            before = sums.get(key, [0.0] * len(row.numbers))
            sums[key] = [one + other for one, other in zip(before, row.numbers, strict=True)]
            newest[key] = max(defined, newest.get(key, defined))
    for key, numbers in sums.items():
        yield (*key, newest[key]), numbers


def _found(own: Iterable[StoredRow], others: Iterable[OtherRow]) -> Iterator[_Found]:
    this = str(os.getpid())
    for worker, words, numbers in (*((this, row.words, row.read()) for row in own), *others):
        model, version, name, kind, labels, bounds, defined = words
        labelled = tuple((label, text) for label, text in labels)
        yield _Found(
            worker,
            _Metric(str(model), str(version), str(name)),
            labelled,
            (defined, str(kind), tuple(bounds)),
            numbers,
        )


def _rows_of(living: Collection[int], names: Collection[str]) -> dict[str, int]:
    """Return the process ids of workers by the names of their rows; a dead worker of the same id has a shorter name."""
    newest: dict[int, str] = {}
    for name in sorted(names, key=len):
        digits = name.rstrip("+")
        if digits.isdecimal() and int(digits) in living:
            newest[int(digits)] = name
    return {name: pid for pid, name in newest.items()}


def _series(
    metric: _Metric,
    labels: tuple[tuple[str, str], ...],
    pid: int | None,
    kind: str,
    bounds: tuple[float, ...],
    numbers: list[float],
) -> Series:
    buckets: tuple[tuple[float, int], ...] = ()
    if kind == HISTOGRAM:
        buckets = tuple(zip((*bounds, math.inf), (int(count) for count in numbers[1:]), strict=True))
    return Series(*metric, kind, labels, numbers[0], pid, buckets)

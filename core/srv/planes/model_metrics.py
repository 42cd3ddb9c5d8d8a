"""Metrics of models: what runtimes report with `self.metric`, kept in rows that all workers read.

Counters and histograms of all workers are summed, dead ones too. A gauge is one worker's, and goes when the worker dies or
the instance that has set it is unloaded.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from pathlib import Path

from srv.errors import quoted
from srv.metrics_types import Series
from srv.planes.metric_definitions import COUNTER, DROPPED, Definition, bounds_of, define
from srv.planes.metric_rows import GaugeRow, SeriesRow, row_of
from srv.planes.metric_sums import folded, summed
from srv.planes.rows import Rows

log = logging.getLogger(__name__)

#: How many series a version of a model may have in a worker: what comes with further sets of labels is dropped.
MOST_SERIES = 1000
#: The longest value of a label, in characters; what is longer is cut.
LONGEST_LABEL = 128
#: How many cells a file grows by, whose bytes are one page or several on every usual system.
_GROWTH = 8192


class _ModelSeries:
    """All series of a model's version in this worker, over its instances. Its callers hold the guard of the rows."""

    def __init__(self, model: str, version: str, rows: Rows) -> None:
        self._model = model
        self._version = version
        self._rows = rows
        self._series: dict[tuple[Definition, tuple[str, ...]], SeriesRow] = {}
        self._dropped: dict[str, SeriesRow] = {}

    def row(self, definition: Definition, values: tuple[str, ...]) -> SeriesRow | None:
        """Return the row of a series; None where the model has as many as it may have."""
        row = self._series.get((definition, values))
        if row is None and len(self._series) < MOST_SERIES:
            row = self._series[definition, values] = self._made(definition, values)
        return row

    def drop_series(self, metric: str, value: float) -> None:  # noqa: ARG002  the value would have made the series
        """Count a report with labels that are too many."""
        self._drop(
            "series",
            "Model '%s' reports the metric '%s' with further labels, beyond the %d series that a model may have; that is "
            "dropped. Take labels of few values.",
            metric,
            MOST_SERIES,
        )

    def _drop_value(self, metric: str, value: object) -> None:
        """Count a value that the metric's kind cannot take."""
        self._drop(
            "value",
            "Model '%s' reports the metric '%s' with the value %s, which is dropped: a counter takes finite numbers from 0, "
            "a histogram finite ones.",
            metric,
            quoted(value),
        )

    def _drop(self, reason: str, message: str, *words: object) -> None:
        with self._rows.guard:
            is_first = reason not in self._dropped
            if is_first:
                self._dropped[reason] = self._made(Definition(DROPPED, COUNTER, ("reason",)), (reason,))
            self._dropped[reason].add(1.0)
        if is_first:
            log.warning(message, self._model, *words)

    def _made(self, definition: Definition, values: tuple[str, ...]) -> SeriesRow:
        name, kind, labels, bounds = definition
        labelled = [*zip(labels, values, strict=True)]
        defined = int(time.time() * 1000)
        words = (self._model, self._version, name, kind, labelled, bounds, defined)
        return row_of(definition, words, self._rows, partial(self._drop_value, name))


class Reporter:
    """Takes what one instance of a model reports; a `srv.metrics_types.MetricReporter`."""

    def __init__(self, series: _ModelSeries, rows: Rows) -> None:
        self._series = series
        self._rows = rows
        self._definitions: dict[str, Definition] = {}
        #: What takes the values, by the arguments of a report. Labels are texts here, because 1 and True are equal.
        self._known: dict[tuple[object, ...], Callable[[float], None]] = {}
        #: The gauges that it has reported, with the instance that had reported each before, and the value then.
        self._gauges: dict[GaugeRow, tuple[object, float | None]] = {}
        self._closed = False

    def report(
        self, name: str, value: float, kind: str, buckets: Sequence[float] | None, labels: Mapping[str, object]
    ) -> None:
        """Count or set a value. Takes about a microsecond where the series is there."""
        try:
            add = self._known[name, kind, buckets, *labels.items()]
        except (KeyError, TypeError):  # TypeError where one of them has no hash
            texts = {label: _text(text) for label, text in labels.items()}
            with self._rows.guard:
                add = self._found(name, kind, None if buckets is None else bounds_of(name, buckets), texts)
        add(value)

    def close(self) -> None:
        """Forget the gauges that no other instance of the model has reported since.

        Where the instance before still serves, because the load of this one has failed, its values are there again.
        """
        with self._rows.guard:
            self._closed = True
            self._known.clear()
            for row, (before, value) in self._gauges.items():
                if row.reporter is not self:
                    continue
                row.clear()
                if isinstance(before, Reporter) and not before._closed and value is not None:
                    row.reporter = before
                    row.add(value)
            self._gauges.clear()

    def _found(
        self, name: object, kind: object, bounds: tuple[float, ...] | None, labels: Mapping[str, str]
    ) -> Callable[[float], None]:
        """Return what takes a value of the series, which may be new."""
        key = (name, kind, bounds, *labels.items())
        if isinstance(name, str) and isinstance(kind, str) and key in self._known:
            return self._known[key]
        definition = define(name, kind, labels, bounds)
        before = self._definitions.setdefault(definition.name, definition)
        definition.check_same(before, with_bounds=bounds is not None)
        row = self._series.row(before, tuple(labels[label] for label in before.labels))
        if row is None:
            return partial(self._series.drop_series, before.name)
        if isinstance(row, GaugeRow):
            if self._closed:
                return _ignore
            if row not in self._gauges:
                self._gauges[row] = (row.reporter, row.value())
            row.reporter = self
        if len(self._known) >= 4 * MOST_SERIES:
            self._known.clear()  # because the same labels in another order are kept apart here
        self._known[key] = row.add
        return row.add

    def __deepcopy__(self, known: object) -> Reporter:
        """Return the same object: a copy of a runtime reports as the runtime does."""
        return self

    def __reduce__(self) -> tuple[type[NoReporter], tuple[()]]:
        """In another process nothing is reported."""
        return NoReporter, ()


class NoReporter:
    """Takes what a copy of a runtime reports in another process, and does nothing with it."""

    def report(self, *arguments: object) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


class ModelMetrics:
    """What the models of one worker report. With a folder it outlives the worker and other workers read it."""

    def __init__(self, folder: Path | None = None, name: str = "worker") -> None:
        self._rows = Rows(
            folder,
            name,
            cell="d",
            growth=_GROWTH,
            loss="Some metrics of models are shown by this worker only, and not by its successor",
        )
        self._models: dict[tuple[str, str], _ModelSeries] = {}

    def reporter(self, model: str, version: str) -> Reporter:
        """Return what takes the metrics of a new instance of a model."""
        with self._rows.guard:
            if (model, version) not in self._models:
                self._models[model, version] = _ModelSeries(model, version, self._rows)
            return Reporter(self._models[model, version], self._rows)

    def forked(self) -> None:
        """Change nothing that other processes see, in a child that a model has forked."""
        self._rows.leave_files()

    def fold_dead(self) -> None:
        """Let one file stand for those of all dead workers."""
        self._rows.fold_dead(folded)

    def series(self, workers: Collection[int]) -> list[Series]:
        """Return all series in order, with the gauges of these workers, by process id, and of this one.

        A metric whose kind or buckets have changed, because its model was edited, is the one that was defined last.
        """
        self._rows.restore()
        return summed(self._rows.own(), self._rows.others(), workers)


def _text(value: object) -> str:
    """Return a label's value as text that can be shown."""
    text = str.__str__(value) if isinstance(value, str) else str(value)
    if len(text) > LONGEST_LABEL:
        text = text[: LONGEST_LABEL - 1] + "…"
    return text if text.isascii() else text.encode(errors="replace").decode()


def _ignore(value: float) -> None:
    """Take no value of an instance that is unloaded."""

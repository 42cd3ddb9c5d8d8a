"""Rows of models' metrics: how a counter, a gauge and a histogram of this worker take a value."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Sequence

from srv.planes.metric_definitions import COUNTER, GAUGE, BadMetric, Definition
from srv.planes.rows import Rows, StoredRow

#: Called with a value that a row's kind cannot take.
Drop = Callable[[object], None]


class SeriesRow(StoredRow):
    """The row of one series. `add` takes a value from any thread, and drops one that the kind cannot take."""

    __slots__ = ("_drop", "_metric", "_rows")

    def __init__(self, metric: str, words: Sequence[object], width: int, rows: Rows, drop: Drop) -> None:
        super().__init__(words, width)
        self._metric = metric
        self._rows = rows
        self._drop = drop
        rows.put(self)

    def add(self, value: float) -> None:
        """Take a value into account. Raises BadMetric for what is no number."""
        raise NotImplementedError

    def _number(self, value: object) -> float:
        """Return a value as Python's float, because sums of other kinds are less exact."""
        try:
            if not isinstance(value, (str, bytes, bytearray)):
                return float(value)  # type: ignore[arg-type]  # whatever is no number raises
        except OverflowError:
            return math.inf
        except Exception as error:  # somebody's own __float__ may raise anything
            raise self._no_number(value) from error
        raise self._no_number(value)

    def _no_number(self, value: object) -> BadMetric:
        return BadMetric(f"The metric '{self._metric}' takes a number, and is given a {type(value).__name__}.")


class CounterRow(SeriesRow):
    """Its cell is the sum."""

    __slots__ = ()

    def add(self, value: float) -> None:
        """Add a finite number that is not below 0."""
        number = value if type(value) is float else self._number(value)
        if not 0.0 <= number < math.inf:
            self._drop(value)
            return
        with self._rows.guard:
            _, cells, start = self.place
            cells[start] += number


class GaugeRow(SeriesRow):
    """Its cells are the value, and 1 while that counts."""

    __slots__ = ("reporter",)

    #: What the instance of the model that has reported it last reports with.
    reporter: object

    def add(self, value: float) -> None:
        """Set the value, which may be any number."""
        number = value if type(value) is float else self._number(value)
        with self._rows.guard:
            _, cells, start = self.place
            cells[start] = number
            cells[start + 1] = 1.0

    def value(self) -> float | None:
        """Return the value; None where it was not set, or was forgotten."""
        with self._rows.guard:
            value, is_set = self.read()
            return value if is_set else None

    def clear(self) -> None:
        """Forget the value."""
        with self._rows.guard:
            _, cells, start = self.place
            cells[start + 1] = 0.0


class HistogramRow(SeriesRow):
    """Its cells are the sum and then the buckets, the last one without bound."""

    __slots__ = ("_bounds",)

    _bounds: tuple[float, ...]

    @classmethod
    def of(
        cls, bounds: tuple[float, ...], metric: str, words: Sequence[object], rows: Rows, drop: Drop
    ) -> HistogramRow:
        """Return a new row with these bounds."""
        row = cls(metric, words, len(bounds) + 2, rows, drop)
        row._bounds = bounds
        return row

    def add(self, value: float) -> None:
        """Count a finite number."""
        number = value if type(value) is float else self._number(value)
        if not -math.inf < number < math.inf:
            self._drop(value)
            return
        with self._rows.guard:
            _, cells, start = self.place
            cells[start] += number
            cells[start + 1 + bisect_left(self._bounds, number)] += 1.0


def row_of(definition: Definition, words: Sequence[object], rows: Rows, drop: Drop) -> SeriesRow:
    """Return a new row for a series of a metric."""
    if definition.kind == COUNTER:
        return CounterRow(definition.name, words, 1, rows, drop)
    if definition.kind == GAUGE:
        row = GaugeRow(definition.name, words, 2, rows, drop)
        row.reporter = None
        return row
    return HistogramRow.of(definition.bounds, definition.name, words, rows, drop)

"""Definitions of models' metrics: a name, a kind, the names of labels and, for a histogram, the bounds of buckets."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from srv.errors import SrvError, listed, quoted
from srv.metrics_types import BOUNDS

COUNTER, GAUGE, HISTOGRAM = "counter", "gauge", "histogram"
#: The name under which srv counts what it has dropped; no model may report under it, nor under srv's other names.
DROPPED = "metrics_dropped"
_NAMES_OF_SRV = {"queue_requests", DROPPED}
_LABELS_OF_SRV = {"model", "version", "worker", "le", "quantile"}
_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*", re.ASCII)
_LONGEST_NAME = 100
_MOST_LABELS = 20
_MOST_BUCKETS = 100
_FORM = f"a letter or _ and then letters, digits and _, {_LONGEST_NAME} at most"


class BadMetric(SrvError, ValueError):
    """A model reports a metric by a call that is wrong whatever the value is."""


class Definition(NamedTuple):
    """What all reports of one metric have in common. A histogram has bounds, the last bucket's infinity not among them."""

    name: str
    kind: str
    labels: tuple[str, ...]
    bounds: tuple[float, ...] = ()

    def check_same(self, before: Definition, *, with_bounds: bool) -> None:
        """Raise BadMetric where the metric was defined in another way before."""
        if self.kind != before.kind:
            raise BadMetric(
                f"The metric '{self.name}' is a {before.kind}, and is reported as a {self.kind} here: choose another name "
                "for one of them."
            )
        if self.labels != before.labels:
            raise BadMetric(
                f"The metric '{self.name}' has the labels {listed(before.labels)}, and is reported with "
                f"{listed(self.labels)} here: give it the same labels everywhere."
            )
        if with_bounds and self.bounds != before.bounds:
            raise BadMetric(
                f"The metric '{self.name}' has buckets already, and other ones are given here: give it the same buckets "
                "everywhere, or only where it is reported first."
            )


def define(name: object, kind: object, labels: Iterable[object], bounds: tuple[float, ...] | None) -> Definition:
    """Return the definition that a report makes. Raises BadMetric. A counter's name goes without `_total` at its end."""
    if not isinstance(name, str) or len(name) > _LONGEST_NAME or not _NAME.fullmatch(name):
        raise BadMetric(f"{quoted(name)} is no name of a metric: it must be {_FORM}.")
    if kind not in (COUNTER, GAUGE, HISTOGRAM):
        raise BadMetric(f"The metric '{name}' has the kind {quoted(kind)}: it must be counter, gauge or histogram.")
    if kind == COUNTER:
        name = name.removesuffix("_total") or name
    if name in _NAMES_OF_SRV:
        raise BadMetric(f"The metric '{name}' has a name of srv's own: choose another one.")
    if bounds is not None and kind != HISTOGRAM:
        raise BadMetric(f"The metric '{name}' is a {kind} and has buckets: only a histogram has some.")
    buckets = (bounds or BOUNDS) if kind == HISTOGRAM else ()
    return Definition(name, str(kind), _labels(name, labels), buckets)


def _labels(metric: str, labels: Iterable[object]) -> tuple[str, ...]:
    names = [*labels]
    for name in names:
        if not isinstance(name, str) or len(name) > _LONGEST_NAME or not _NAME.fullmatch(name) or name.startswith("__"):
            raise BadMetric(
                f"The metric '{metric}' has a label called {quoted(name)}: a label must be {_FORM}, and cannot begin with __."
            )
        if name in _LABELS_OF_SRV:
            raise BadMetric(f"The metric '{metric}' has a label '{name}', which is srv's own: choose another one.")
    if len(names) > _MOST_LABELS:
        raise BadMetric(f"The metric '{metric}' has {len(names)} labels: {_MOST_LABELS} are the most.")
    return tuple(sorted(str(name) for name in names))


def bounds_of(metric: object, buckets: Sequence[float]) -> tuple[float, ...]:
    """Return the upper bounds of a histogram's buckets. Raises BadMetric."""
    try:
        bounds = tuple(float(bound) for bound in buckets)
    except (TypeError, ValueError):
        raise BadMetric(f"The metric '{metric}' has buckets that are no list of numbers.") from None
    if bounds and bounds[-1] == math.inf:
        bounds = bounds[:-1]  # because the last bucket is without bound anyway
    if not 0 < len(bounds) <= _MOST_BUCKETS or any(not math.isfinite(bound) for bound in bounds):
        raise BadMetric(f"The metric '{metric}' has buckets that are not 1 to {_MOST_BUCKETS} finite numbers.")
    if any(one >= other for one, other in itertools.pairwise(bounds)):
        raise BadMetric(f"The metric '{metric}' has buckets that do not rise from one to the next.")
    return bounds

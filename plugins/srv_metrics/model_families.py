"""Families of metrics that models report: `srv_model_<name>`, with the model and its version as labels."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from itertools import accumulate, groupby
from math import isinf

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from srv.metrics_types import Series

log = logging.getLogger(__name__)

#: The metric that srv itself keeps among those of models.
_DROPPED = "metrics_dropped"
_FAMILIES = {"counter": CounterMetricFamily, "gauge": GaugeMetricFamily, "histogram": HistogramMetricFamily}
#: What the names of a kind's samples end with.
_ENDINGS = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_count", "_sum")}


class ModelFamilies:
    """Makes families of series, and logs once which of them cannot be shown beside each other."""

    def __init__(self) -> None:
        self._told: set[tuple[str, str]] = set()

    def of(self, series: Sequence[Series]) -> Iterator[Metric]:
        """Yield the families. Of two models that report one name as different kinds, the first by name is shown."""
        taken: set[str] = set()
        for name, group in groupby(sorted(series, key=lambda each: each.name), key=lambda each: each.name):
            members = [*group]
            samples = {name + ending for ending in _ENDINGS[members[0].kind]}
            kind = None if samples & taken else members[0].kind
            for each in members:
                if each.kind != kind:
                    self._tell(each)
            if kind is not None:
                taken |= samples
                yield _family(name, [each for each in members if each.kind == kind])

    def _tell(self, series: Series) -> None:
        if (series.model, series.name) not in self._told:
            self._told.add((series.model, series.name))
            log.warning(
                "The metric '%s' of model '%s', a %s, is not shown, because another metric takes its name or that of one of "
                "its samples. Choose another name for it.",
                series.name,
                series.model,
                series.kind,
            )


def _family(name: str, series: Sequence[Series]) -> Metric:
    title = "Reported by models with self.metric."
    if name == _DROPPED:
        title = "Reports of models that were dropped: too many series, or values that the kind cannot take."
    family: Metric = _FAMILIES[series[0].kind](f"srv_model_{name}", title)
    for each in series:
        labels = {"model": each.model, "version": each.version, **dict(each.labels)}
        if each.kind == "histogram":
            _add_histogram(family, each, labels)
        elif each.kind == "counter":
            family.add_sample(f"{family.name}_total", labels, each.value)
        else:
            family.add_sample(family.name, {**labels, "worker": str(each.worker)}, each.value)
    return family


def _add_histogram(family: Metric, series: Series, labels: dict[str, str]) -> None:
    counts = [*accumulate(count for _, count in series.buckets)]
    for (bound, _), count in zip(series.buckets, counts, strict=True):
        family.add_sample(f"{family.name}_bucket", {**labels, "le": "+Inf" if isinf(bound) else str(bound)}, count)
    family.add_sample(f"{family.name}_count", labels, counts[-1])
    family.add_sample(f"{family.name}_sum", labels, series.value)

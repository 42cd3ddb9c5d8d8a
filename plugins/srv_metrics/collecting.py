"""From the server's sums to families of metrics. Labels are words of the server's: models, versions, codes, plugins."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector as Base
from prometheus_client.registry import CollectorRegistry

from srv.counts import BOUNDS, Kind, Sums
from srv.hookspecs import PluginRow, Running

_ASKED = ("model", "version", "face")


class Collector(Base):
    """Everything that there is to tell of a running server."""

    def __init__(self, server: Running) -> None:
        self._server = server

    def collect(self) -> Iterator[Metric]:
        """The families, those of requests first."""
        sums = self._server.statistics()
        yield _requests(sums)
        yield from _times(sums)
        yield from _work(sums)
        yield _models(self._server.states())
        yield _plugins(self._server.plugins())
        yield from _processes(self._server.processes())


def _requests(sums: Mapping[Kind, Sums]) -> Metric:
    family = CounterMetricFamily(
        "srv_requests", "Requests for inference, by how they ended: ok, or the error's code.", labels=Kind._fields
    )
    for kind, counted in sums.items():
        family.add_metric(_labels(kind), counted.count)
    return family


def _times(sums: Mapping[Kind, Sums]) -> Iterator[Metric]:
    """Histograms over all outcomes."""
    durations = HistogramMetricFamily(
        "srv_request_duration_seconds", "From a request's last byte to its response, before it is sent.", labels=_ASKED
    )
    queues = HistogramMetricFamily(
        "srv_queue_duration_seconds", "Waiting for a thread, and for the model's concurrency.", labels=_ASKED
    )
    together: defaultdict[Kind, Sums] = defaultdict(Sums)
    for kind, counted in sums.items():
        if kind.model:  # what is refused before its model is known takes no time
            together[kind._replace(outcome="")].add(counted)
    for kind, counted in together.items():
        labels = _labels(kind)[:-1]
        durations.add_metric(labels, _buckets(counted.durations), counted.total / 1e9)
        queues.add_metric(labels, _buckets(counted.queues), counted.stages.queue / 1e9)
    yield durations
    yield queues


def _work(sums: Mapping[Kind, Sums]) -> Iterator[Metric]:
    """What the models did for it."""
    together: defaultdict[tuple[str, str], Sums] = defaultdict(Sums)
    for kind, counted in sums.items():
        if kind.model:
            together[kind.model, kind.version or ""].add(counted)
    inferences = CounterMetricFamily("srv_inferences", "Elements of batches.", labels=_ASKED[:2])
    executions = CounterMetricFamily("srv_executions", "Executions of predict that gave something.", labels=_ASKED[:2])
    compute = CounterMetricFamily(
        "srv_compute_seconds", "Time by stage: reading input, predict itself, encoding.", labels=(*_ASKED[:2], "stage")
    )
    for labels, counted in together.items():
        inferences.add_metric(labels, counted.elements)
        executions.add_metric(labels, counted.executions)
        for stage in ("input", "infer", "output"):
            compute.add_metric((*labels, stage), getattr(counted.stages, stage) / 1e9)
    yield from (inferences, executions, compute)


def _models(states: Mapping[str, int]) -> Metric:
    family = GaugeMetricFamily(
        "srv_models", "Versions of models by state, in the worker that answers.", labels=("state",)
    )
    for state, count in states.items():
        family.add_metric((state,), count)
    return family


def _plugins(plugins: Iterable[PluginRow]) -> Metric:
    labels = ("kind", "distribution", "state")
    family = GaugeMetricFamily("srv_plugins", "Plugins by state, in the worker that answers.", labels=labels)
    for row, count in Counter((each.kind, each.distribution, each.state) for each in plugins).items():
        family.add_metric([str(word) for word in row], count)
    return family


def _processes(pids: Sequence[int]) -> Iterator[Metric]:
    """Memory, CPU time and open files of each worker, where the system tells them; one that is gone has none."""
    families: dict[str, Metric] = {}
    for pid in pids:
        for family in ProcessCollector(pid=lambda pid=pid: pid, registry=CollectorRegistry()).collect():  # type: ignore[misc]  # a lambda's default has no type
            kept = families.setdefault(family.name, Metric(family.name, family.documentation, family.type))
            for sample in family.samples:
                kept.add_sample(sample.name, {**sample.labels, "worker": str(pid)}, sample.value)
    yield from families.values()


def _labels(kind: Kind) -> list[str]:
    return [kind.model, kind.version or "", kind.face, kind.outcome]


def _buckets(counts: Sequence[int]) -> list[tuple[str, float]]:
    """Cumulative, as Prometheus has them."""
    bounds = (*(str(bound) for bound in BOUNDS), "+Inf")
    return [*zip(bounds, (float(count) for count in accumulate(counts)), strict=True)]

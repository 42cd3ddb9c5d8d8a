"""Collects families of metrics from the server's sums. Labels are the server's own words: models, versions, codes."""

from __future__ import annotations

import platform
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector as Base
from prometheus_client.registry import CollectorRegistry

from srv.hookspecs import PluginRow, Server
from srv.metrics_types import Kind, Queue, RouteKind, Sums, Usage
from srv.version import __version__
from srv_metrics.bucket_texts import buckets
from srv_metrics.client_metrics import ClientMetrics
from srv_metrics.mlserver_names import families_of
from srv_metrics.model_families import ModelFamilies

#: Upper bounds of the buckets for batches' rows; larger ones count in a last one.
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
#: How srv counts a TLS handshake that failed, among the requests that it refuses.
HANDSHAKE_FAILED = "TLS_HANDSHAKE"
#: The words of the setting `names`.
SRV, MLSERVER = "srv", "mlserver"
_ASKED = ("model", "version", "face")


class Collector(Base):
    """The collector of everything that a running server counts."""

    def __init__(self, server: Server, *, names: str = SRV) -> None:
        self._server = server
        self._names = names
        self._model_families = ModelFamilies()
        self._client_metrics = ClientMetrics()

    def collect(self) -> Iterator[Metric]:
        """Yield the families, those of requests first, and last those that others keep."""
        names = set()
        for family in self._own():
            names.add(family.name)
            yield family
        yield from self._client_metrics.of(self._server.metric_registries(), names)

    def _own(self) -> Iterator[Metric]:
        """Yield the families that srv itself knows."""
        sums = self._server.statistics()
        yield _requests(sums)
        yield _handshakes(sums)
        yield from _times(sums)
        yield from _work(sums)
        yield _batches(self._server.batches())
        yield from _routes(self._server.routes())
        yield from _queues(self._server.queues())
        yield from _usage(self._server.usages())
        yield _models(self._server.states())
        yield _plugins(self._server.plugins())
        yield from _of_the_server(self._server)
        yield from _processes(self._server.processes())
        yield from self._model_families.of(self._server.model_metrics())
        if self._names == MLSERVER:
            yield from families_of(sums)


def _requests(sums: Mapping[Kind, Sums]) -> Metric:
    family = CounterMetricFamily(
        "srv_requests", "Requests for inference, by how they ended: ok, or the error's code.", labels=Kind._fields
    )
    for kind, counted in sums.items():
        if kind.outcome != HANDSHAKE_FAILED:
            family.add_metric(_labels(kind), counted.count)
    return family


def _handshakes(sums: Mapping[Kind, Sums]) -> Metric:
    family = CounterMetricFamily("srv_tls_handshake_failures", "TLS handshakes over HTTP that failed.")
    failed = sum(counted.count for kind, counted in sums.items() if kind.outcome == HANDSHAKE_FAILED)
    family.add_metric((), failed)
    return family


def _times(sums: Mapping[Kind, Sums]) -> Iterator[Metric]:
    """Return histograms over all outcomes."""
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
        durations.add_metric(labels, buckets(counted.durations), counted.total / 1e9)
        queues.add_metric(labels, buckets(counted.queues), counted.stages.queue / 1e9)
    yield durations
    yield queues


def _work(sums: Mapping[Kind, Sums]) -> Iterator[Metric]:
    """Return what the models did."""
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


def _batches(batches: Mapping[tuple[str, str | None], Mapping[int, Sums]]) -> Metric:
    family = HistogramMetricFamily("srv_batch_size", "Rows of each run of a model that batches.", labels=_ASKED[:2])
    for (model, version), sizes in batches.items():
        counts = [0] * (len(_SIZES) + 1)
        for rows, counted in sizes.items():
            counts[bisect_left(_SIZES, rows)] += counted.count
        rows_in_all = sum(rows * counted.count for rows, counted in sizes.items())
        family.add_metric((model, version or ""), buckets(counts, _SIZES), rows_in_all)
    return family


def _routes(routes: Mapping[RouteKind, Sums]) -> Iterator[Metric]:
    """Return the requests to runtimes' own routes: how they ended, and how long they took."""
    requests = CounterMetricFamily(
        "srv_route_requests",
        "Requests to routes of models' runtimes, by how they ended: ok, the error's code, or the runtime's own status.",
        labels=RouteKind._fields,
    )
    durations = HistogramMetricFamily(
        "srv_route_duration_seconds",
        "From a request's last byte to its response, before it is sent; of a stream to its end.",
        labels=RouteKind._fields[:-1],
    )
    together: defaultdict[tuple[str, str, str], Sums] = defaultdict(Sums)
    for kind, counted in routes.items():
        labels = (kind.model, kind.version or "", kind.route)
        requests.add_metric((*labels, kind.outcome), counted.count)
        together[labels].add(counted)
    for labels, counted in together.items():
        durations.add_metric(labels, buckets(counted.durations), counted.total / 1e9)
    yield from (requests, durations)


def _queues(queues: Iterable[Queue]) -> Iterator[Metric]:
    faces = GaugeMetricFamily(
        "srv_queue_requests", "Requests that wait for a thread, of max_queue.", labels=("face", "worker")
    )
    models = GaugeMetricFamily(
        "srv_model_queue_requests",
        "Requests that wait for a model's concurrency or batch, of its max_queue.",
        labels=("model", "version", "worker"),
    )
    for queue in queues:
        if queue.model:
            models.add_metric((queue.model, queue.version or "", str(queue.worker)), queue.waiting)
        else:
            faces.add_metric((queue.face, str(queue.worker)), queue.waiting)
    yield from (faces, models)


def _usage(usages: Iterable[Usage]) -> Iterator[Metric]:
    connections = GaugeMetricFamily("srv_connections", "HTTP connections, of max_connections.", labels=("worker",))
    streams = GaugeMetricFamily("srv_streams", "Open streams of both faces, of max_streams.", labels=("worker",))
    in_flight = GaugeMetricFamily(
        "srv_inflight_bytes", "Bytes of requests in flight, of max_inflight_bytes.", labels=("worker",)
    )
    for usage in usages:
        worker = (str(usage.worker),)
        connections.add_metric(worker, usage.connections)
        streams.add_metric(worker, usage.streams)
        in_flight.add_metric(worker, usage.bytes_in_flight)
    yield from (connections, streams, in_flight)


def _of_the_server(server: Server) -> Iterator[Metric]:
    build = GaugeMetricFamily("srv_build_info", "The versions of srv and of Python.", labels=("version", "python"))
    build.add_metric((__version__, platform.python_version()), 1)
    deaths = CounterMetricFamily("srv_worker_deaths", "Workers that died, or hung and were killed, and were replaced.")
    deaths.add_metric((), server.deaths())
    ends = server.certificate_ends()
    certificate = GaugeMetricFamily(
        "srv_tls_certificate_end_timestamp_seconds", "When the certificate ends, in the worker that answers."
    )
    if ends is not None:
        certificate.add_metric((), ends)
    yield from (build, deaths, certificate)


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
    """Return memory, CPU time and open files of each worker, if the system tells them."""
    families: dict[str, Metric] = {}
    for pid in pids:
        for family in ProcessCollector(pid=lambda pid=pid: pid, registry=CollectorRegistry()).collect():  # type: ignore[misc]  # a lambda's default has no type
            kept = families.setdefault(family.name, Metric(family.name, family.documentation, family.type))
            for sample in family.samples:
                kept.add_sample(sample.name, {**sample.labels, "worker": str(pid)}, sample.value)
    yield from families.values()


def _labels(kind: Kind) -> list[str]:
    return [kind.model, kind.version or "", kind.face, kind.outcome]

"""The families of MLServer's metrics, by its names and labels, made of what srv counts: for dashboards that know them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric, SummaryMetricFamily

from srv.errors import SrvError
from srv.grpc.errors import STATUSES as GRPC_STATUSES
from srv.metrics_types import OK, Kind, Sums
from srv.rest.statuses import STATUSES as REST_STATUSES
from srv_metrics.bucket_texts import buckets

_MODEL = ("model", "version")
_REST = ("app_name", "method", "path", "status_code")
_GRPC = ("grpc_type", "grpc_service", "grpc_method")
#: Where MLServer's clients ask for inference: the labels of REST without the status, and those of gRPC.
_ROUTE = ("mlserver", "POST", "/v2/models/{model_name}/infer")
_METHOD = ("UNARY", "inference.GRPCInferenceService", "ModelInfer")


def families_of(sums: Mapping[Kind, Sums]) -> Iterator[Metric]:
    """Yield the families of requests for inference: by model, and over each face by how they ended."""
    yield from _of_models(sums)
    yield from _of_rest(_by_status(sums, "rest", {code: str(status) for code, status in REST_STATUSES.items()}, "200"))
    yield from _of_grpc(_by_status(sums, "grpc", {code: status.name for code, status in GRPC_STATUSES.items()}, "OK"))


def _of_models(sums: Mapping[Kind, Sums]) -> Iterator[Metric]:
    success = CounterMetricFamily("model_infer_request_success", "Model infer request success count", labels=_MODEL)
    failure = CounterMetricFamily("model_infer_request_failure", "Model infer request failure count", labels=_MODEL)
    duration = SummaryMetricFamily("model_infer_request_duration", "Model infer request duration", labels=_MODEL)
    good: defaultdict[tuple[str, str], int] = defaultdict(int)
    together: defaultdict[tuple[str, str], Sums] = defaultdict(Sums)
    for kind, counted in sums.items():
        if kind.model:
            together[kind.model, kind.version or ""].add(counted)
            good[kind.model, kind.version or ""] += counted.count if kind.outcome == OK else 0
    for labels, counted in together.items():
        success.add_metric(labels, good[labels])
        failure.add_metric(labels, counted.count - good[labels])
        duration.add_metric(labels, counted.count, counted.total / 1e9)
    yield from (success, failure, duration)


def _by_status(sums: Mapping[Kind, Sums], face: str, statuses: Mapping[str, str], good: str) -> Mapping[str, Sums]:
    """Return what one face has counted, by the status that its clients got."""
    together: defaultdict[str, Sums] = defaultdict(Sums)
    for kind, counted in sums.items():
        if kind.face == face and (kind.outcome == OK or kind.outcome in statuses):
            together[good if kind.outcome == OK else statuses[kind.outcome]].add(counted)
        elif kind.face == face and kind.model:
            together[statuses[SrvError.code]].add(counted)
    return together


def _of_rest(together: Mapping[str, Sums]) -> Iterator[Metric]:
    requests = CounterMetricFamily("rest_server_requests", "Total HTTP requests", labels=_REST)
    seconds = HistogramMetricFamily(
        "rest_server_request_duration_seconds", "HTTP request duration, in seconds", labels=_REST
    )
    for status, counted in together.items():
        requests.add_metric((*_ROUTE, status), counted.count)
        seconds.add_metric((*_ROUTE, status), buckets(counted.durations), counted.total / 1e9)
    yield from (requests, seconds)


def _of_grpc(together: Mapping[str, Sums]) -> Iterator[Metric]:
    started = CounterMetricFamily("grpc_server_started", "Total number of RPCs started on the server.", labels=_GRPC)
    handled = CounterMetricFamily(
        "grpc_server_handled", "Total number of RPCs completed on the server.", labels=(*_GRPC, "grpc_code")
    )
    seconds = HistogramMetricFamily(
        "grpc_server_handling_seconds", "Histogram of response latency of RPCs, in seconds", labels=_GRPC
    )
    of_all = Sums()
    for status, counted in together.items():
        handled.add_metric((*_METHOD, status), counted.count)
        of_all.add(counted)
    if together:
        started.add_metric(_METHOD, of_all.count)
        seconds.add_metric(_METHOD, buckets(of_all.durations), of_all.total / 1e9)
    yield from (started, handled, seconds)

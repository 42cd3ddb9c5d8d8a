"""Metrics in Prometheus's text format, at the path that `metrics_endpoint` names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from srv.hookspecs import Server, hookimpl
from srv_metrics.registering_again import allow_registering_again


@hookimpl
def srv_http_routes(server: Server) -> Sequence[tuple[str, object]]:
    """Bring one route, or none if metrics are turned off."""
    if server.metrics_endpoint is None:
        return ()
    from srv_metrics.page import Metrics  # here, because whoever turns metrics off needs none of it

    return [(server.metrics_endpoint, Metrics())]


@hookimpl
def srv_openapi(document: dict[str, Any], server: Server) -> None:
    """Say that the metrics are text, of one of two forms."""
    page = document["paths"].get(server.metrics_endpoint)
    if page is not None:
        from srv_metrics.page import FORMS  # here, as above

        page["get"]["responses"]["200"]["content"] = {form: {"schema": {"type": "string"}} for form in FORMS}


@hookimpl
def srv_model_loaded() -> None:
    """Prepare for the next load, which may register what this one has registered."""
    allow_registering_again()


@hookimpl
def srv_model_failed() -> None:
    """Prepare for the next try, as above."""
    allow_registering_again()

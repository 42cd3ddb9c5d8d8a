"""Metrics in Prometheus's text format, at the path that `metrics_endpoint` names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from marshmallow import Schema, fields, validate

from srv.hookspecs import Server, hookimpl
from srv_metrics.registering_again import allow_registering_again


class Settings(Schema):
    """The section `metrics`."""

    names = fields.String(
        load_default="srv",
        validate=validate.OneOf(["srv", "mlserver"]),
        metadata={"description": "Whether metrics of requests have MLServer's names too, beside srv's: `mlserver`."},
    )


@hookimpl
def srv_settings_schema() -> type[Schema]:
    """Declare the setting `names`."""
    return Settings


@hookimpl
def srv_http_routes(settings: Mapping[str, Any], server: Server) -> Sequence[tuple[str, object]]:
    """Bring one route, or none if metrics are turned off."""
    if server.metrics_endpoint is None:
        return ()
    from srv_metrics.page import Metrics  # here, because whoever turns metrics off needs none of it

    return [(server.metrics_endpoint, Metrics(settings["names"]))]


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

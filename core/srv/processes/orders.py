"""Orders: what a worker asks the supervisor for, and what a model process is told to serve."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from srv.model_settings import ModelSettings
from srv.settings import ServerSettings
from srv.settings.server import PluginSettings

Struct = TypeVar("Struct")


class Order(msgspec.Struct, frozen=True):
    """What a model process is to serve: one model, with those settings of the server that hold for it."""

    model: ModelSettings
    request_timeout: float = 60.0
    load_timeout: float = 600.0
    stuck_timeout: float = 60.0
    worker_timeout: float = 60.0
    graceful_timeout: float = 25.0
    root_routes: Mapping[str, str] = msgspec.field(default_factory=dict)
    plugins: PluginSettings = msgspec.field(default_factory=PluginSettings)
    log_level: str = "info"
    log_format: str = "text"
    server_name: str = "srv"
    folder: Path = Path()
    workers: int = 1
    model_control: bool = True
    metrics_endpoint: str | None = None
    #: Where models' metrics are kept, and where prometheus_client's values are; None where nobody shows them.
    model_metrics: Path | None = None
    prometheus: Path | None = None
    #: Below which child processes of the model find its modules.
    links: Path | None = None


def order_of(
    model: ModelSettings,
    settings: ServerSettings,
    *,
    model_metrics: Path | None = None,
    prometheus: Path | None = None,
    links: Path | None = None,
) -> Order:
    """Return the order for a model of a server, whose artifact is on this machine already."""
    return Order(
        # Without a queue, because requests wait in the workers.
        model=replace(model, folder=model.folder.absolute(), process=None, max_queue=None),
        request_timeout=settings.request_timeout,
        load_timeout=settings.load_timeout,
        stuck_timeout=settings.stuck_timeout,
        worker_timeout=settings.worker_timeout,
        graceful_timeout=settings.graceful_timeout,
        root_routes=settings.root_routes,
        plugins=settings.plugins,
        log_level=settings.log_level,
        log_format=settings.log_format,
        server_name=settings.server_name,
        folder=settings.folder.absolute(),
        workers=settings.workers,
        model_control=settings.model_control,
        metrics_endpoint=settings.metrics_endpoint,
        model_metrics=model_metrics,
        prometheus=prometheus if settings.metrics_endpoint is not None else None,
        links=links,
    )


def plain(struct: object) -> Any:
    """Return a struct as dicts, lists, texts and numbers, which any version of srv can read."""
    return msgspec.to_builtins(struct, enc_hook=_plain)


def read(given: object, kind: type[Struct]) -> Struct:
    """Return the struct that was made `plain`. Fields that this version does not know are passed over."""
    return msgspec.convert(given, kind, dec_hook=_made)


def _plain(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return dict(value)
    raise NotImplementedError


def _made(kind: type, value: Any) -> Any:
    if kind is Path:
        return Path(value)
    raise NotImplementedError

"""The server's settings once they are read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeAlias

import msgspec
from msgspec.structs import replace

#: A setting of a model by its path, such as ("parameters", "content_type").
ModelDefaults: TypeAlias = Mapping[tuple[str, ...], Any]


class PluginSettings(msgspec.Struct, frozen=True):
    """Which plugins may be used, and which distribution has a name that two bring."""

    disable: tuple[str, ...] = ()
    only: tuple[str, ...] | None = None
    prefer: Mapping[str, str] = msgspec.field(default_factory=dict)
    strict: bool = False
    optional: tuple[str, ...] = ()


class TlsSettings(msgspec.Struct, frozen=True):
    """The certificate that the server shows, and its key; what it takes of clients."""

    certfile: Path
    keyfile: Path
    min_version: Literal["1.2", "1.3"] = "1.2"
    ciphers: str | None = None
    client_ca: Path | None = None


class CorsSettings(msgspec.Struct, frozen=True):
    """What pages of other origins may ask."""

    allow_origins: tuple[str, ...] = ()
    allow_credentials: bool = False
    expose_headers: tuple[str, ...] = ()


class ServerSettings(msgspec.Struct, frozen=True):
    """Every setting of the server in force.

    `origins` tells where each that is not a default came from, by its dotted key; `origin` answers for all of them.
    `notes` are lines about what was ignored, to be logged once logging is set up. `sections` has the section of each
    plugin that declares settings, as it was given. `model_defaults` are what the environment says for all models,
    `environment_model` what MLServer's variables say of one, which is served where no folder has settings of a model.
    `root_name` is what a model that is the folder itself is called, where that is not the folder's name.
    """

    folder: Path
    root_name: str | None = None
    server_name: str = "srv"
    host: str = "127.0.0.1"
    http_port: int = 8080
    grpc_port: int | None = 8081
    workers: int = 1
    threads: int = 16
    grpc_threads: int = 16
    grpc_min_ping_interval: float = 5.0
    worker_class: Literal["srv", "gthread"] = "srv"
    models_dir: Path | None = None
    follow_links: bool = False
    cache_dir: Path | None = None
    cache_limit: int | None = None
    load_models_at_startup: bool = True
    on_load_error: Literal["exit", "continue"] = "exit"
    model_control: bool = True
    max_header_size: int = 65536
    max_body_size: int = 268435456
    max_inflight_bytes: int = 2147483648
    max_queue: int = 1000
    max_streams: int = 8
    request_timeout: float = 60.0
    load_timeout: float = 600.0
    header_timeout: float = 10.0
    body_timeout: float = 60.0
    body_total_timeout: float = 300.0
    keep_alive: float = 75.0
    backlog: int = 2048
    max_connections: int = 1000
    max_requests: int = 0
    worker_timeout: float = 60.0
    stuck_timeout: float = 60.0
    on_stuck: Literal["replace", "unready"] = "replace"
    graceful_timeout: float = 25.0
    drain_delay: float = 0.0
    root_path: str = ""
    root_routes: Mapping[str, str] = msgspec.field(default_factory=dict)
    pass_headers: tuple[str, ...] = ()
    allowed_hosts: tuple[str, ...] | None = None
    cors_settings: CorsSettings | None = None
    gzip_enabled: bool = True
    metrics_endpoint: str | None = "/metrics"
    log_level: str = "info"
    log_format: Literal["text", "json"] = "text"
    access_log: bool = True
    trace_plugins: bool = False
    tls: TlsSettings | None = None
    dialect: Literal["srv", "mlserver"] | None = None
    plugins: PluginSettings = msgspec.field(default_factory=PluginSettings)
    sections: Mapping[str, Mapping[str, Any]] = msgspec.field(default_factory=dict)
    model_defaults: ModelDefaults = msgspec.field(default_factory=dict)
    environment_model: Mapping[str, Any] = msgspec.field(default_factory=dict)
    origins: Mapping[str, str] = msgspec.field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def origin(self, key: str) -> str:
        """Return where the setting of that dotted key came from: ``default``, a file, a variable or a flag."""
        return self.origins.get(key, "default")

    def is_on_unix_socket(self) -> bool:
        """Whether HTTP is served on a Unix socket, `host` without its ``unix:``, and not on a port."""
        return self.host.startswith("unix:")

    def with_absolute_paths(self) -> ServerSettings:
        """Return the same settings, whose paths mean the same after a change of the current folder; links stay links."""
        tls, models_dir, cache_dir = self.tls, self.models_dir, self.cache_dir
        if tls is not None:
            client_ca = None if tls.client_ca is None else tls.client_ca.absolute()
            tls = replace(tls, certfile=tls.certfile.absolute(), keyfile=tls.keyfile.absolute(), client_ca=client_ca)
        return replace(
            self,
            folder=self.folder.absolute(),
            models_dir=None if models_dir is None else models_dir.absolute(),
            cache_dir=None if cache_dir is None else cache_dir.absolute(),
            tls=tls,
        )

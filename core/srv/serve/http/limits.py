"""Limits of a worker: sizes, numbers and times, read once from the settings."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import msgspec

from srv.settings.server import ServerSettings

MEBIBYTE = 1 << 20
#: What loads and unloads, below any `root_path`.
_CHANGES_MODELS = re.compile(r"/v2/repository/models/[^/]*/(un)?load/?$")
#: The settings' defaults, which stand in one place.
_DEFAULTS = ServerSettings(folder=Path())


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """The settings that the HTTP worker obeys, with the contract's defaults; times are seconds."""

    threads: int = _DEFAULTS.threads
    max_queue: int = _DEFAULTS.max_queue
    max_streams: int = _DEFAULTS.max_streams
    max_body_size: int = _DEFAULTS.max_body_size
    max_inflight_bytes: int = _DEFAULTS.max_inflight_bytes
    header_timeout: float = _DEFAULTS.header_timeout
    body_timeout: float = _DEFAULTS.body_timeout
    body_total_timeout: float = _DEFAULTS.body_total_timeout
    keep_alive: float = _DEFAULTS.keep_alive
    request_timeout: float = _DEFAULTS.request_timeout
    load_timeout: float = _DEFAULTS.load_timeout
    max_connections: int = _DEFAULTS.max_connections
    graceful_timeout: float = _DEFAULTS.graceful_timeout
    request_line: int = 8190
    header_count: int = 100
    max_header_size: int = _DEFAULTS.max_header_size

    @classmethod
    def of(cls, settings: object) -> Limits:
        """Return the limits that any object with attributes of these names sets; what it lacks or leaves None is a default.

        No `max_streams` is half the threads; no `request_timeout` is no deadline.
        """
        given: dict[str, Any] = {name: getattr(settings, name, None) for name in cls.__struct_fields__}
        chosen = {name: value for name, value in given.items() if value is not None}
        threads = chosen.get("threads", cls().threads)
        chosen.setdefault("max_streams", max(1, threads // 2))
        if getattr(settings, "request_timeout", 0) is None:
            chosen["request_timeout"] = math.inf
        return cls(**chosen)

    def patience(self, path: str) -> float:
        """Return how long a request to this path may take."""
        return self.load_timeout if _CHANGES_MODELS.search(path) else self.request_timeout

    def with_connections(self, most: int) -> Limits:
        """Return the same with another number of connections."""
        return msgspec.structs.replace(self, max_connections=most)

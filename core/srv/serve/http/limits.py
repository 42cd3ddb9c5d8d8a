"""What a worker puts up with: sizes, numbers and times, read once from the settings."""

from __future__ import annotations

import math
import re
from typing import Any

import msgspec

MEBIBYTE = 1 << 20
#: What loads and unloads, below any `root_path`.
_CHANGES_MODELS = re.compile(r"/v2/repository/models/[^/]*/(un)?load/?$")


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """The settings that the HTTP worker obeys, with the contract's defaults; times are seconds."""

    threads: int = 16
    max_queue: int = 1000
    max_streams: int = 8
    max_body_size: int = 256 * MEBIBYTE
    max_inflight_bytes: int = 2048 * MEBIBYTE
    header_timeout: float = 10.0
    body_timeout: float = 60.0
    keep_alive: float = 60.0
    request_timeout: float = 60.0
    load_timeout: float = 600.0
    max_connections: int = 10_000
    graceful_timeout: float = 30.0
    request_line: int = 8190
    header_count: int = 100
    header_size: int = 8190
    head_size: int = 65536

    @classmethod
    def of(cls, settings: object) -> Limits:
        """The limits that any object with attributes of these names sets; what it lacks or leaves None is a default.

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
        """How long a request to this path may take."""
        return self.load_timeout if _CHANGES_MODELS.search(path) else self.request_timeout

    def with_connections(self, most: int) -> Limits:
        """The same with another number of connections."""
        return msgspec.structs.replace(self, max_connections=most)

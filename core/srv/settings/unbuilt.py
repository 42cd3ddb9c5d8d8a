"""Settings that are promised and do nothing yet. Whoever builds one takes its line out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

_PROMISED: Any = object()


@dataclass(frozen=True)
class Unbuilt:
    """What a setting is about, and what holds until it is built, where that is not the promised default."""

    what: str
    until: Any = _PROMISED


SERVER: Mapping[str, Unbuilt] = MappingProxyType({})

MODEL: Mapping[str, Unbuilt] = MappingProxyType(
    {
        "max_batch_size": Unbuilt("batching"),
        "max_batch_time": Unbuilt("batching"),
    }
)


def in_force(key: str, *, promised: Any) -> Any:
    """The default of a server setting today: the promised one, unless it needs what is not built yet."""
    entry = SERVER.get(key)
    return promised if entry is None or entry.until is _PROMISED else entry.until

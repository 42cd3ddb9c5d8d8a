"""Settings that are promised and do nothing yet. Whoever builds one takes its line out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True)
class Unbuilt:
    """What a setting is about."""

    what: str


SERVER: Mapping[str, Unbuilt] = MappingProxyType({})

MODEL: Mapping[str, Unbuilt] = MappingProxyType({})

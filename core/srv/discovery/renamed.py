"""Renamed plugins of srv's own: their old names work in settings for one minor version, with a warning."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

#: The version that no longer understands the old names below.
REMOVED_IN = "0.2"

#: Old names of hook modules, and the new ones.
RENAMED: Mapping[str, str] = MappingProxyType({"journal": "event_log", "named": "by_path", "remember": "cache"})


def now_called(old: str, new: str) -> str:
    """Return the end of a sentence about an old name."""
    return f"the plugin '{old}' is now called '{new}'. Write the new name: srv {REMOVED_IN} will not know the old one."

"""Which builder builds: the one that was named, or the first that can."""

from __future__ import annotations

from collections.abc import Mapping

from srv.images import Builder
from srv_build.builders import OURS
from srv_build.errors import NoBuilder, UnknownBuilder


def chosen(builders: Mapping[str, Builder], name: str | None, *, folder: str) -> Builder:
    """A builder that can build here; srv's own are asked before others. Raises UnknownBuilder, NoBuilder."""
    if name is not None and name not in builders:
        raise UnknownBuilder(name, builders)
    ours = [builder.name for builder in OURS if builder.name in builders]
    asked = [name] if name is not None else [*ours, *(each for each in builders if each not in ours)]
    reasons = {}
    for each in asked:
        reason = builders[each].unavailable()
        if reason is None:
            return builders[each]
        reasons[each] = reason
    raise NoBuilder(reasons, folder)

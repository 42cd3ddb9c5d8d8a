"""Builders: those that srv brings itself, and the choice among all that are installed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from srv.errors import closed
from srv.images import Builder, BuildOrder
from srv_build.buildctl import Buildctl
from srv_build.buildx import Buildx
from srv_build.cli_builders import Buildah, Podman
from srv_build.docker_engine import DockerEngine
from srv_build.errors import CannotDo, NoBuilder, Refused, UnknownBuilder

#: srv's own, in the order in which they are tried: BuildKit before the engine's older builder, and then those without
#: a daemon. buildctl is the last, because buildkitd keeps no image that could be run.
OURS: tuple[type[Builder], ...] = (Buildx, DockerEngine, Buildah, Podman, Buildctl)


@dataclass(frozen=True)
class Choice:
    """The builder that is taken, and why those that would come before it are not."""

    builder: Builder
    passed_over: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        reasons = "; ".join(f"{name}: {reason.rstrip('.')}" for name, reason in self.passed_over.items())
        return f"{self.builder.name} (not {closed(reasons).rstrip('.')})" if reasons else self.builder.name


def choose(builders: Mapping[str, Builder], name: str | None, order: BuildOrder, *, folder: str) -> Choice:
    """Return the builder of that name, or the first that can do the order here, srv's own before others.

    Raises UnknownBuilder, CannotDo or Refused for a builder that was named, or NoBuilder with the reason of each.
    """
    if name is not None and name not in builders:
        raise UnknownBuilder(name, builders)
    ours = [builder.name for builder in OURS if builder.name in builders]
    ordered = [*ours, *(each for each in builders if each not in ours)]
    if name is not None:
        _check(builders, name, order)
    reasons: dict[str, str] = {}
    for each in [name] if name is not None else ordered:
        reason = _obstacle(builders[each], order)
        if reason is None:
            return Choice(builders[each], reasons)
        reasons[each] = reason
    raise NoBuilder(reasons, folder)


def _check(builders: Mapping[str, Builder], name: str, order: BuildOrder) -> None:
    """Raise CannotDo or Refused where the builder cannot do the order, whether it is here or not."""
    asked, builder = order.options(), builders[name]
    if missing := asked - builder.heeds:
        raise CannotDo(name, missing, (each for each, other in builders.items() if asked <= other.heeds))
    if (reason := builder.refusal(order)) is not None:
        raise Refused(name, reason)


def _obstacle(builder: Builder, order: BuildOrder) -> str | None:
    """Return why a builder is passed over: it has no such option, it refuses the order, or it cannot be used here."""
    if missing := order.options() - builder.heeds:
        return f"it cannot do {', '.join(sorted(missing))}"
    return builder.refusal(order) or builder.unavailable()

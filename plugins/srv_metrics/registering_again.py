"""Metrics of prometheus_client that are registered again: a reload runs the code of a model's modules another time."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from prometheus_client.registry import Collector, CollectorRegistry

log = logging.getLogger(__name__)

#: What two metrics of one name have in common where one may go on as the other.
_SHAPE = ("_type", "_labelnames", "_upper_bounds", "_multiprocess_mode", "_unit")


def allow_registering_again() -> None:
    """Let a metric be registered in prometheus_client's default registry by a name that is there already.

    Does nothing where nobody has imported prometheus_client, because no metric is registered then.
    """
    client = sys.modules.get("prometheus_client")
    registry = getattr(client, "REGISTRY", None)
    if registry is not None and "register" not in vars(registry):  # where it is, this was called before
        registry.register = _Register(registry)


class _Register:
    """Stands for the registry's method `register`."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._register = registry.register

    def __call__(self, collector: Collector) -> None:
        """Register a collector, or have it count on where one of the same name and shape counts.

        One of another shape takes the place of those that have its names.
        """
        try:
            self._register(collector)
        except ValueError:
            others = _of_same_names(self._registry, collector)
            if not others:
                raise
            if len(others) == 1 and _are_alike(others[0], collector):
                collector.__dict__ = others[
                    0
                ].__dict__  # both count on together, because requests still run in the old code
                return
            for other in others:
                self._registry.unregister(other)
            log.warning(
                "The metric %s is registered with another kind, other labels or other buckets than before; what was counted "
                "so far may be shown beside it. Give it another name, or restart the server.",
                collector,
            )
            self._register(collector)


def _of_same_names(registry: CollectorRegistry, collector: Collector) -> list[Collector]:
    """Return the collectors that a registry has under any of the names of a new one; none where it does not tell."""
    try:
        names = registry._get_names(collector)  # type: ignore[no-untyped-call]
        found = [registry._names_to_collectors[name] for name in names if name in registry._names_to_collectors]
    except AttributeError:
        return []
    return [*dict.fromkeys(found)]


def _are_alike(one: Any, other: Any) -> bool:
    return type(one) is type(other) and all(getattr(one, name, None) == getattr(other, name, None) for name in _SHAPE)

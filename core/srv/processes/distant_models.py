"""Distant models: what a worker gives a model that runs in processes of its own, so that it answers like any other."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from msgspec.structs import replace

from srv.inference.event_loop import EventLoop
from srv.model_settings import ModelSettings
from srv.models.registry import ModelVersion
from srv.placement import Placement
from srv.processes.asking_processes import DistantAnswering, Processes
from srv.processes.descriptions import ModelDescription, octets_of
from srv.processes.distant_routes import DistantRoute
from srv.processes.errors import NoSupervisor
from srv.processes.leases import Leases, ProcessLease
from srv.processes.orders import order_of
from srv.runtime import Runtime
from srv.settings import ServerSettings

#: Seconds beyond its own timeouts after which a supervisor is not waited for any more.
_PATIENCE = 60.0


class DistantRuntime(Runtime):
    """Stands in a worker for the runtime that a model has in its processes."""

    def __init__(self, settings: ModelSettings, described: ModelDescription, lease: ProcessLease) -> None:
        super().__init__(settings)
        self.concurrency = described.concurrency  # type: ignore[misc]  # of this one
        self.inputs, self.outputs = described.metadata.inputs, described.metadata.outputs
        self.parameters = dict(described.metadata.parameters)
        self._lease = lease

    def unload(self) -> None:
        """Let the processes go."""
        self._lease.release()


class Outages(Protocol):
    """Takes a model out of service while none of its processes runs."""

    def went_down(self, model: ModelVersion, reason: str) -> None:
        """Send the model nothing from now on, and tell why."""

    def came_up(self, model: ModelVersion) -> None:
        """Let the model serve again."""


class DistantModels:
    """Loads models in processes of their own. Safe in several threads."""

    def __init__(
        self,
        leases: Leases,
        settings: ServerSettings,
        loop: EventLoop,
        *,
        placement: Callable[[ModelVersion, int], Placement | None],
        model_metrics: Path | None,
        prometheus: Path | None,
        links: Path | None,
    ) -> None:
        self._leases = leases
        self._settings = settings
        self._loop = loop
        self._placement = placement
        self._model_metrics = model_metrics
        self._prometheus = prometheus
        self._links = links

    def start(
        self,
        model: ModelVersion,
        settings: ModelSettings,
        outages: Outages,
        check: Callable[[ModelVersion], object],
    ) -> None:
        """Have a model loaded, and give it what it answers with; `settings` name its artifact on this machine.

        `check` is called before it serves. Raises ProcessLoadFailed, SupervisorDied, and what `check` raises.
        """
        assert settings.process is not None
        if not self._leases.can_start:
            raise NoSupervisor
        order = order_of(
            settings,
            self._settings,
            model_metrics=self._model_metrics,
            prometheus=self._prometheus,
            links=self._links,
        )
        assert settings.process is not None
        lease = self._leases.acquire(
            order,
            settings,
            model.title,
            cache={"dir": self._settings.cache_dir, "limit": self._settings.cache_limit},
            placements=[self._placement(model, number) for number in range(settings.process.count)],
        )
        try:
            described = lease.wait(_PATIENCE + settings.process.start_timeout + 2 * self._settings.load_timeout)
            self._prepare(model, described, lease)
            check(model)
        except BaseException:
            lease.release()
            raise
        model.runtime = DistantRuntime(settings, described, lease)
        model.runtime.ready = True
        lease.watch(lambda reason: outages.went_down(model, reason), lambda: outages.came_up(model))

    def _prepare(self, model: ModelVersion, described: ModelDescription, lease: ProcessLease) -> None:
        """Set what the model answers with, as `prepare` does for a model of the worker."""
        processes = Processes(model.settings, described, lease, self._loop, self._settings)
        answering = DistantAnswering(model.settings, described, processes)
        metadata = described.metadata
        model.answer = answering
        model.stream = answering.stream
        model.wait_idle = processes.execution.wait_idle
        model.waiting = answering.waiting if answering.has_queue else None
        model.octets = octets_of(described)
        model.routes = tuple(DistantRoute(number, route, processes) for number, route in enumerate(metadata.routes))
        model.metadata = replace(metadata, versions=())

"""Server info, for plugins' routes: what was counted, the state of models and plugins, the workers."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress

from srv.discovery import Plugins
from srv.discovery.plugin import Plugin
from srv.metrics_types import Kind, Queue, RouteKind, Series, Sums
from srv.models.registry import ModelState
from srv.planes.dataplane import DataPlane
from srv.planes.model_metrics import ModelMetrics
from srv.serve.control_socket import ask
from srv.serve.run_directory import RunDirectory

#: Seconds that another worker has to say how long its queues are.
_PATIENCE = 0.5


class ServerInfo:
    """The object that plugins' routes find as `req.context.server`."""

    def __init__(
        self, dataplane: DataPlane, plugins: Plugins, directory: RunDirectory | None, model_metrics: ModelMetrics
    ) -> None:
        self._dataplane = dataplane
        self._plugins = plugins
        self._directory = directory
        self._model_metrics = model_metrics
        #: Functions that return how many requests wait for a thread, by face; the worker puts them in.
        self.faces: dict[str, Callable[[], int]] = {}

    def statistics(self) -> Mapping[Kind, Sums]:
        """Return what all workers have counted since the server's start."""
        return self._dataplane.sums()

    def batches(self) -> Mapping[tuple[str, str | None], Mapping[int, Sums]]:
        """Return how often models that batch have run, by name and version and there by rows."""
        return self._dataplane.batches()

    def model_metrics(self) -> Sequence[Series]:
        """Return what the models of all workers have reported since the server's start."""
        return self._model_metrics.series(self.processes())

    def forked(self) -> None:
        """Write nothing more that belongs to all workers: this process is a model's child."""
        self._model_metrics.forked()

    def routes(self) -> Mapping[RouteKind, Sums]:
        """Return the requests to routes of runtimes' own, counted by all workers since the server's start."""
        return self._dataplane.routes()

    def queues(self) -> Sequence[Queue]:
        """Return how many requests wait in each worker; a worker that does not answer soon is left out."""
        queues = [*self.own_queues()]
        others = self._directory.registered() if self._directory is not None else {}
        for pid, address in others.items():
            if pid != os.getpid():
                with suppress(OSError, ValueError):
                    answer = ask(address, {"ask": "queues"}, timeout=_PATIENCE)
                    queues.extend(Queue(*row) for row in answer["queues"])
        return queues

    def own_queues(self) -> Iterator[Queue]:
        """Give how many requests wait in this worker."""
        pid = os.getpid()
        for face, waiting in self.faces.items():
            yield Queue(pid, face, "", None, waiting())
        for model in self._dataplane.registry.models():
            if model.waiting is not None and model.state is ModelState.READY:
                yield Queue(pid, "", model.name, model.wire_version, model.waiting())

    def states(self) -> Mapping[str, int]:
        """Return how many versions of models are in each state, in this worker."""
        counted = Counter(model.state for model in self._dataplane.registry.models())
        return {state.value: counted[state] for state in ModelState}

    def plugins(self) -> Sequence[Plugin]:
        """Return every plugin that was found, in this worker."""
        return self._plugins.rows

    def processes(self) -> Sequence[int]:
        """Return the workers' process ids; this worker's alone where there is no run directory."""
        return [os.getpid()] if self._directory is None else self._directory.pids()

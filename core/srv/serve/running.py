"""The server as it runs, for plugins' routes: what was counted, how models and plugins are, which workers there are."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress

from srv.counts import Kind, Queue, Sums
from srv.dataplane import DataPlane
from srv.discovery import Plugins
from srv.discovery.plugin import Plugin
from srv.registry import ModelState
from srv.serve.control import ask
from srv.serve.rundir import RunDirectory

#: Seconds that another worker has to say how long its queues are.
_PATIENCE = 0.5


class Running:
    """What `req.context.server` is."""

    def __init__(self, dataplane: DataPlane, plugins: Plugins, directory: RunDirectory | None) -> None:
        self._dataplane = dataplane
        self._plugins = plugins
        self._directory = directory
        #: How many requests wait for a thread, by face; the worker says how to ask.
        self.faces: dict[str, Callable[[], int]] = {}

    def statistics(self) -> Mapping[Kind, Sums]:
        """What all workers have counted since the server's start."""
        return self._dataplane.sums()

    def batches(self) -> Mapping[tuple[str, str | None], Mapping[int, Sums]]:
        """How often models that batch have run, by name and version and there by rows."""
        return self._dataplane.batches()

    def queues(self) -> Sequence[Queue]:
        """How many requests wait, in every worker; one that does not answer soon is left out."""
        queues = [*self.own_queues()]
        for path in self._directory.registered() if self._directory is not None else ():
            if path.stem != str(os.getpid()):
                with suppress(OSError, ValueError):
                    answer = ask(path, {"ask": "queues"}, timeout=_PATIENCE)
                    queues.extend(Queue(*row) for row in answer["queues"])
        return queues

    def own_queues(self) -> Iterator[Queue]:
        """How many requests wait in this worker."""
        pid = os.getpid()
        for face, waiting in self.faces.items():
            yield Queue(pid, face, "", None, waiting())
        for model in self._dataplane.registry.models():
            if model.waiting is not None and model.state is ModelState.READY:
                yield Queue(pid, "", model.name, model.version, model.waiting())

    def states(self) -> Mapping[str, int]:
        """How many versions of models are in each state, in this worker."""
        counted = Counter(model.state for model in self._dataplane.registry.models())
        return {state.value: counted[state] for state in ModelState}

    def plugins(self) -> Sequence[Plugin]:
        """Every plugin that was found, in this worker."""
        return self._plugins.rows

    def processes(self) -> Sequence[int]:
        """The workers' process ids; this one alone where there is no run directory."""
        return [os.getpid()] if self._directory is None else self._directory.pids()

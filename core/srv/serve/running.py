"""The server as it runs, for plugins' routes: what was counted, how models and plugins are, which workers there are."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence

from srv.counts import Kind, Sums
from srv.dataplane import DataPlane
from srv.discovery import Plugins
from srv.discovery.plugin import Plugin
from srv.registry import ModelState
from srv.serve.rundir import RunDirectory


class Running:
    """What `req.context.server` is."""

    def __init__(self, dataplane: DataPlane, plugins: Plugins, directory: RunDirectory | None) -> None:
        self._dataplane = dataplane
        self._plugins = plugins
        self._directory = directory

    def statistics(self) -> Mapping[Kind, Sums]:
        """What all workers have counted since the server's start."""
        return self._dataplane.sums()

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

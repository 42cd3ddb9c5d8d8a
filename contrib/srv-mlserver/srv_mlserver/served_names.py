"""The names under which a worker serves classes of MLServer's."""

from __future__ import annotations

import threading


class ServedNames:
    """The names of the models that are MLServer's classes, in this worker. Safe to call from several threads."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._names: dict[int, str] = {}

    def add(self, model: object, name: str) -> None:
        """Take in a model that was loaded."""
        with self._guard:
            self._names[id(model)] = name

    def remove(self, model: object) -> None:
        """Drop a model that is unloaded; one that has taken its place stays."""
        with self._guard:
            self._names.pop(id(model), None)

    def __contains__(self, name: str) -> bool:
        """Return whether a model of that name is one of them."""
        with self._guard:
            return name in self._names.values()

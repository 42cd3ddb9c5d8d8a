"""The model plane: which models there are, and loading and unloading them while the server runs."""

from __future__ import annotations

import logging
import threading
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import Any, Protocol

import msgspec

from srv.dataplane import Readiness, StillLoading
from srv.errors import Forbidden, InvalidInput, LoadFailed, LoadIncomplete, UnknownModel, quoted
from srv.loader import Loader
from srv.modelsettings import ModelSettings
from srv.registry import Model, ModelState, Registry
from srv.repository import Repository
from srv.versions import version_key

log = logging.getLogger(__name__)

#: A model by name and version.
Wanted = tuple[str, str | None]


class ControlOff(Forbidden):
    """Loading and unloading over the wire is turned off."""

    def __init__(self) -> None:
        super().__init__("Models are not loaded or unloaded over the wire here; the setting model_control is false.")


class NoOverride(InvalidInput):
    """The client brings settings or files of its own."""

    def __init__(self, name: str) -> None:
        shown = quoted(name)[1:-1]
        super().__init__(f"parameters.{shown}: a model is loaded from the repository as it is; bring no {shown} along.")


def check_brings_nothing(parameters: Iterable[str]) -> None:
    """Raise NoOverride where the parameters of a load bring settings or files along."""
    for name in parameters:
        if name == "config" or name.startswith("file:"):
            raise NoOverride(name)


class IndexRow(msgspec.Struct, frozen=True):
    """One model as the repository's index lists it; the reason says why a load failed."""

    name: str
    version: str | None
    state: ModelState
    reason: str


class Siblings(Protocol):
    """The other workers of this server, who are to serve the same models."""

    def changing(self) -> AbstractContextManager[object]:
        """Keep everyone else from changing the models meanwhile."""

    def changed(self, models: Sequence[Wanted], order: Mapping[str, Any]) -> Sequence[str]:
        """Make these the models that every worker is to serve, and have the others follow the order.

        Returns a sentence for each that could not. Raises DeadlinePassed where they take too long.
        """


class Nobody:
    """No other workers."""

    def changing(self) -> AbstractContextManager[object]:
        """Nobody else changes anything."""
        return nullcontext()

    def changed(self, models: Sequence[Wanted], order: Mapping[str, Any]) -> Sequence[str]:  # noqa: ARG002  Siblings has it so
        """Nobody else follows."""
        return ()


class ModelPlane:
    """Index, load and unload, over one worker or several. Safe to call from any thread; changes take turns."""

    def __init__(
        self, registry: Registry, repository: Repository, loader: Loader, readiness: Readiness, *, control: bool
    ) -> None:
        self._registry = registry
        self._repository = repository
        self._loader = loader
        self._readiness = readiness
        self._control = control
        self.siblings: Siblings = Nobody()
        #: Held while a model of this worker is loaded or unloaded.
        self.turn = threading.RLock()

    def index(self, *, ready: bool = False) -> list[IndexRow]:
        """Every model of the repository and every one that is kept, by name and version; `ready` leaves out the rest."""
        rows = {
            (model.name, model.version): IndexRow(model.name, model.version, model.state, model.reason)
            for model in self._registry.models()
        }
        found = self._repository.models()
        for settings in found.models:
            key = (settings.name, settings.version)
            rows.setdefault(key, IndexRow(*key, ModelState.UNAVAILABLE, "not loaded"))
        for failed in found.failures:
            key = (failed.name, failed.version)
            rows.setdefault(key, IndexRow(*key, ModelState.UNAVAILABLE, failed.reason))
        chosen = [row for row in rows.values() if not ready or row.state is ModelState.READY]
        return sorted(chosen, key=lambda row: (row.name, version_key(row.version or "")))

    def load(self, name: str) -> None:
        """Load a model's versions, or load them again from the files as they are now, all at once, in every worker.

        Versions that the repository holds no longer are unloaded. This worker goes first, and where it fails nothing has changed. Raises Forbidden, UnknownModel, LoadFailed with
        the reason, LoadIncomplete where another worker could not follow, DeadlinePassed, or Unavailable before the
        first load has ended.
        """
        self._check_control()
        with self.siblings.changing():
            self._load_here(name)
            self._tell({"do": "load", "name": name})

    def unload(self, name: str) -> None:
        """Stop serving a model, in every worker. Raises as `load`, but for LoadFailed."""
        self._check_control()
        with self.siblings.changing():
            self._unload_here(name)
            self._tell({"do": "unload", "name": name})

    def follow(self, order: Mapping[str, Any]) -> None:
        """Do what another worker has done. Raises UnknownModel or LoadFailed for what cannot be loaded here."""
        if order["do"] == "load":
            self._load_here(order["name"])
            return
        with suppress(UnknownModel):  # what never was here serves no more
            self._unload_here(order["name"])

    def keep_only(self, wanted: Collection[Wanted], unloaded: Collection[str]) -> None:
        """Unload what is none of the wanted models, and list those that somebody has unloaded, as the others do."""
        with self.turn:
            for model in self._registry.models():
                if model.state is ModelState.READY and (model.name, model.version) not in wanted:
                    self._loader.unload(model)
            known = set(self._registry.names())
            for settings in self._repository.models().models if unloaded else ():
                if settings.name in unloaded and settings.name not in known:
                    self._registry.put(_unloaded(settings))

    def _load_here(self, name: str) -> None:
        with self.turn:
            self._load_versions(name)

    def _load_versions(self, name: str) -> None:
        found = self._repository.models()
        failed = [failure for failure in found.failures if failure.name == name]
        if failed:
            raise LoadFailed(f"Model '{name}' could not be loaded: {failed[0].reason}")
        versions = [settings for settings in found.models if settings.name == name]
        if not versions:
            raise UnknownModel(name, {settings.name for settings in found.models})
        self._loader.load_all(versions)

    def _unload_here(self, name: str) -> None:
        with self.turn:
            self._readiness.want_no_longer(name)
            for model in self._registry.versions(name).values():
                if model.state is ModelState.READY:
                    self._loader.unload(model)

    def _tell(self, order: Mapping[str, Any]) -> None:
        models = [(model.name, model.version) for model in self._registry.models() if model.state is ModelState.READY]
        failures = self.siblings.changed(models, order)
        if failures:
            log.error("Not every worker could follow: %s", " ".join(failures))
            raise LoadIncomplete(order["do"], order["name"], failures)

    def _check_control(self) -> None:
        if not self._control:
            raise ControlOff
        if not self._readiness.loaded:
            raise StillLoading


def _unloaded(settings: ModelSettings) -> Model:
    model = Model(settings)
    model.state, model.reason = ModelState.UNAVAILABLE, "unloaded"
    return model

"""The model plane: index, load and unload of models while the server runs."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext, suppress
from typing import Any, Protocol

import msgspec

from srv.errors import (
    DeadlinePassed,
    Forbidden,
    InvalidInput,
    LoadFailed,
    LoadIncomplete,
    Unavailable,
    UnknownModel,
    quoted,
)
from srv.model_settings import ModelKey, ModelSettings
from srv.models.following import following
from srv.models.loader import UNLOAD_WAITS, Loader
from srv.models.registry import ModelState, ModelVersion, Registry
from srv.planes.readiness import Draining, Readiness, StillLoading
from srv.repository import Repository
from srv.repository.version_order import told, version_key

log = logging.getLogger(__name__)


class ControlOff(Forbidden):
    """Loads and unloads by clients are turned off."""

    def __init__(self) -> None:
        super().__init__("Models are not loaded or unloaded over the wire here; the setting model_control is false.")


class ChangeInHook(Forbidden):
    """A hook that is told of a model wants to load or unload one."""

    def __init__(self) -> None:
        super().__init__(
            "A hook that is told of a loaded or unloaded model was about to load or unload one, for which the other "
            "workers would wait. Do it in a thread of your own."
        )


class NoOverride(InvalidInput):
    """A client sends settings or files with a load."""

    def __init__(self, name: str) -> None:
        shown = quoted(name)[1:-1]
        super().__init__(f"parameters.{shown}: a model is loaded from the repository as it is; bring no {shown} along.")


def check_brings_nothing(parameters: Iterable[str]) -> None:
    """Raise NoOverride where the parameters of a load have settings or files."""
    for name in parameters:
        if name == "config" or name.startswith("file:"):
            raise NoOverride(name)


class IndexRow(msgspec.Struct, frozen=True):
    """One model in the repository's index; the reason says why a load failed."""

    name: str
    version: str
    state: ModelState
    reason: str


class Peers(Protocol):
    """The other workers of this server, which must serve the same models."""

    def changing(self, name: str, *, seconds: float | None = None) -> AbstractContextManager[Callable[[], object]]:
        """Keep every other worker from changing a model meanwhile; calling what this gives lets them before.

        Raises DeadlinePassed where another worker changes it for that many seconds, or `load_timeout`.
        """

    def write(self, name: str, versions: Sequence[str | None]) -> int:
        """Write which versions of a model every worker must serve. Return the number of the change.

        Raises OSError where that cannot be written.
        """

    def tell(self, order: Mapping[str, Any], generation: int) -> Sequence[str]:
        """Have the other workers follow an order.

        Returns a sentence for each that could not. Raises DeadlinePassed where they take too long.
        """


class StateNotWritten(Unavailable):
    """The disk cannot store which models the workers must serve, so nothing has changed."""

    def __init__(self, do: str, name: str, reason: str) -> None:
        super().__init__(
            f"Model '{name}' could not be {do}ed, and nothing has changed: the server cannot write which models its "
            f"workers are to serve ({reason})."
        )


class NoPeers:
    """No other workers."""

    def changing(self, name: str, *, seconds: float | None = None) -> AbstractContextManager[Callable[[], object]]:  # noqa: ARG002
        """Allow the change, because there is no other worker."""
        return nullcontext(lambda: None)

    def write(self, name: str, versions: Sequence[str | None]) -> int:  # noqa: ARG002  as in Peers
        """Write nothing."""
        return 0

    def tell(self, order: Mapping[str, Any], generation: int) -> Sequence[str]:  # noqa: ARG002  as in Peers
        """Tell nobody."""
        return ()


class ModelPlane:
    """Index, load and unload, over one worker or several. Safe to call from any thread; one change of a model at a time."""

    def __init__(
        self, registry: Registry, repository: Repository, loader: Loader, readiness: Readiness, *, control: bool
    ) -> None:
        self._registry = registry
        self._repository = repository
        self._loader = loader
        self._readiness = readiness
        self._control = control
        self.peers: Peers = NoPeers()

    def index(self, *, ready: bool = False) -> list[IndexRow]:
        """Return all models of the repository and of the registry, by name and version; with `ready`, those that serve."""
        rows = {
            (model.name, model.version): IndexRow(model.name, model.wire_version, model.state, model.reason)
            for model in self._registry.models()
        }
        found = self._repository.models()
        for settings in found.models:
            key = (settings.name, settings.version)
            rows.setdefault(key, IndexRow(key[0], told(key[1]), ModelState.UNAVAILABLE, "not loaded"))
        for failed in found.failures:
            key = (failed.name, failed.version)
            rows.setdefault(key, IndexRow(key[0], told(key[1]), ModelState.UNAVAILABLE, failed.reason))
        chosen = [row for row in rows.values() if not ready or row.state is ModelState.READY]
        return sorted(chosen, key=lambda row: (row.name, version_key(row.version)))

    def load(self, name: str) -> None:
        """Load a model's versions, or load them again from the files as they are now, all at once, in every worker.

        Versions that the repository holds no longer are unloaded. This worker goes first, and where it fails nothing has
        changed. Returns when the new ones serve everywhere, though requests may still run in the old ones. Raises
        Forbidden, UnknownModel, LoadFailed with the reason, StateNotWritten, LoadIncomplete where another worker could
        not follow, DeadlinePassed, or Unavailable before the first load has ended and while the worker ends.
        """
        self._check_control()
        if self._readiness.stopping:  # because nobody would unload it
            raise Draining
        order = {"do": "load", "name": name}
        with self.peers.changing(name) as release:
            generation = 0

            def write() -> None:
                nonlocal generation
                generation = self._write(order, [settings.version for settings in versions])

            versions = self._versions(name)
            going = self._loader.load_all(versions, before=write, overtaken=release)
            self._tell(order, generation)
        self._loader.wait_gone(going)

    def unload(self, name: str) -> None:
        """Stop serving a model in every worker. Raises what `load` raises, except LoadFailed.

        It waits for a load of the model, but not for one that hangs: what that loads will not serve.
        """
        self._check_control()
        order = {"do": "unload", "name": name}
        with ExitStack() as stack:
            try:
                stack.enter_context(self.peers.changing(name, seconds=UNLOAD_WAITS))
            except DeadlinePassed:
                order["now"] = "true"
            generation = 0

            def write() -> None:
                nonlocal generation
                generation = self._write(order, ())

            going = self._unload_here(order, write)
            self._tell(order, generation)
        self._loader.wait_gone(going)

    def follow(self, order: Mapping[str, Any], check: Callable[[], object]) -> None:
        """Repeat the change of another worker. Raises UnknownModel or LoadFailed where this worker cannot load the model.

        `check` is called right before anything changes; where it raises, nothing does.
        """
        name = order["name"]
        if order["do"] == "load":
            with following():
                self._loader.load_all(self._versions(name), before=check)
            return
        with suppress(UnknownModel):  # what never was here serves no more
            self._unload_here(order, check)

    def keep_only(self, wanted: Collection[ModelKey], unloaded: Collection[str]) -> None:
        """Unload all but the wanted models, and list in the index those that somebody has unloaded."""
        for model in self._registry.models():
            if model.state is ModelState.READY and (model.name, model.version) not in wanted:
                self._loader.unload(model)
        known = set(self._registry.names())
        for settings in self._repository.models().models if unloaded else ():
            if settings.name in unloaded and settings.name not in known:
                self._registry.put(_unloaded(settings))

    def _versions(self, name: str) -> list[ModelSettings]:
        """Return a model's versions as the repository holds them now. Raises UnknownModel, or LoadFailed for broken ones."""
        found = self._repository.models()
        failed = [failure for failure in found.failures if failure.name == name]
        if failed:
            self._tell_index(name, failed[0].reason)
            raise LoadFailed(f"Model '{name}' could not be loaded: {failed[0].reason}")
        versions = [settings for settings in found.models if settings.name == name]
        if not versions:
            self._tell_index(name, "it is not in the repository any more")
            raise UnknownModel(name, {settings.name for settings in found.models})
        return versions

    def _tell_index(self, name: str, reason: str) -> None:
        """Set the reason in the index for a model that serves and could not be loaded again."""
        for model in self._registry.kept(name).values():
            if model.state is ModelState.READY:
                model.reason = f"it serves, and loading it again failed: {reason}"

    def _unload_here(self, order: Mapping[str, Any], before: Callable[[], object]) -> list[ModelVersion]:
        going = self._loader.unload_all(order["name"], before=before, seconds=0.0 if "now" in order else UNLOAD_WAITS)
        self._readiness.want_no_longer(order["name"])
        return going

    def _write(self, order: Mapping[str, Any], versions: Sequence[str | None]) -> int:
        try:
            return self.peers.write(order["name"], versions)
        except OSError as error:
            reason = error.strerror or type(error).__name__
            log.error("Which models the workers are to serve cannot be written: %s.", reason)  # noqa: TRY400  it says all
            raise StateNotWritten(order["do"], order["name"], reason) from error

    def _tell(self, order: Mapping[str, Any], generation: int) -> None:
        failures = self.peers.tell(order, generation)
        if failures:
            log.error("Not every worker could follow: %s", " ".join(failures))
            raise LoadIncomplete(order["do"], order["name"], failures)

    def _check_control(self) -> None:
        if not self._control:
            raise ControlOff
        if self._loader.tells_here():  # where two workers do so, each waits for the other one
            raise ChangeInHook
        if not self._readiness.loaded:
            raise StillLoading


def _unloaded(settings: ModelSettings) -> ModelVersion:
    model = ModelVersion(settings)
    model.state, model.reason = ModelState.UNAVAILABLE, "unloaded"
    return model

"""The models that are kept: by name and version, read without a lock."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Generator, Iterable, Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING

from srv.counts import Stages
from srv.errors import UnknownModel, UnknownVersion
from srv.messages import InferenceRequest, InferenceResponse
from srv.modelsettings import ModelSettings
from srv.versions import highest

if TYPE_CHECKING:
    from srv.messages import ModelMetadata
    from srv.modelcode import ModelCode
    from srv.runtime import Runtime

#: Answers one request until a deadline on the monotonic clock, or for as long as it takes; the stages learn of the time.
Answer = Callable[[InferenceRequest, float | None, Stages], InferenceResponse]
#: Answers one request with several responses; the deadline is for the first of them.
Stream = Callable[[InferenceRequest, float | None, Stages], Generator[InferenceResponse, None, None]]


class ModelState(StrEnum):
    """Where a model stands, in the repository extension's words."""

    UNKNOWN = "UNKNOWN"
    READY = "READY"
    UNAVAILABLE = "UNAVAILABLE"
    LOADING = "LOADING"
    UNLOADING = "UNLOADING"


class Model:
    """A runtime's instance with settings. `state` and `reason` change; what serves is set once, before READY."""

    __slots__ = (
        "answer", "code", "metadata", "name", "reason", "runtime", "settings", "state", "stream", "version", "wait_idle",
        "waiting",
    )  # fmt: skip

    def __init__(self, settings: ModelSettings) -> None:
        self.settings = settings
        self.name = settings.name
        self.version = settings.version
        self.state = ModelState.UNKNOWN
        self.reason = ""
        self.runtime: Runtime | None = None
        self.code: ModelCode | None = None
        self.answer: Answer | None = None
        self.stream: Stream | None = None
        self.wait_idle: Callable[[], None] | None = None
        #: How many requests wait for it, where it has a queue.
        self.waiting: Callable[[], int] | None = None
        self.metadata: ModelMetadata | None = None

    @property
    def title(self) -> str:
        """How logs and sentences name it: `iris`, or `iris version 2`."""
        return self.name if self.version is None else f"{self.name} version {self.version}"


Versions = Mapping[str | None, Model]


class Registry:
    """Models by name and version. Writers take a lock and replace what readers see; readers never wait."""

    def __init__(self) -> None:
        self._models: Mapping[str, Versions] = MappingProxyType({})
        self._defaults: Mapping[str, Model] = MappingProxyType({})
        self._lock = threading.Lock()

    def put(self, model: Model) -> None:
        """Keep a model, in the place of one of the same name and version."""
        self.exchange(model.name, [model])

    def remove(self, model: Model) -> None:
        """Forget a model, if it is the one that is kept."""
        self.exchange(model.name, [], gone=[model])

    def exchange(self, name: str, models: Iterable[Model], *, gone: Collection[Model] = ()) -> None:
        """Keep some versions of a model and forget others, all in one step for whoever reads."""
        with self._lock:
            kept = self._models.get(name, {})
            versions = {version: other for version, other in kept.items() if other not in gone}
            versions |= {model.version: model for model in models}
            others = {other: its for other, its in self._models.items() if other != name}
            self._replace({**others, name: MappingProxyType(versions)} if versions else others)

    def settle(self) -> None:
        """Choose the default versions anew, after states have changed."""
        with self._lock:
            self._replace(self._models)

    def find(self, name: str, version: str | None = None) -> Model:
        """The model of that name, in that version or its default one. Raises UnknownModel or UnknownVersion."""
        if version is None:
            model = self._defaults.get(name)
            if model is None:
                raise UnknownModel(name, self._models)
            return model
        versions = self.versions(name)
        model = versions.get(version)
        if model is None:
            raise UnknownVersion(name, version, [known for known in versions if known is not None])
        return model

    def versions(self, name: str) -> Versions:
        """All versions of a model. Raises UnknownModel."""
        versions = self.kept(name)
        if not versions:
            raise UnknownModel(name, self._models)
        return versions

    def kept(self, name: str) -> Versions:
        """The same, or none where no model is called so."""
        return self._models.get(name, {})

    def names(self) -> list[str]:
        """The names of all models, sorted."""
        return sorted(self._models)

    def models(self) -> list[Model]:
        """All models, by name."""
        return [model for name in self.names() for model in self._models[name].values()]

    def _replace(self, models: Mapping[str, Versions]) -> None:
        self._defaults = MappingProxyType({name: _default(versions) for name, versions in models.items()})
        self._models = MappingProxyType(dict(models))


def _default(versions: Versions) -> Model:
    """The highest version that serves, or the highest of all; the unversioned one only where there is no other."""
    ready = {version: model for version, model in versions.items() if model.state is ModelState.READY}
    choice = ready or versions
    numbered = [version for version in choice if version is not None]
    return choice[highest(numbered)] if numbered else choice[None]

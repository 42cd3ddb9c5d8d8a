"""The registry: all models of a worker by name and version, read without a lock."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Generator, Iterable, Mapping, Sequence
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol

from srv.errors import UnknownModel, UnknownVersion
from srv.messages import InferenceRequest, InferenceResponse
from srv.metrics_types import MetricReporter, Stages
from srv.model_settings import ModelSettings
from srv.repository.version_order import UNVERSIONED, highest, told
from srv.wire.base64_tensors import Octets

if TYPE_CHECKING:
    from srv.codec import InputCodec, RequestCodec
    from srv.fetching.artifacts import LocalArtifact
    from srv.messages import ModelMetadata, ModelRoute
    from srv.models.code_folders import Codes
    from srv.models.own_thread import OwnThread
    from srv.routes import RouteRequest, RouteResponse
    from srv.runtime import Runtime

#: Answers one request until a deadline on the monotonic clock, or for as long as it takes; the stages learn of the time.
Answer = Callable[[InferenceRequest, float | None, Stages], InferenceResponse]
#: Answers one request with several responses; the deadline is for the first of them.
Stream = Callable[[InferenceRequest, float | None, Stages], Generator[InferenceResponse, None, None]]


class ServedRoute(Protocol):
    """A route of a runtime's own, as a face sees it."""

    @property
    def described(self) -> ModelRoute:
        """What the model's metadata says of it."""

    @property
    def at_root(self) -> bool:
        """Whether it stands at the root, and not below its model."""

    def match(self, path: str) -> Mapping[str, str] | None:
        """Return the values of the path's fields, or None where the route has another path."""

    def answer(self, request: RouteRequest, received: float, stages: Stages) -> RouteResponse:
        """Return the response, whose body is bytes, or for a stream an iterator of bytes that is to be closed."""


class ModelState(StrEnum):
    """State of a model, in the words of the repository extension."""

    UNKNOWN = "UNKNOWN"
    READY = "READY"
    UNAVAILABLE = "UNAVAILABLE"
    LOADING = "LOADING"
    UNLOADING = "UNLOADING"


class ModelVersion:
    """A runtime's instance with settings. `state` and `reason` change; what serves is set once, before READY."""

    __slots__ = (
        "answer", "artifact", "codecs", "codes", "is_down", "metadata", "metrics", "name", "octets", "reason", "routes", "runtime",
        "settings", "state", "stream", "thread", "version", "wait_idle", "waiting", "wire_version",
    )  # fmt: skip

    def __init__(self, settings: ModelSettings) -> None:
        self.settings = settings
        self.name = settings.name
        self.version = settings.version
        #: The version as clients know it: 1 for a model that has none.
        self.wire_version = told(settings.version)
        self.state = ModelState.UNKNOWN
        self.reason = ""
        self.runtime: Runtime | None = None
        self.codes: Codes | None = None
        #: The codecs of its own folder by content type; they stay for responses that are being written.
        self.codecs: Mapping[str, InputCodec | RequestCodec] = {}
        #: Its artifact, where that was fetched from elsewhere.
        self.artifact: LocalArtifact | None = None
        #: The thread of its own in which its runtime's methods run, if it has one.
        self.thread: OwnThread | None = None
        #: Takes what its runtime reports with `metric`.
        self.metrics: MetricReporter | None = None
        self.answer: Answer | None = None
        self.stream: Stream | None = None
        self.wait_idle: Callable[[float | None], bool] | None = None
        #: The routes of its runtime's own, in the order in which they are tried.
        self.routes: Sequence[ServedRoute] = ()
        #: How many requests wait for it, where it has a queue.
        self.waiting: Callable[[], int] | None = None
        self.metadata: ModelMetadata | None = None
        #: Tells which of its tensors are base64 in JSON.
        self.octets: Octets | None = None
        #: Whether it is loaded and UNAVAILABLE for now, because the process that it runs in has ended.
        self.is_down = False

    @property
    def is_loaded(self) -> bool:
        """Whether it serves, or will again without being loaded by anybody."""
        return self.state is ModelState.READY or self.is_down

    def drop(self) -> None:
        """Drop all references to the runtime. The description of tensors stays, for responses that are being written."""
        self.runtime = None
        self.answer = self.stream = self.wait_idle = self.waiting = None
        self.routes = ()

    @property
    def title(self) -> str:
        """Return the name for logs and sentences: `iris`, or `iris version 2`."""
        return self.name if self.version is None else f"{self.name} version {self.version}"


Versions = Mapping[str | None, ModelVersion]


class Registry:
    """Models by name and version. Writers take a lock and replace what readers see; readers never wait."""

    def __init__(self) -> None:
        self._models: Mapping[str, Versions] = MappingProxyType({})
        self._defaults: Mapping[str, ModelVersion] = MappingProxyType({})
        self._lock = threading.Lock()

    def put(self, model: ModelVersion) -> None:
        """Add a model, or replace the one of the same name and version."""
        self.exchange(model.name, [model])

    def remove(self, model: ModelVersion) -> None:
        """Remove a model, unless another one has replaced it."""
        self.exchange(model.name, [], gone=[model])

    def exchange(self, name: str, models: Iterable[ModelVersion], *, gone: Collection[ModelVersion] = ()) -> None:
        """Add or replace some versions of a model and remove others, in one step for readers."""
        with self._lock:
            kept = self._models.get(name, {})
            versions = {version: other for version, other in kept.items() if other not in gone}
            versions |= {model.version: model for model in models}
            others = {other: its for other, its in self._models.items() if other != name}
            self._replace({**others, name: MappingProxyType(versions)} if versions else others)

    def settle(self) -> None:
        """Choose the default versions again, after states have changed."""
        with self._lock:
            self._replace(self._models)

    def find(self, name: str, version: str | None = None) -> ModelVersion:
        """Return the model of that name in that version, or in the default one; a model without a version is version 1.

        Raises UnknownModel or UnknownVersion.
        """
        if version is None:
            model = self._defaults.get(name)
            if model is None:
                raise UnknownModel(name, self._models)
            return model
        versions = self.versions(name)
        model = versions.get(version)
        if model is None and version == UNVERSIONED:
            model = versions.get(None)
        if model is None:
            raise UnknownVersion(name, version, [model.wire_version for model in versions.values()])
        return model

    def versions(self, name: str) -> Versions:
        """Return all versions of a model. Raises UnknownModel."""
        versions = self.kept(name)
        if not versions:
            raise UnknownModel(name, self._models)
        return versions

    def kept(self, name: str) -> Versions:
        """Return all versions of a model, or an empty mapping."""
        return self._models.get(name, {})

    def names(self) -> list[str]:
        """Return the names of all models, sorted."""
        return sorted(self._models)

    def models(self) -> list[ModelVersion]:
        """Return all models, sorted by name."""
        return [model for name in self.names() for model in self._models[name].values()]

    def _replace(self, models: Mapping[str, Versions]) -> None:
        self._defaults = MappingProxyType({name: _default(versions) for name, versions in models.items()})
        self._models = MappingProxyType(dict(models))


def _default(versions: Versions) -> ModelVersion:
    """Return the highest version that serves, or the highest of all; the unversioned model only where there is no other."""
    ready = {version: model for version, model in versions.items() if model.state is ModelState.READY}
    choice = ready or versions
    numbered = [version for version in choice if version is not None]
    return choice[highest(numbered)] if numbered else choice[None]

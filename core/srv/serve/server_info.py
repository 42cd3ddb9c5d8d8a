"""The server of plugins and runtimes: its settings, its models, what was counted, the state of plugins and workers."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from pathlib import Path
from threading import get_ident
from typing import Any, Protocol

from srv.cancellation import Caller
from srv.discovery import Plugins
from srv.discovery.plugin import Plugin
from srv.errors import Forbidden
from srv.messages import InferenceRequest, InferenceResponse, ModelMetadata
from srv.metrics_types import Kind, Queue, RouteKind, Series, Sums, Usage
from srv.models.registry import ModelState, ModelVersion
from srv.planes.asking import Asking, check_may_wait
from srv.planes.asking_threads import AskingThreads
from srv.planes.dataplane import DataPlane
from srv.planes.inner_requests import InnerStream, Question
from srv.planes.limits import Limit
from srv.planes.model_metrics import ModelMetrics
from srv.planes.modelplane import ModelPlane
from srv.planes.readiness import StillLoading
from srv.serve.certificate_dates import end_of
from srv.serve.control_socket import ask
from srv.serve.run_directory import RunDirectory
from srv.serve.tls import CertificatePair
from srv.serve.worker_health import Face
from srv.settings import ServerSettings

#: Seconds that another worker has to say how long its queues are.
_PATIENCE = 0.5
#: The faces that are no plugins.
FACES = ("rest", "grpc")
#: The face of what a plugin's middleware asks by way of `req.context.server`, which does not say whose it is.
UNNAMED = "middleware"


class LoadsWhileLoading(Forbidden):
    """A model wants to load or unload models while it is loaded itself."""

    def __init__(self, model: str, method: str) -> None:
        super().__init__(
            f"Model '{model}' called server.{method} while it was loaded itself; it may do so once it serves."
        )


class CertificateOwner(Protocol):
    """Has the certificate that a worker serves with, if it has one."""

    @property
    def pair(self) -> CertificatePair | None:
        """The certificate and its key."""


class MeasuredWorker(Protocol):
    """A worker, as metrics need it."""

    #: Count the streams and the bytes in flight of both faces.
    streams: Limit
    in_flight: Limit

    def connections(self) -> int:
        """Return how many HTTP connections there are."""

    @property
    def app(self) -> CertificateOwner:
        """What has the certificate."""


class WorkerParts:
    """The parts of a worker that every ServerInfo of it asks; those that stand only after the plugins are put in later."""

    def __init__(
        self, settings: ServerSettings, plugins: Plugins, directory: RunDirectory | None, model_metrics: ModelMetrics
    ) -> None:
        self.settings = settings
        self.plugins = plugins
        self.directory = directory
        self.model_metrics = model_metrics
        self.asking_threads = AskingThreads(settings.threads, settings.max_queue)
        #: Functions that return how many requests wait for a thread, by face; the worker puts them in.
        self.faces: dict[str, Callable[[], int]] = {}
        #: The worker, which puts itself in.
        self.worker: MeasuredWorker | None = None
        #: Returns the threads of the faces; the worker puts it in.
        self.threads: Callable[[], Mapping[str, Face]] = dict
        #: Returns the processes of models that have their own; who starts those puts it in.
        self.model_processes: Callable[[], Sequence[int]] = list
        self._dataplane: DataPlane | None = None
        self._modelplane: ModelPlane | None = None

    def connect(self, dataplane: DataPlane, modelplane: ModelPlane) -> None:
        """Let models be asked from now on."""
        self._dataplane = dataplane
        self._modelplane = modelplane

    @property
    def dataplane(self) -> DataPlane:
        """The data plane. Raises StillLoading before there is one."""
        if self._dataplane is None:
            raise StillLoading
        return self._dataplane

    @property
    def modelplane(self) -> ModelPlane:
        """The model plane. Raises StillLoading before there is one."""
        if self._modelplane is None:
            raise StillLoading
        return self._modelplane

    def is_ready(self) -> bool:
        """Return whether the worker is ready for requests."""
        return self._dataplane is not None and self._dataplane.readiness.problem() is None

    def caller_here(self) -> Caller | None:
        """Return the caller of the request that this thread runs for a face; None in any other thread."""
        thread = get_ident()
        for face in self.threads().values():
            caller = face.busy.running.get(thread)
            if caller is not None:
                return caller
        return None


class ServerInfo:
    """A worker's server as one plugin or model has it: what it asks is counted under the name of its face."""

    def __init__(self, parts: WorkerParts, *, face: str, model: ModelVersion | None = None) -> None:
        self._parts = parts
        self._face = face
        self._model = model
        self._asks: Asking | None = None

    def of_plugin(self, name: str) -> ServerInfo:
        """Return the server as a plugin of that name has it."""
        return ServerInfo(self._parts, face=f"plugin:{name}" if name in FACES else name)

    def of_model(self, model: ModelVersion) -> ServerInfo:
        """Return the server as a model's runtime has it."""
        return ServerInfo(self._parts, face=f"model:{model.name}", model=model)

    # -- settings ------------------------------------------------------------------------------------------------------

    @property
    def server_name(self) -> str:
        """Return the server's name."""
        return self._parts.settings.server_name

    @property
    def folder(self) -> Path:
        """Return the folder that the server serves."""
        return self._parts.settings.folder

    @property
    def workers(self) -> int:
        """Return how many workers there are."""
        return self._parts.settings.workers

    @property
    def metrics_endpoint(self) -> str | None:
        """Return the path of the metrics, if they are on."""
        return self._parts.settings.metrics_endpoint

    @property
    def model_control(self) -> bool:
        """Return whether clients may load and unload models."""
        return self._parts.settings.model_control

    # -- models --------------------------------------------------------------------------------------------------------

    def models(self) -> Sequence[str]:
        """Return the names of all models, sorted."""
        return self._parts.dataplane.model_names()

    def metadata(self, name: str, version: str | None = None) -> ModelMetadata:
        """Return the metadata of a model."""
        return self._parts.dataplane.metadata(name, version)

    def ready(self, name: str | None = None, version: str | None = None) -> bool:
        """Return whether a model is ready, or the worker."""
        if name is None:
            return self._parts.is_ready()
        return self._parts.dataplane.model(name, version).state is ModelState.READY

    def infer(
        self,
        name: str,
        request: InferenceRequest,
        *,
        version: str | None = None,
        deadline: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> InferenceResponse:
        """Ask a model, and wait for its response."""
        return self._asking().infer(Question(name, request, version, deadline, headers))

    def stream(
        self,
        name: str,
        request: InferenceRequest,
        *,
        version: str | None = None,
        deadline: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> InnerStream:
        """Ask a model that answers with a stream, and wait for the first response."""
        return self._asking().stream(Question(name, request, version, deadline, headers))

    async def ainfer(
        self,
        name: str,
        request: InferenceRequest,
        *,
        version: str | None = None,
        deadline: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> InferenceResponse:
        """Ask a model on an event loop."""
        return await self._asking().ainfer(Question(name, request, version, deadline, headers))

    def astream(
        self,
        name: str,
        request: InferenceRequest,
        *,
        version: str | None = None,
        deadline: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> AsyncGenerator[InferenceResponse, None]:
        """Ask a model for a stream on an event loop."""
        return self._asking().astream(Question(name, request, version, deadline, headers))

    def load(self, name: str) -> None:
        """Load a model in every worker."""
        self._check_change("load")
        self._parts.modelplane.load(name)

    def unload(self, name: str) -> None:
        """Stop serving a model in every worker."""
        self._check_change("unload")
        self._parts.modelplane.unload(name)

    def _asking(self) -> Asking:
        if self._asks is None:
            parts = self._parts
            self._asks = Asking(
                parts.dataplane,
                parts.asking_threads,
                face=self._face,
                asker=self._model.title if self._model is not None else None,
                caller_here=parts.caller_here,
                request_timeout=parts.settings.request_timeout,
            )
        return self._asks

    def _check_change(self, method: str) -> None:
        check_may_wait(method)
        if self._model is not None and self._model.state is ModelState.UNKNOWN:
            raise LoadsWhileLoading(self._model.title, method)

    # -- what was counted ----------------------------------------------------------------------------------------------

    def statistics(self) -> Mapping[Kind, Sums]:
        """Return what all workers have counted since the server's start."""
        return self._parts.dataplane.sums()

    def batches(self) -> Mapping[tuple[str, str | None], Mapping[int, Sums]]:
        """Return how often models that batch have run, by name and version and there by rows."""
        return self._parts.dataplane.batches()

    def model_metrics(self) -> Sequence[Series]:
        """Return what the models of all workers have reported since the server's start."""
        return self._parts.model_metrics.series([*self.processes(), *self._parts.model_processes()])

    def metric_registries(self) -> Sequence[Any]:
        """Return the attribute `registry` of each model in this worker whose `registry` has a method `collect`."""
        models = self._parts.dataplane.registry.models()
        registries = [_registry_of(model.runtime) for model in models if model.state is ModelState.READY]
        return [registry for registry in registries if callable(getattr(registry, "collect", None))]

    def forked(self) -> None:
        """Write nothing more that belongs to all workers: this process is a model's child."""
        self._parts.model_metrics.forked()

    def routes(self) -> Mapping[RouteKind, Sums]:
        """Return the requests to routes of runtimes' own, counted by all workers since the server's start."""
        return self._parts.dataplane.routes()

    def queues(self) -> Sequence[Queue]:
        """Return how many requests wait in each worker; a worker that does not answer soon is left out."""
        others = (Queue(*row) for answer in self._others() for row in answer["queues"])
        return [*self.own_queues(), *others]

    def usages(self) -> Sequence[Usage]:
        """Return what each worker holds; a worker that does not answer soon is left out."""
        return [*self.own_usage(), *(Usage(*row) for answer in self._others() for row in answer["usage"])]

    def _others(self) -> Iterator[Mapping[str, Any]]:
        """Ask the other workers what waits in them and what they hold."""
        others = self._parts.directory.registered() if self._parts.directory is not None else {}
        for pid, address in others.items():
            if pid == os.getpid():
                continue
            try:
                answer = ask(address, {"ask": "figures"}, timeout=_PATIENCE)
            except (OSError, ValueError):
                continue
            yield answer

    def own_figures(self) -> dict[str, Any]:
        """Return what waits in this worker and what it holds, for another worker."""
        return {"queues": [*self.own_queues()], "usage": self.own_usage()}

    def own_usage(self) -> list[Usage]:
        """Return what this worker holds; nothing where it has no faces."""
        worker = self._parts.worker
        if worker is None:
            return []
        return [Usage(os.getpid(), worker.connections(), worker.streams.count, worker.in_flight.count)]

    def own_queues(self) -> Iterator[Queue]:
        """Give how many requests wait in this worker."""
        pid = os.getpid()
        for face, waiting in self._parts.faces.items():
            yield Queue(pid, face, "", None, waiting())
        for model in self._parts.dataplane.registry.models():
            if model.waiting is not None and model.state is ModelState.READY:
                yield Queue(pid, "", model.name, model.wire_version, model.waiting())

    def deaths(self) -> int:
        """Return how many workers have died since the server's start."""
        return 0 if self._parts.directory is None else self._parts.directory.deaths()

    def certificate_ends(self) -> float | None:
        """Return when this worker's certificate ends."""
        pair = self._parts.worker.app.pair if self._parts.worker is not None else None
        return None if pair is None else end_of(pair.certificate)

    def states(self) -> Mapping[str, int]:
        """Return how many versions of models are in each state, in this worker."""
        counted = Counter(model.state for model in self._parts.dataplane.registry.models())
        return {state.value: counted[state] for state in ModelState}

    def plugins(self) -> Sequence[Plugin]:
        """Return every plugin that was found, in this worker."""
        return self._parts.plugins.rows

    def processes(self) -> Sequence[int]:
        """Return the workers' process ids; this worker's alone where there is no run directory."""
        return [os.getpid()] if self._parts.directory is None else self._parts.directory.pids()


def _registry_of(runtime: object) -> Any:
    try:
        return getattr(runtime, "registry", None)
    except Exception:  # noqa: BLE001  a runtime may have a property of that name for something else
        return None

"""A server without sockets: everything from hooks to the HTTP app, put together after the fork."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from srv.codecs import Codecs
from srv.cores import share_of
from srv.discovery import PluginError, Plugins
from srv.discovery.plugin import CODE
from srv.errors import LoadFailed, listed
from srv.fetching.artifacts import Artifacts
from srv.hooks import Hooks
from srv.inference.event_loop import EventLoop
from srv.inference.pipeline import prepare
from srv.model_settings import ModelKey, ModelParameters, ModelSettings
from srv.models.folder_codecs import FolderCodecs
from srv.models.loader import Loader
from srv.models.main_thread import MainThread
from srv.models.module_names import Links
from srv.models.registry import ModelState, ModelVersion, Registry
from srv.planes.dataplane import DataPlane
from srv.planes.limits import Limit
from srv.planes.model_metrics import ModelMetrics
from srv.planes.modelplane import ModelPlane
from srv.planes.statistics import Ledger
from srv.processes.distant_models import DistantModels
from srv.processes.leases import Leases, Reach
from srv.repository import FailedModel, Repository
from srv.rest.app import App, create_app
from srv.rest.warm_up import warm_up
from srv.runtime import Runtime
from srv.serve.model_sync import Follower, OtherWorkers
from srv.serve.prometheus_folder import share_metrics
from srv.serve.run_directory import RunDirectory
from srv.serve.server_info import UNNAMED, ServerInfo, WorkerParts
from srv.serve.supervisor_process import OwnSupervisor
from srv.serve.worker_health import Face, WorkerHealth
from srv.serve.worker_status import StatusPipe
from srv.settings import ServerSettings

if TYPE_CHECKING:
    from srv.grpc.server import Certificate, GrpcServer
    from srv.serve.reloading.reloader import Reloader

log = logging.getLogger(__name__)

#: Threads beside those whose requests wait in a full batch.
BESIDE_A_BATCH = 4


class Gone(LoadFailed):
    """A model that is wanted is not in the repository any more."""

    def __init__(self, name: str) -> None:
        super().__init__(f"Model '{name}' could not be loaded: it is not in the repository any more.")


class Assembled:
    """One worker's server. `app` answers from the start; models are there after `load_models`."""

    def __init__(
        self,
        settings: ServerSettings,
        plugins: Plugins,
        directory: RunDirectory | None = None,
        reach: Reach | None = None,
    ) -> None:
        self.settings = settings
        self.plugins = plugins
        if directory is not None and settings.metrics_endpoint is not None:
            share_metrics(directory.prometheus)  # first, because a plugin may import prometheus_client
        self.model_metrics = (
            ModelMetrics(directory.model_metrics, str(os.getpid())) if directory is not None else ModelMetrics()
        )
        self.parts = WorkerParts(settings, plugins, directory, self.model_metrics)
        self.running = ServerInfo(self.parts, face=UNNAMED)
        self.hooks = Hooks.start(
            plugins,
            sections=settings.sections,
            server=self.running,
            strict=settings.plugins.strict,
            trace=settings.trace_plugins,
        )
        plugins.check_required()
        self.codecs = Codecs(plugins)
        self.repository = Repository.of(settings, plugins)
        self.registry = Registry()
        #: Runs the async methods of all models.
        self.event_loop = EventLoop()
        #: The calls that must run in the main thread; the code of the main thread calls its `work`.
        self.main_thread = MainThread()
        self.grow: Callable[[int], object] = lambda threads: None  # noqa: ARG005  nobody has faces yet
        artifacts = Artifacts(
            self.hooks.storage,
            folder=settings.cache_dir,
            limit=settings.cache_limit,
            seconds=settings.load_timeout,
            code_files=plugins.marked_files(CODE),
        )
        #: What this worker has of the supervisor's model processes.
        self._own_supervisor = (
            OwnSupervisor(level=settings.log_level, form=settings.log_format) if directory is None else None
        )
        if self._own_supervisor is not None:
            reach = self._own_supervisor.reach
        self.leases = Leases(reach, stuck_timeout=settings.stuck_timeout)
        self.parts.model_processes = self.leases.pids
        self._distant = DistantModels(
            self.leases,
            settings,
            self.event_loop,
            placement=self.hooks.placement,
            model_metrics=None if directory is None else directory.model_metrics,
            prometheus=None if directory is None else directory.prometheus,
            links=None if directory is None else directory.model_links,
        )
        self.loader = Loader(
            self.registry,
            plugins,
            prepare=self._prepare,
            warm_up=warm_up,
            run_async=self.event_loop.run,
            events=self.hooks,
            main_thread=self.main_thread,
            load_timeout=settings.load_timeout,
            cores=share_of(settings.workers),
            metrics=self.model_metrics.reporter,
            server_of=self.running.of_model,
            fetch=artifacts.fetch,
            runtime_for=self.repository.runtime_for,
            adopt=self.hooks.adopt,
            start_process=self._start_process,
            links=Links(directory.model_links / str(os.getpid()) if directory is not None else None),
        )
        self.dataplane = DataPlane(
            self.registry,
            server_name=settings.server_name,
            request_timeout=settings.request_timeout,
            before=self.hooks.before_infer,
            after=self.hooks.after_infer,
            extensions=("binary_tensor_data", "generate", "model_configuration", "model_repository", "statistics"),
            ledger=Ledger(directory.statistics, str(os.getpid())) if directory is not None else None,
        )
        self.modelplane = ModelPlane(
            self.registry, self.repository, self.loader, self.dataplane.readiness, control=settings.model_control
        )
        self.parts.connect(self.dataplane, self.modelplane)
        self.app: App = create_app(
            self.dataplane,
            self.modelplane,
            settings,
            middleware=self.hooks.http_middleware(),
            server=self.running,
            owner_of=self.hooks.owner_of,
            complete_openapi=partial(self.hooks.openapi, server=self.running),
        )
        self._add_routes()
        self.hooks.worker_started(self.running)
        try:
            plugins.check_required()
        except PluginError:
            self.close()
            raise

    def _add_routes(self) -> None:
        """Put the plugins' routes beside srv's own; one that cannot stand there is quarantined."""
        for path, resource in self.hooks.http_routes():
            try:
                plugin = self.hooks.owner_of(resource)
                self.app.add_route_of_plugin(path, resource, plugin=plugin, server=self.running.of_plugin(plugin))
            except Exception as error:  # noqa: BLE001 - Falcon raises this and that for a template or a responder
                self.hooks.route_failed(path, error)
        if self.settings.plugins.strict:
            self.plugins.check_strict()

    def wanted(self, *, loaded: Collection[str] = (), unloaded: Collection[str] = ()) -> Sequence[ModelKey]:
        """The models that the repository holds now, those with broken settings included.

        Without those that somebody has unloaded, and where none is loaded at the start, those that somebody has loaded.
        """
        if not (self.settings.load_models_at_startup or loaded):
            return ()
        found = self.repository.models()
        log.info(found.explanation)
        for note in found.notes:
            log.warning(note)
        held = [
            *((model.name, model.version) for model in found.models),
            *((failure.name, failure.version) for failure in found.failures),
        ]
        if not self.settings.load_models_at_startup:
            return [each for each in held if each[0] in loaded]
        return [each for each in held if each[0] not in unloaded]

    def load_models(
        self,
        report: Callable[[str], None],
        wanted: Sequence[ModelKey],
        *,
        before_ready: Callable[[], None] = lambda: None,
    ) -> None:
        """Load these models, those together whose runtimes allow it and then one after the other, telling what is done.

        `before_ready` is called when all are loaded, before readiness says so.

        With on_load_error "exit", LoadFailed is raised for the first that cannot be loaded; called again, it goes on
        with those that do not serve yet. With "continue" the others are loaded, and the server stays unready.
        """
        found = self.repository.models()
        settings = {(each.name, each.version): each for each in found.models}
        broken = {(each.name, each.version): each for each in found.failures}
        self.dataplane.readiness.wanted = {name for name, _ in wanted}
        tried = self._load_together(
            {each: settings[each] for each in wanted if each in settings and not self._serves(each)}, report
        )
        for each in wanted:
            if each in tried:
                continue
            if each in broken:
                self._refuse(broken[each])
            elif each not in settings:
                self._give_up(Gone(each[0]))
            elif not self._serves(each):
                report(f"loading model {each[0]}" + (f" version {each[1]}" if each[1] else ""))
                try:
                    self.loader.load(settings[each])
                except LoadFailed as error:
                    self._give_up(error)
        before_ready()
        self.dataplane.readiness.loaded = True
        for counted in (self.dataplane, self.model_metrics):
            counted.fold_dead()  # now, because this worker may have replaced one that died

    def _load_together(
        self, wanted: Mapping[ModelKey, ModelSettings], report: Callable[[str], None]
    ) -> Collection[ModelKey]:
        """Load those whose runtimes allow it beside each other; which ones."""
        several = {each: model for each, model in wanted.items() if self.loader.loads_beside_others(model)}
        if len(several) < 2:
            return ()
        report(f"loading {len(several)} models together: {listed(model.name for model in several.values())}")
        failures = self.loader.load_together([*several.values()])
        for error in failures:
            self._give_up(error)
        return several.keys()

    def serving(self) -> str:
        """The models that are served, in one line."""
        return ", ".join(model.title for model in self.registry.models() if model.state is ModelState.READY)

    def among(self, directory: RunDirectory, pid: int) -> Follower:
        """Share what is loaded and unloaded with the other workers from now on."""
        follower = Follower(self.modelplane, self.dataplane.readiness)
        self.modelplane.peers = OtherWorkers(
            directory, pid, load_timeout=self.settings.load_timeout, done=follower.done
        )
        return follower

    def serve_grpc(
        self,
        address: str,
        answered: Callable[[], None],
        streams: Limit | None = None,
        in_flight: Limit | None = None,
        certificate: Certificate | None = None,
    ) -> GrpcServer:
        """Serve gRPC on that address from now on. Raises CannotServe.

        `answered` is told of each call; `streams` and `in_flight` count the other face's too. `certificate` stands in
        place of the files that the settings name.
        """
        from srv.grpc.server import GrpcServer  # here, because whoever serves no gRPC need not import it

        server = GrpcServer(
            self.dataplane,
            self.modelplane,
            self.settings,
            interceptors=self.hooks.grpc_interceptors(),
            owner_of=self.hooks.owner_of,
            streams=streams,
            in_flight=in_flight,
            answered=answered,
            certificate=certificate,
        )
        server.start(address)
        return server

    def health(
        self,
        faces: Callable[[], Mapping[str, Face]],
        leader_looked: Callable[[], float | None],
        status: StatusPipe,
    ) -> WorkerHealth:
        """Look after the threads of these faces from now on."""
        return WorkerHealth(
            self.settings,
            faces=faces,
            leader_looked=leader_looked,
            loop_silence=self.event_loop.silence,
            readiness=self.dataplane.readiness,
            status=status,
        )

    def reloader(self, renew: Callable[[], None], tell: Callable[[Sequence[ModelKey]], None]) -> Reloader:
        """What takes in edits from now on, once it is started; `renew` asks for new workers, `tell` hears what serves."""
        from srv.serve.reloading.reloader import Reloader  # here, because a server that nobody develops has none

        return Reloader(self, renew=renew, tell=tell)

    def drain(self) -> None:
        """Not ready from now on; what comes is still answered."""
        self.dataplane.readiness.draining = True
        self.leases.leaving = True

    def close(self, seconds: float = 60.0) -> None:
        """Unload the models, waiting that many seconds at most, and stop what runs beside them."""
        self.dataplane.readiness.stopping = True
        self.leases.leaving = True
        self.loader.close(seconds)
        self.leases.close()
        if self._own_supervisor is not None:
            self._own_supervisor.stop(seconds)
        self.hooks.worker_stopping()
        self.parts.asking_threads.close()
        self.event_loop.close()

    def _prepare(self, model: ModelVersion, runtime: Runtime) -> None:
        codecs = FolderCodecs(model.codecs, self.codecs) if model.codecs else self.codecs
        prepare(model, runtime, codecs=codecs, loop=self.event_loop, settings=self.settings)
        self._check_prepared(model)

    def _start_process(self, model: ModelVersion, settings: ModelSettings) -> None:
        self._distant.start(model, settings, self.loader, self._check_prepared)

    def _check_prepared(self, model: ModelVersion) -> None:
        """Raise OwnPath for routes that cannot stand, and see to it that there are threads enough to fill a batch."""
        if model.routes:
            self.app.check_model_routes(model)
        if model.settings.max_batch_size > 1:
            threads = model.settings.max_batch_size + BESIDE_A_BATCH
            self.grow(threads)
            self.parts.asking_threads.grow(threads)

    def _refuse(self, failed: FailedModel) -> None:
        log.error("Model '%s' cannot be served: %s", failed.name, failed.error, extra={"load_failed": failed.name})
        settings = ModelSettings(name=failed.name, parameters=ModelParameters(version=failed.version))
        self.loader.refuse(settings, failed.reason)
        self._give_up(LoadFailed(str(failed.error)))

    def _give_up(self, error: LoadFailed) -> None:
        if self.settings.on_load_error == "exit":
            raise error

    def _serves(self, wanted: ModelKey) -> bool:
        return any(
            (model.name, model.version) == wanted and model.state is ModelState.READY
            for model in self.registry.models()
        )


def assemble(
    settings: ServerSettings,
    plugins: Plugins,
    directory: RunDirectory | None = None,
    reach: Reach | None = None,
) -> Assembled:
    """Make a server of these settings and plugins. Opens no socket, starts no thread, loads no model.

    In the run directory several workers count together; without one the server counts by itself, and has a supervisor of
    model processes for itself. Else `reach` leads to the one of all workers.
    """
    return Assembled(settings, plugins, directory, reach)

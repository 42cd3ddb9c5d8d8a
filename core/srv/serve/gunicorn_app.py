"""The application that gunicorn runs: its configuration, made of srv's settings alone, and the app of each worker."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from gunicorn.app.base import BaseApplication

from srv.logs import GunicornLog
from srv.model_settings import ModelKey
from srv.planes.limits import Limit
from srv.serve.listening import PortReservation
from srv.serve.run_directory import RunDirectory
from srv.serve.start_gate import StartGate
from srv.serve.supervisor_process import SupervisorProcess
from srv.serve.tls import CertificatePair
from srv.serve.worker_status import StatusPipe
from srv.settings import ServerSettings

if TYPE_CHECKING:
    from ssl import SSLContext

    from srv.discovery import Plugins
    from srv.grpc.server import Certificate, GrpcServer
    from srv.inference.event_loop import EventLoop
    from srv.models.main_thread import MainThread
    from srv.planes.modelplane import ModelPlane
    from srv.processes.leases import Leases
    from srv.serve.gunicorn_internals import Worker
    from srv.serve.model_sync import Follower
    from srv.serve.reloading.reloader import Reloader
    from srv.serve.server_info import ServerInfo, WorkerParts
    from srv.serve.worker_health import Face, WorkerHealth


class WorkerServer(Protocol):
    """A server without sockets, as a worker needs it."""

    #: Told how many threads each face must have at least; who has the faces puts it in.
    grow: Callable[[int], object]

    @property
    def app(self) -> Callable[..., Any]:
        """The WSGI app, which answers from the start."""

    @property
    def event_loop(self) -> EventLoop:
        """Runs the async methods of all models."""

    @property
    def running(self) -> ServerInfo:
        """What plugins can ask about the running server."""

    @property
    def parts(self) -> WorkerParts:
        """What that asks; the worker puts its faces in."""

    @property
    def main_thread(self) -> MainThread:
        """The loads and unloads that must run in the main thread."""

    @property
    def modelplane(self) -> ModelPlane:
        """Loads and unloads models."""

    @property
    def leases(self) -> Leases:
        """Connects with the processes of models that have their own."""

    def wanted(self, *, loaded: Collection[str] = (), unloaded: Collection[str] = ()) -> Sequence[ModelKey]:
        """Return which models of the repository are to be served, given what somebody has loaded or unloaded."""

    def among(self, directory: RunDirectory, pid: int) -> Follower:
        """Share what is loaded and unloaded with the other workers from now on."""

    def load_models(
        self, report: Callable[[str], None], wanted: Sequence[ModelKey], *, before_ready: Callable[[], None]
    ) -> None:
        """Load these models, and report each step. May be called again after it has raised."""

    def serving(self) -> str:
        """Return the models that are served, in one line for people."""

    def drain(self) -> None:
        """Be unready from now on; requests are still answered."""

    def serve_grpc(
        self,
        address: str,
        answered: Callable[[], None],
        streams: Limit,
        in_flight: Limit,
        certificate: Certificate | None,
    ) -> GrpcServer:
        """Serve gRPC on an address from now on. `answered` is called for each call; a certificate comes with its key."""

    def health(
        self, faces: Callable[[], Mapping[str, Face]], leader_looked: Callable[[], float | None], status: StatusPipe
    ) -> WorkerHealth:
        """Look after the threads of these faces from now on."""

    def reloader(self, renew: Callable[[], None], tell: Callable[[Sequence[ModelKey]], None]) -> Reloader:
        """Return the reloader, not started. It calls `renew` for new workers, and `tell` with the models that serve."""

    def close(self, seconds: float = 60.0) -> None:
        """Unload the models, waiting that many seconds at most, and stop what runs beside them."""


#: A function that makes a server without sockets; called in each worker, after the fork.
Assemble = Callable[[ServerSettings, "Plugins"], WorkerServer]


class GunicornApp(BaseApplication):  # type: ignore[misc]  # gunicorn has no types
    """The settings of one server, and what its processes share. After the fork it has the server of its worker."""

    def __init__(
        self,
        settings: ServerSettings,
        plugins: Plugins,
        *,
        worker_class: type[Worker],
        assemble: Assemble,
        status: StatusPipe,
        directory: RunDirectory,
        grpc_port: PortReservation | None = None,
        pair: CertificatePair | None = None,
        reload: bool = False,
        supervisor: SupervisorProcess | None = None,
    ) -> None:
        self.settings = settings
        self.plugins = plugins
        self.status = status
        self.directory = directory
        #: Closed while the worker that takes the clients is not loaded yet.
        self.gate = StartGate()
        self.grpc_port = grpc_port
        #: Supervises the processes of models that have their own, where there are such.
        self.supervisor = supervisor or SupervisorProcess(level=settings.log_level, form=settings.log_format)
        #: The last certificate that was read and can serve, which every worker forked from now on gets.
        self.pair = pair
        #: Whether edits are taken in while it serves, by `--reload`.
        self.takes_edits = reload
        self.assembled: WorkerServer | None = None
        self._worker_class = worker_class
        self._assemble = assemble
        self._further: Mapping[str, Any] = {}
        super().__init__()

    def configure(self, settings: Mapping[str, Any]) -> None:
        """Set what a master needs that is not srv's, from now on and at each reload of it."""
        self._further = settings
        self.do_load_config()

    def load_config(self) -> None:
        """Set gunicorn's configuration; no file, command line or environment of gunicorn's is read."""
        settings = self.settings
        configuration = {
            "bind": "127.0.0.1:0",  # never bound: the launcher has done that
            "worker_class": self._worker_class,
            "workers": settings.workers,
            "threads": settings.threads,
            "worker_connections": settings.max_connections,
            "backlog": settings.backlog,
            "max_requests": settings.max_requests,
            "max_requests_jitter": settings.max_requests // 10,
            "limit_request_line": min(8190, settings.max_header_size),
            "limit_request_field_size": settings.max_header_size,
            "logger_class": GunicornLog,
            "pre_fork": _prepare,
            "post_worker_init": _begin,
            "proc_name": "srv",
            "worker_tmp_dir": str(self.directory.heartbeats),
            "preload_app": False,
            "control_socket_disable": True,
            "forwarded_allow_ips": "127.0.0.1,::1",
        }
        if settings.tls is not None:
            configuration |= {
                "certfile": str(settings.tls.certfile),  # not read: it says that there is TLS
                "keyfile": str(settings.tls.keyfile),
                "ssl_context": lambda _configuration, _default: self._context(),
            }
        for name, value in {**configuration, **self._further}.items():
            self.cfg.set(name, value)
        # gunicorn counts whole seconds when it reads these, and any when it waits.
        for name, seconds in (
            ("timeout", settings.worker_timeout),
            ("graceful_timeout", settings.graceful_timeout),
            ("keepalive", settings.keep_alive),
        ):
            self.cfg.settings[name].value = seconds

    @property
    def grpc_address(self) -> str | None:
        """The address on which each worker serves gRPC; None for none."""
        return None if self.grpc_port is None else self.grpc_port.address

    def release_grpc_port(self) -> None:
        """Leave the port to the launcher, in a worker: one that outlives the launcher must not keep it."""
        if self.grpc_port is not None:
            self.grpc_port.close()

    def take_pair(self, pair: CertificatePair) -> None:
        """Keep a certificate that can serve."""
        self.pair = pair

    def _context(self) -> SSLContext:
        assert self.pair is not None
        return self.pair.context

    def load(self) -> Callable[..., Any]:
        """Make the WSGI app of this worker."""
        self.assembled = self._assemble(self.settings, self.plugins)
        return self.assembled.app


def _prepare(master: Any, worker: Any) -> None:
    if hasattr(master, "reads_repository"):  # else it is gunicorn's own
        worker.reads_repository = master.reads_repository()
        worker.others_serve = master.others_serve()
        worker.cohort = master.cohort


def _begin(worker: Any) -> None:
    worker.begin()

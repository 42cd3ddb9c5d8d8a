"""What gunicorn is given: its configuration, from srv's settings and nothing else, and how a worker gets its app."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from gunicorn.app.base import BaseApplication

from srv.inflight import InFlight
from srv.logs import GunicornLog
from srv.serve.reports import Reports
from srv.serve.rundir import RunDirectory, Wanted
from srv.serve.workers import worker_class
from srv.settings import ServerSettings
from srv.streams import StreamCount

if TYPE_CHECKING:
    from srv.discovery import Plugins
    from srv.grpc.server import GrpcServer
    from srv.modelplane import ModelPlane
    from srv.serve.following import Follower
    from srv.serve.reloading.reloader import Reloader
    from srv.serve.running import Running


class Assembled(Protocol):
    """A server without sockets, as a worker needs it."""

    #: Told how many threads each face must have at least; who has the faces puts it in.
    grow: Callable[[int], object]

    @property
    def app(self) -> Callable[..., Any]:
        """The WSGI app, which answers from the start."""

    @property
    def running(self) -> Running:
        """What plugins are told of the server as it runs."""

    @property
    def modelplane(self) -> ModelPlane:
        """Loads and unloads models."""

    def wanted(self, *, loaded: Collection[str] = (), unloaded: Collection[str] = ()) -> Sequence[Wanted]:
        """The models of the repository that are to be served, with respect to what somebody has loaded or unloaded."""

    def among(self, directory: RunDirectory, pid: int) -> Follower:
        """Share what is loaded and unloaded with the other workers from now on."""

    def load_models(self, report: Callable[[str], None], wanted: Sequence[Wanted]) -> None:
        """Load these models, telling what is done at the moment. May be called again after it has raised."""

    def serving(self) -> str:
        """The models that are served, as a person reads them in one line."""

    def drain(self) -> None:
        """Not ready from now on; what comes is still answered."""

    def serve_grpc(
        self, address: str, answered: Callable[[], None], streams: StreamCount, in_flight: InFlight
    ) -> GrpcServer:
        """Serve gRPC on that address from now on; `answered` is told of each call."""

    def reloader(self, renew: Callable[[], None], tell: Callable[[Sequence[Wanted]], None]) -> Reloader:
        """What takes in edits from now on, once it is started; `renew` asks for new workers, `tell` hears what serves."""

    def close(self) -> None:
        """Unload the models and stop what runs beside them."""


#: Makes a server without sockets; called in each worker, after the fork.
Assemble = Callable[[ServerSettings, "Plugins"], Assembled]


class Application(BaseApplication):  # type: ignore[misc]  # gunicorn has no types
    """One server's settings, and what its processes share. After the fork it holds what the worker has assembled."""

    def __init__(
        self,
        settings: ServerSettings,
        plugins: Plugins,
        *,
        assemble: Assemble,
        reports: Reports,
        directory: RunDirectory,
        grpc_address: str | None = None,
        reload: bool = False,
    ) -> None:
        self.settings = settings
        self.plugins = plugins
        self.reports = reports
        self.directory = directory
        self.grpc_address = grpc_address
        self.reload = reload
        self.assembled: Assembled | None = None
        self._assemble = assemble
        super().__init__()

    def load_config(self) -> None:
        """Set what srv has an opinion on; no file, no command line, no environment of gunicorn's is read."""
        settings = self.settings
        configuration = {
            "bind": "127.0.0.1:0",  # never bound: the launcher has done that
            "worker_class": worker_class(settings),
            "workers": settings.workers,
            "threads": settings.threads,
            "worker_connections": settings.max_connections,
            "backlog": settings.backlog,
            "max_requests": settings.max_requests,
            "max_requests_jitter": settings.max_requests // 10,
            "limit_request_line": 8190,
            "limit_request_field_size": 8190,
            "logger_class": GunicornLog,
            "pre_fork": _prepare,
            "post_worker_init": _begin,
            "proc_name": "srv",
            "preload_app": False,
            "control_socket_disable": True,
            "forwarded_allow_ips": "127.0.0.1,::1",
        }
        if settings.tls is not None:
            configuration |= {"certfile": str(settings.tls.certfile), "keyfile": str(settings.tls.keyfile)}
        for name, value in configuration.items():
            self.cfg.set(name, value)
        # gunicorn counts whole seconds when it reads these, and any when it waits.
        for name, seconds in (
            ("timeout", settings.worker_timeout),
            ("graceful_timeout", settings.graceful_timeout),
            ("keepalive", settings.keep_alive),
        ):
            self.cfg.settings[name].value = seconds

    def load(self) -> Callable[..., Any]:
        """The WSGI app of this worker."""
        self.assembled = self._assemble(self.settings, self.plugins)
        return self.assembled.app


def _prepare(master: Any, worker: Any) -> None:
    worker.reads_repository = master.reads_repository()
    worker.others_serve = master.others_serve()


def _begin(worker: Any) -> None:
    worker.begin()

"""srv's gunicorn worker: gunicorn starts, watches and stops it; serving is the server's."""

from __future__ import annotations

import contextlib
import logging
import os
import select
import time
from typing import TYPE_CHECKING, Any

from srv.cores import cores
from srv.serve.gunicorn_internals import Worker, ssl_context
from srv.serve.http.limits import Limits
from srv.serve.open_files import most_connections

if TYPE_CHECKING:
    from srv.serve.http.server import HttpServer

log = logging.getLogger(__name__)

#: The arbiter hears from a worker this often.
HEARTBEAT = 1.0
#: While draining the worker looks this often whether everyone has left.
DRAINING_BEAT = 0.05


class SrvWorker(Worker):  # type: ignore[misc]  # gunicorn has no types
    """A process that serves an app; the main thread keeps its heart beating whatever the others do.

    Its limits are the attributes of the gunicorn application's `settings`; without that, gunicorn's own settings.
    The app may have `srv_nonblocking(method, path)`, `srv_refused(refused)`, `srv_refuses_by_head(environ)` and
    `srv_headers_of_refusal(origin)`, which never waits.
    """

    alive: bool
    server: HttpServer | None = None
    _threads_wanted = 0
    #: Whether nobody is let in yet.
    held = False

    def init_process(self) -> None:
        """From the fork to the end."""
        # Imported here because the master imports this module too, and has no use for numpy.
        from srv.serve.http.malloc import keep_freed_blocks

        keep_freed_blocks()  # before there are threads, because each would have its own arena by then
        super().init_process()

    def run(self) -> None:
        """Serve until told to stop, then finish what was begun."""
        # Before its first beat a worker is never taken for dead, because the file's time is not yet of that clock.
        self.notify()
        limits = self.limits()
        self.server = server = self._make_server(limits)
        server.grow(self._threads_wanted)  # asked for after the line above, as grow() does it the other way round
        server.start()
        self.serves()
        beat = min(HEARTBEAT, self.timeout / 2 or HEARTBEAT)  # gunicorn gives half of worker_timeout
        while self.alive and self._parent_lives():
            self._beat(server, beat)
        self._drain(server, limits.graceful_timeout)

    def grow(self, threads: int) -> None:
        """Have at least so many threads for requests, from now on or from the start."""
        self._threads_wanted = max(self._threads_wanted, threads)
        if self.server is not None:
            self.server.grow(self._threads_wanted)

    def let_in(self) -> None:
        """Hold nobody back any more."""
        self.held = False
        if self.server is not None:
            self.server.look()

    @property
    def face(self) -> HttpServer | None:
        """Return the threads that run requests, once there are some, for whoever looks after them."""
        return self.server

    def leader_looked(self) -> float | None:
        """Return when the thread that leads has looked around last, on the monotonic clock; None where nobody leads."""
        return None if self.server is None else self.server.looked

    def connections(self) -> int:
        """Return how many connections there are."""
        return 0 if self.server is None else self.server.connections()

    def waiting(self) -> int:
        """Return how many requests wait for a thread."""
        return 0 if self.server is None else self.server.waiting()

    def limits(self) -> Limits:
        """Return the limits of this worker."""
        settings = getattr(self.app, "settings", None)
        return gunicorn_limits(self.cfg) if settings is None else Limits.of(settings)

    def serves(self) -> None:
        """Called when clients can be answered."""

    def answered(self) -> None:
        """A request more was taken in; after max_requests this worker retires."""
        if self.nr >= self.max_requests and self.alive:
            self.log.info("Retiring after %d requests.", self.nr)
            self.alive = False
            self.wake()

    def _make_server(self, limits: Limits) -> HttpServer:
        # Imported here because the master imports this module too, and has no use for numpy.
        from srv.serve.http.refusal_log import AccessLog
        from srv.serve.http.server import HttpServer
        from srv.serve.http.wsgi import WsgiApp, never

        app = self.wsgi
        connections = most_connections(limits.max_connections)
        if connections < limits.max_connections:
            log.warning(
                "This process may open so few files (ulimit -n) that a worker holds %d connections at most, not the "
                "%d of max_connections.",
                connections,
                limits.max_connections,
            )
        return HttpServer(
            WsgiApp(
                app,
                nonblocking=getattr(app, "srv_nonblocking", never),
                started=self._count,
                refuses_by_head=getattr(app, "srv_refuses_by_head", None),
            ),
            self.sockets,
            limits.with_connections(connections),
            access_log=AccessLog(getattr(app, "srv_refused", None)),
            headers_of_refusal=getattr(app, "srv_headers_of_refusal", None),
            context=ssl_context(self.cfg) if self.cfg.is_ssl else None,
            multiprocess=self.cfg.workers > 1,
            parallel=cores() > self.cfg.workers,
            held=lambda: self.held,
            streams=getattr(self, "streams", None),  # counted with the other face's, where there is one
            in_flight=getattr(self, "in_flight", None),
        )

    def _count(self) -> None:
        self.nr += 1
        self.answered()

    def _drain(self, server: HttpServer, patience: float) -> None:
        """Let in who has come, let nobody else in, and wait until all have left."""
        server.drain()
        until = time.monotonic() + patience
        while not server.drained() and time.monotonic() < until:
            self._beat(server, DRAINING_BEAT)
        if not server.drained():
            self.log.warning("Stopping with requests still running: graceful_timeout has passed.")
        server.stop(DRAINING_BEAT)

    def _beat(self, server: HttpServer, seconds: float) -> None:
        """Show that this process lives, then sleep until a signal comes or the time is over."""
        self.notify()
        server.tick()
        with contextlib.suppress(InterruptedError, BlockingIOError):
            if select.select([self.PIPE[0]], [], [], seconds)[0]:
                os.read(self.PIPE[0], 4096)

    def wake(self) -> None:
        """Make the main thread return from its wait, so that it runs the calls that wait for it."""
        with contextlib.suppress(BlockingIOError):
            os.write(self.PIPE[1], b"1")

    def _parent_lives(self) -> bool:
        if self.ppid == os.getppid():
            return True
        self.log.info("The parent process is gone; %s stops.", self)
        return False


def gunicorn_limits(cfg: Any) -> Limits:
    """Return the limits that gunicorn's own settings give, the contract's defaults for the others."""
    usual = Limits()
    return Limits(
        threads=cfg.threads,
        max_streams=max(1, cfg.threads // 2),
        keep_alive=float(cfg.keepalive),
        graceful_timeout=float(cfg.graceful_timeout),
        request_line=cfg.limit_request_line or usual.request_line,
        header_count=cfg.limit_request_fields,
    )

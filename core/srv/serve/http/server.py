"""The parts of the HTTP server put together."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Sequence

from srv.busy_threads import BusyThreads
from srv.planes.limits import Limit
from srv.serve.http.acceptor import Acceptor
from srv.serve.http.app_runner import AppRunner
from srv.serve.http.before_body import HeadCheck
from srv.serve.http.connection_table import ConnectionTable, HeadersOfRefusal
from srv.serve.http.leader import Leader
from srv.serve.http.limits import Limits
from srv.serve.http.poller import Poller
from srv.serve.http.reader import ConnectionReader
from srv.serve.http.refusal_log import AccessLog
from srv.serve.http.responses import ResponseHeads
from srv.serve.http.scheduler import Scheduler
from srv.serve.http.threads import Threads
from srv.serve.http.watchdog import Paces, Watchdog
from srv.serve.http.wsgi import WsgiApp, template


class HttpServer:
    """Serves one app on some listening sockets, with threads of its own, until it is drained or stopped."""

    def __init__(
        self,
        app: WsgiApp,
        listeners: Sequence[socket.socket],
        limits: Limits,
        *,
        access_log: AccessLog,
        context: ssl.SSLContext | None = None,
        multiprocess: bool = False,
        parallel: bool = True,
        held: Callable[[], bool] = lambda: False,
        streams: Limit | None = None,
        in_flight: Limit | None = None,
        headers_of_refusal: HeadersOfRefusal | None = None,
    ) -> None:
        self._poller = Poller()
        self._heads = ResponseHeads()
        in_flight = in_flight or Limit(limits.max_inflight_bytes)
        self._table = ConnectionTable(
            limits,
            poller=self._poller,
            heads=self._heads,
            access_log=access_log,
            in_flight=in_flight,
            headers_of_refusal=headers_of_refusal,
        )
        self._scheduler = Scheduler(limits, self._table)
        watchdog = Watchdog(self._scheduler, Paces(parallel=parallel))
        common = {
            **template("https" if context else "http", multiprocess=multiprocess),
            "srv.expect": self._scheduler.expect,
        }
        self._runner = AppRunner(
            app,
            self._scheduler,
            heads=self._heads,
            common=common,
            streams=streams or Limit(limits.max_streams),
            step_aside=watchdog.step_aside,
        )
        self._leader = Leader(
            self._scheduler,
            acceptor=Acceptor(listeners, self._poller, context, shared=multiprocess, held=held),
            reader=ConnectionReader(limits, in_flight, HeadCheck(app.refuses_by_head, common)),
            runner=self._runner,
            watchdog=watchdog,
        )
        self._threads = Threads(self._scheduler, self._leader, self._runner, watchdog)

    def start(self) -> None:
        """Start the threads: one leads, as many as may run requests follow."""
        self._threads.start()

    def grow(self, threads: int) -> None:
        """Let so many requests run at once, if that is more than so far."""
        self._threads.grow(threads)

    @property
    def threads(self) -> int:
        """Return how many requests may run at once."""
        return self._scheduler.threads.most

    @property
    def busy(self) -> BusyThreads:
        """Return the requests that threads run."""
        return self._runner.busy

    @property
    def looked(self) -> float:
        """Return when the thread that leads has looked last for something to do, on the monotonic clock."""
        return self._leader.looked

    def tick(self) -> None:
        """Keep the responses' date right and the threads alive; to be called about once a second."""
        self._heads.tick()
        self._threads.replace_dead()

    def look(self) -> None:
        """See whether `held` still says that nobody is to be let in."""
        self._poller.wake()

    def drain(self) -> None:
        """Let in who has come already, then nobody; close each connection after its response."""
        self._scheduler.drain()

    def connections(self) -> int:
        """Return how many connections there are."""
        return len(self._table.connections)

    def waiting(self) -> int:
        """Return how many requests wait for a thread."""
        return len(self._scheduler.waiting)

    def drained(self) -> bool:
        """Return whether no connection is left, and none will come: who had connected before is let in first."""
        return self._leader.acceptor_closed and not self._table.connections

    def stop(self, patience: float) -> None:
        """Stop leading, and wait at most so many seconds for the threads; what still runs is left to run."""
        self._threads.stop(patience)

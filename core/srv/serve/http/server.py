"""The parts of the HTTP server put together, and its threads."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable, Sequence

from srv.inflight import InFlight
from srv.serve.http.answers import Heads
from srv.serve.http.custody import Custody
from srv.serve.http.doors import Doors
from srv.serve.http.environ import template
from srv.serve.http.exchange import Exchange, Switches
from srv.serve.http.followers import Followers
from srv.serve.http.journal import Journal
from srv.serve.http.leader import Leader, NonBlocking
from srv.serve.http.limits import Limits
from srv.serve.http.reception import Reception
from srv.serve.http.relief import Paces, Relief
from srv.serve.http.service import App, Service
from srv.serve.http.watch import Watch
from srv.streams import StreamCount


def never(method: str, path: str) -> bool:  # noqa: ARG001 - asked for each request
    """What an app that says nothing says: any request may block."""
    return False


class Server:
    """Serves one app on some listening sockets, with threads of its own, until it is drained or stopped."""

    def __init__(
        self,
        app: App,
        listeners: Sequence[socket.socket],
        limits: Limits,
        *,
        journal: Journal,
        nonblocking: NonBlocking,
        started: Callable[[], object],
        context: ssl.SSLContext | None = None,
        multiprocess: bool = False,
        parallel: bool = True,
        held: Callable[[], bool] = lambda: False,
        streams: StreamCount | None = None,
        in_flight: InFlight | None = None,
    ) -> None:
        self._limits = limits
        self._paces = Paces(parallel=parallel)
        self._switches = Switches()
        self._watch = Watch()
        self._heads = Heads()
        self._followers = Followers(limits.threads, limits.max_queue)
        in_flight = in_flight or InFlight(limits.max_inflight_bytes)
        self._custody = Custody(
            limits,
            followers=self._followers,
            watch=self._watch,
            heads=self._heads,
            journal=journal,
            in_flight=in_flight,
            switches=self._switches,
        )
        self._relief = Relief(self._followers, self._switches, self._relieved)
        self._service = Service(
            app,
            limits,
            followers=self._followers,
            custody=self._custody,
            heads=self._heads,
            common={
                **template("https" if context else "http", multiprocess=multiprocess),
                "srv.expect": self._custody.expect,
            },
            streams=streams or StreamCount(limits.max_streams),
            switches=self._switches,
            step_aside=self._relief.relieve,
        )
        self._leader = Leader(
            limits,
            doors=Doors(listeners, self._watch, context, shared=multiprocess, held=held),
            watch=self._watch,
            reception=Reception(limits, in_flight),
            custody=self._custody,
            service=self._service,
            followers=self._followers,
            switches=self._switches,
            nonblocking=nonblocking,
            started=started,
            paces=self._paces,
            relief=self._relief,
        )
        self._threads: list[threading.Thread] = []
        self._hiring = threading.Lock()  # because a model may ask for more threads while the first ones start

    def start(self) -> None:
        """Start the threads: one leads, as many as may run requests follow."""
        with self._hiring, self._followers.lead:  # nobody leads before all are there
            self._hire(self._followers.threads + 1)
            threading.Thread(target=self._relief.run, name="srv-http-relief", daemon=True).start()

    def grow(self, threads: int) -> None:
        """Let so many requests run at once, if that is more than so far."""
        with self._hiring:
            more = threads - self._followers.threads
            if more > 0:
                if self._threads:
                    self._hire(more)
                self._followers.threads = threads  # they are there now

    def tick(self) -> None:
        """Keep the answers' date right; to be called about once a second."""
        self._heads.tick()

    def look(self) -> None:
        """See whether `held` still says that nobody is to be let in."""
        self._watch.ring()

    def drain(self) -> None:
        """Let in who has come already, then nobody; close each connection after its answer."""
        self._switches.draining = True
        self._watch.ring()

    def waiting(self) -> int:
        """How many requests wait for a thread."""
        return len(self._followers.waiting)

    def drained(self) -> bool:
        """Whether no connection is left, and none will come: who had connected before is let in first."""
        return self._leader.doors_closed and not self._custody.connections

    def stop(self, patience: float) -> None:
        """Stop leading, and wait at most so many seconds for the threads; what still runs is left to run."""
        self._switches.stopped = True
        self._relief.call()
        until = time.monotonic() + patience
        for thread in self._threads:
            self._watch.ring()
            thread.join(max(0.0, until - time.monotonic()))

    def _hire(self, count: int) -> None:
        for _ in range(count):
            thread = threading.Thread(target=self._work, name=f"srv-http-{len(self._threads)}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def _relieved(self, exchange: Exchange) -> None:
        """A request that was taken for quick is not: from now on it is like any other that may block."""
        self._paces.stuck(exchange.head.path)
        with self._followers.guard:
            if exchange.connection.exchange is exchange:
                when = exchange.received + self._custody.patience(exchange)
                if self._custody.deadlines.set(exchange.connection, when):
                    self._watch.ring()

    def _work(self) -> None:
        """Lead when the lead is free; run what comes of it, and what waits; again."""
        followers = self._followers
        while not self._switches.stopped:
            followers.lead.acquire()
            exchange = self._leader.lead()
            while exchange is not None:
                self._service.run(exchange)
                exchange = followers.next()

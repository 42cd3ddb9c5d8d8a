"""The supervisor of the gRPC server: it looks after grpcio's thread and connections, and ends all in order.

grpcio's core cancels every call that comes in between its decision to stop and the moment at which a client has heard
of it. The order of a shutdown keeps clients from sending anything then:

1. The port is closed. Workers that stop at the same time close theirs before any client is told to connect anew.
2. Answers are kept back for a moment. Whoever waits for one asks for nothing new.
3. grpcio tells all clients to connect anew, and the answers go out behind that.
4. Streams on which nothing is asked are ended; what runs may run until the grace is over, and is ended then. Both hear
   UNAVAILABLE, which clients' retry policies take for what it is: ask again.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any

from srv.grpc.calls import MethodAdapter
from srv.grpc.connections import IdleConnections
from srv.grpc.grpcio_internals import ServingThread
from srv.grpc.listeners import stop_listening
from srv.grpc.pools import Pool, StreamPool

log = logging.getLogger(__name__)

#: Seconds between two looks at grpcio's thread and connections.
_WATCH_BEAT = 1.0
#: Seconds for other workers to close their ports, and for clients to send what they were about to send.
_SETTLING, _HOLDING = 0.05, 0.05
#: Seconds in which a client that has asked for nothing may still do so, once the server stops; and between two looks.
_LAST_CHANCE, _ENDING_BEAT = 1.0, 0.1


class Supervisor:
    """Watches a grpcio server from `start`, and shuts it down after `stop`, in a thread of its own."""

    def __init__(
        self,
        server: Any,
        adapter: MethodAdapter,
        pools: Sequence[Pool | StreamPool],
        *,
        close_watches: Callable[[], None],
        most_connections: int,
    ) -> None:
        self._server = server
        self._adapter = adapter
        self._pools = pools
        self._close_watches = close_watches
        self._serving = ServingThread(server)
        self._connections = IdleConnections(most_connections, self._busy_peers)
        self._graces: SimpleQueue[float] = SimpleQueue()
        self._stopped = threading.Event()

    def start(self, port: int) -> None:
        """Start the server, which is bound to that port, and watch it."""
        self._serving.start()
        threading.Thread(target=self._supervise, args=(port,), name="srv-grpc-supervisor", daemon=True).start()

    def stop(self, grace: float) -> None:
        """Shut down; calls that are there get so many seconds. The first grace counts. Returns at once."""
        self._graces.put(grace)

    def stopped(self, seconds: float) -> bool:
        """Wait so long for the end of the last call, and return whether it has come."""
        return self._stopped.wait(seconds)

    def _supervise(self, port: int) -> None:
        try:
            self._shut_down(self._watch(port), port)
        except BaseException:
            log.exception("The gRPC server could not be stopped in order.")
        self._stopped.set()

    def _watch(self, port: int) -> float:
        """Look after the server until somebody stops it; return the grace."""
        while True:
            with suppress(Empty):
                return self._graces.get(timeout=_WATCH_BEAT)
            try:
                self._look(port)
            except Exception:
                log.exception("The gRPC server could not be looked after.")

    def _look(self, port: int) -> None:
        """Replace grpcio's thread where it has died, and keep room for new connections."""
        if self._serving.revive():
            log.error("The thread in which grpcio takes calls in has died, and was replaced.")
        self._connections.close_some(port)

    def _busy_peers(self) -> set[int]:
        return {peer for pool in self._pools for peer in pool.peers() if peer is not None}

    def _shut_down(self, grace: float, port: int) -> None:
        until = time.monotonic() + grace
        stop_listening(port)
        self._close_watches()
        ended = self._tell_clients(grace)
        busy_until = time.monotonic()
        while not ended.wait(_ENDING_BEAT) and time.monotonic() < busy_until + _LAST_CHANCE:
            self._adapter.idle.end(_LAST_CHANCE)
            if time.monotonic() >= until:
                self._end_calls()
            elif self._busy():
                busy_until = time.monotonic()
        for pool in self._pools:
            pool.shutdown(wait=False)

    def _tell_clients(self, grace: float) -> Any:
        """Have grpcio tell all clients to connect anew; return the event of its end."""
        if grace > _SETTLING + _HOLDING:
            time.sleep(_SETTLING)
            self._adapter.hold_answers()
            time.sleep(_HOLDING)
        else:
            self._end_calls()
        try:
            return self._server.stop(grace + _LAST_CHANCE)
        finally:
            self._adapter.let_answers_go()

    def _end_calls(self) -> None:
        for pool in self._pools:
            pool.end_calls()

    def _busy(self) -> bool:
        """Return whether a call is there, or an answer goes out; grpcio itself waits for mute connections too."""
        return any(pool.count for pool in self._pools) or self._adapter.in_flight.count > 0

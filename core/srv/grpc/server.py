"""The gRPC server of one worker: started after the fork, on a port that all workers share."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import grpc

from srv.dataplane import DataPlane
from srv.errors import SrvError
from srv.grpc.doors import stop_listening
from srv.grpc.interceptors import guarded
from srv.grpc.passing import Passage
from srv.grpc.pools import Pool, Standing
from srv.grpc.routes import Routes
from srv.inflight import InFlight
from srv.modelplane import ModelPlane
from srv.rest.passing import HIDDEN
from srv.settings import ServerSettings
from srv.streams import StreamCount

log = logging.getLogger(__name__)

#: Threads for health and metadata, which never wait for a model.
_PROBE_THREADS = 4
#: Streams of health and reflection that may stand at once, each in a thread of its own that sleeps.
_MOST_STANDING = 256
#: Seconds in which a client that has asked for nothing may still do so, once the server stops; and between two looks.
_LAST_CHANCE, _ENDING_BEAT = 1.0, 0.1
_LARGEST_NUMBER = 2**31 - 1


class CannotServe(SrvError):
    """The port cannot be had in a worker."""

    def __init__(self, address: str) -> None:
        super().__init__(f"gRPC cannot listen on {address}. Choose another port with --grpc-port, or null for none.")


class CertificateUnreadable(SrvError):
    """The certificate or its key cannot be used."""

    def __init__(self, why: str) -> None:
        super().__init__(f"The certificate of 'tls' cannot be used for gRPC: {why}.")


class GrpcServer:
    """Serves a data plane and a model plane over gRPC, from `start` until `stopped`."""

    def __init__(
        self,
        dataplane: DataPlane,
        modelplane: ModelPlane,
        settings: ServerSettings,
        *,
        interceptors: Sequence[object] = (),
        streams: StreamCount | None = None,
        in_flight: InFlight | None = None,
        answered: Callable[[], None] = lambda: None,
    ) -> None:
        self._inference = Pool("srv-grpc", settings.grpc_threads, settings.max_queue)
        self._probes = Pool("srv-grpc-probe", _PROBE_THREADS, settings.max_queue)
        self._standing = Standing("srv-grpc-standing", _MOST_STANDING)
        self._in_flight = in_flight or InFlight(settings.max_inflight_bytes)
        self._passage = Passage(answered, HIDDEN - {name.lower() for name in settings.pass_headers}, self._in_flight)
        self._routes = Routes(
            dataplane,
            modelplane,
            self._passage,
            max_body_size=settings.max_body_size,
            inference=self._inference,
            probes=self._probes,
            standing=self._standing,
            streams=streams or StreamCount(settings.max_streams),
        )
        self._tls = settings.tls
        self._server = grpc.server(
            self._inference,
            handlers=(self._routes,),
            interceptors=guarded(interceptors, self._routes, self._inference),
            options=(
                ("grpc.so_reuseport", 1),
                ("grpc.max_receive_message_length", min(settings.max_body_size, _LARGEST_NUMBER)),
                ("grpc.max_send_message_length", -1),
            ),
        )
        self._endings: SimpleQueue[float] = SimpleQueue()
        self._stopped = threading.Event()

    def start(self, address: str) -> int:
        """Serve on `host:port`, and give the port. Raises CannotServe."""
        try:
            port: int = self._bind(address)
        except RuntimeError:
            port = 0
        if not port:
            raise CannotServe(address)
        self._server.start()
        threading.Thread(target=self._end, args=(port,), name="srv-grpc-end", daemon=True).start()
        return port

    def stop(self, grace: float) -> None:
        """Take no more calls, give those that are there so many seconds, then cancel them.

        Returns at once, and may be called in a handler of signals, and again: the first word counts.
        """
        self._endings.put(grace)

    def stopped(self, seconds: float) -> bool:
        """Whether the last call has ended, for which so many seconds are waited."""
        return self._stopped.wait(seconds)

    def waiting(self) -> int:
        """How many calls wait for a thread for inference."""
        return self._inference.waiting()

    def grow(self, threads: int) -> None:
        """Have at least so many threads for inference."""
        self._inference.grow(threads)

    def _bind(self, address: str) -> Any:
        if self._tls is None:
            return self._server.add_insecure_port(address)
        return self._server.add_secure_port(address, _credentials(self._tls.certfile, self._tls.keyfile))

    def _end(self, port: int) -> None:
        grace = self._endings.get()
        stop_listening(port)
        self._routes.health.close()
        ended = self._server.stop(grace)
        busy_until = time.monotonic()
        while not ended.wait(_ENDING_BEAT) and time.monotonic() < busy_until + _LAST_CHANCE:
            self._passage.idle.end(_LAST_CHANCE)
            if self._busy():
                busy_until = time.monotonic()
        self._inference.shutdown()
        self._probes.shutdown()
        self._stopped.set()

    def _busy(self) -> bool:
        """Whether a call is there, or an answer that goes out. grpcio itself waits for mute connections too."""
        return any(pool.held for pool in (self._inference, self._probes, self._standing)) or self._in_flight.count > 0


def _credentials(certfile: Path, keyfile: Path) -> Any:
    try:
        return grpc.ssl_server_credentials([(keyfile.read_bytes(), certfile.read_bytes())])
    except OSError as error:
        raise CertificateUnreadable(f"{error.filename} cannot be read ({error.strerror})") from None

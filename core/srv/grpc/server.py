"""The gRPC server of one worker: started after the fork, on a port that all workers share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import grpc

from srv.busy_threads import BusyThreads
from srv.errors import SrvError
from srv.grpc.calls import MethodAdapter
from srv.grpc.connections import most_connections
from srv.grpc.interceptors import guarded
from srv.grpc.pools import Pool, StreamPool
from srv.grpc.routes import Routes
from srv.grpc.supervisor import Supervisor
from srv.planes.dataplane import DataPlane
from srv.planes.limits import Limit
from srv.planes.modelplane import ModelPlane
from srv.rest.middleware import HIDDEN
from srv.settings import ServerSettings, TlsSettings

#: Threads for health and metadata, which never wait for a model.
_PROBE_THREADS = 4
#: Streams of health and reflection that may stand at once, each in a thread of its own that sleeps.
_MOST_OPEN_STREAMS = 256
#: Pings in a row, with no byte of an answer between, that may come sooner than grpc_min_ping_interval says. A client
#: that pings every second may so wait for hours; one that only pings costs less than the same number of requests.
_EARLY_PINGS = 10_000
_LARGEST_NUMBER = 2**31 - 1


#: In PEM: a certificate, its key, and the certificates with which those of clients are checked, where clients must have one.
Certificate = tuple[bytes, bytes, bytes | None]


class CannotServe(SrvError):
    """A worker cannot listen on the port."""

    def __init__(self, address: str) -> None:
        super().__init__(f"gRPC cannot listen on {address}. Choose another port with --grpc-port, or null for none.")


class CertificateUnreadable(SrvError):
    """The certificate or its key cannot be used."""

    def __init__(self, why: str) -> None:
        super().__init__(f"The certificate of 'tls' cannot be used for gRPC: {why}.")


class GrpcServer:
    """A server of a data plane and a model plane over gRPC, from `start` until `stopped`."""

    def __init__(
        self,
        dataplane: DataPlane,
        modelplane: ModelPlane,
        settings: ServerSettings,
        *,
        interceptors: Sequence[object] = (),
        owner_of: Callable[[object], str] = lambda _: "unknown",
        streams: Limit | None = None,
        in_flight: Limit | None = None,
        answered: Callable[[], None] = lambda: None,
        certificate: Certificate | None = None,
    ) -> None:
        self._inference = Pool("srv-grpc", settings.grpc_threads, settings.max_queue)
        self._probes = Pool("srv-grpc-probe", _PROBE_THREADS, settings.max_queue)
        self._open_streams = StreamPool("srv-grpc-stream", _MOST_OPEN_STREAMS)
        self._in_flight = in_flight or Limit(settings.max_inflight_bytes)
        self._adapter = MethodAdapter(
            answered, HIDDEN - {name.lower() for name in settings.pass_headers}, self._in_flight
        )
        self._routes = Routes(
            dataplane,
            modelplane,
            self._adapter,
            max_body_size=settings.max_body_size,
            inference=self._inference,
            probes=self._probes,
            open_streams=self._open_streams,
            streams=streams or Limit(settings.max_streams),
        )
        self._tls = settings.tls
        #: What was read already, in place of the files that the settings name.
        self._certificate = certificate
        most = most_connections(settings.max_connections)
        self._server = grpc.server(
            self._inference,
            handlers=(self._routes,),
            interceptors=guarded(interceptors, owner_of, self._routes, self._inference),
            options=(
                ("grpc.so_reuseport", 1),
                ("grpc.max_receive_message_length", min(settings.max_body_size, _LARGEST_NUMBER)),
                ("grpc.max_send_message_length", -1),
                # The first is where grpc begins to refuse by chance, the second where it always does.
                ("grpc.max_metadata_size", settings.max_header_size),
                ("grpc.absolute_max_metadata_size", settings.max_header_size),
                *_ping_options(settings.grpc_min_ping_interval),
                ("grpc.max_allowed_incoming_connections", most),
                ("grpc.server_handshake_timeout_ms", min(int(1000 * settings.header_timeout), _LARGEST_NUMBER)),
            ),
        )
        self._supervisor = Supervisor(
            self._server,
            self._adapter,
            (self._inference, self._probes, self._open_streams),
            close_watches=self._routes.health.close,
            most_connections=most,
        )

    def start(self, address: str) -> int:
        """Serve on `host:port`, and return the port. Raises CannotServe."""
        try:
            port: int = self._bind(address)
        except RuntimeError:
            port = 0
        if not port:
            raise CannotServe(address)
        self._supervisor.start(port)
        return port

    def stop(self, grace: float) -> None:
        """Take no more calls, give those that are there so many seconds, then end them with UNAVAILABLE.

        Returns at once, and may be called in a handler of signals, and again: the first grace counts.
        """
        self._supervisor.stop(grace)

    def stopped(self, seconds: float) -> bool:
        """Wait so long for the end of the last call, and return whether it has come."""
        return self._supervisor.stopped(seconds)

    def waiting(self) -> int:
        """Return how many calls wait for a thread for inference."""
        return self._inference.waiting()

    @property
    def threads(self) -> int:
        """How many calls for inference may run at once."""
        return self._inference.threads

    @property
    def busy(self) -> BusyThreads:
        """The calls that the threads for inference run."""
        return self._inference.busy

    def grow(self, threads: int) -> None:
        """Have at least so many threads for inference."""
        self._inference.grow(threads)

    def _bind(self, address: str) -> Any:
        if self._tls is None:
            return self._server.add_insecure_port(address)
        certificate, key, client_ca = self._certificate or _read(self._tls)
        credentials = grpc.ssl_server_credentials([(key, certificate)], client_ca, client_ca is not None)
        return self._server.add_secure_port(address, credentials)


def _ping_options(interval: float) -> tuple[tuple[str, int], ...]:
    """Return which pings grpcio takes: those that come so many seconds apart, and many of those that come sooner."""
    return (
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_ping_interval_without_data_ms", min(int(1000 * interval), _LARGEST_NUMBER)),
        ("grpc.http2.max_ping_strikes", _EARLY_PINGS if interval else 0),
    )


def _read(tls: TlsSettings) -> Certificate:
    """Read the files of `tls`. Raises CertificateUnreadable."""
    try:
        client_ca = tls.client_ca.read_bytes() if tls.client_ca is not None else None
        return tls.certfile.read_bytes(), tls.keyfile.read_bytes(), client_ca
    except OSError as error:
        raise CertificateUnreadable(f"{error.filename} cannot be read ({error.strerror})") from None

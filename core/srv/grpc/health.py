"""grpc.health.v1: this worker's health under the empty name, a model's under its own."""

from __future__ import annotations

import threading
from collections.abc import Iterator

from google.protobuf.message import DecodeError

from srv.dataplane import DataPlane
from srv.errors import InvalidInput, NotFound, Unavailable
from srv.grpc.descriptors import INFERENCE, message
from srv.grpc.passing import Call
from srv.registry import ModelState

_Request = message("grpc.health.v1.HealthCheckRequest")
_Response = message("grpc.health.v1.HealthCheckResponse")

#: Seconds between two looks at what is watched.
_BEAT = 0.25


class NoHealthRequest(InvalidInput):
    """Bytes that are no question for health."""

    def __init__(self) -> None:
        super().__init__("The message is no HealthCheckRequest.")


class Health:
    """Answers probes. A watched model that nobody knows may come, so its stream goes on."""

    def __init__(self, dataplane: DataPlane) -> None:
        self._dataplane = dataplane
        self._closed = threading.Event()

    def check(self, request: bytes, call: Call) -> bytes:
        """SERVING or NOT_SERVING. Raises NotFound for a model that nobody knows."""
        return _written(self._status(_service(request)))

    def watch(self, request: bytes, call: Call) -> Iterator[bytes]:
        """The status at once, and whenever it changes, until the client leaves or the server stops."""
        service = _service(request)
        last = None
        while call.active():
            try:
                status = self._status(service)
            except NotFound:
                status = "SERVICE_UNKNOWN"
            if status != last:
                yield _written(status)
                last = status
            if self._closed.wait(_BEAT):
                return

    def close(self) -> None:
        """End all watching."""
        self._closed.set()

    def _status(self, service: str) -> str:
        if service in ("", INFERENCE):
            return "SERVING" if self._dataplane.readiness.problem() is None else "NOT_SERVING"
        try:
            ready = self._dataplane.model(service).state is ModelState.READY
        except Unavailable:
            ready = False
        return "SERVING" if ready else "NOT_SERVING"


def _service(request: bytes) -> str:
    try:
        service: str = _Request.FromString(request).service
    except DecodeError:
        raise NoHealthRequest from None
    return service


def _written(status: str) -> bytes:
    written: bytes = _Response(status=status).SerializeToString()
    return written

"""grpc.health.v1: this worker's health under the empty name, a model's under its own."""

from __future__ import annotations

import threading
from collections.abc import Iterator

from google.protobuf.message import DecodeError

from srv.errors import NotFound, Unavailable
from srv.grpc.calls import Call
from srv.grpc.descriptors import INFERENCE, message
from srv.grpc.errors import BadRequest
from srv.models.registry import ModelState
from srv.planes.dataplane import DataPlane

_Request = message("grpc.health.v1.HealthCheckRequest")
_Response = message("grpc.health.v1.HealthCheckResponse")

#: Seconds between two looks at what is watched.
_BEAT = 0.25


class Health:
    """The health service. A model that is watched and unknown may be loaded later, so its stream goes on."""

    def __init__(self, dataplane: DataPlane) -> None:
        self._dataplane = dataplane
        self._closed = threading.Event()

    def check(self, request: bytes, call: Call) -> bytes:
        """Return SERVING or NOT_SERVING. Raises NotFound for an unknown model."""
        return _written(self._status(_service(request)))

    def watch(self, request: bytes, call: Call) -> Iterator[bytes]:
        """Yield the status at once, and whenever it changes, until the client leaves or the server stops."""
        service = _service(request)
        last = None
        while not call.is_gone():
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
        """End all streams of `watch`."""
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
        raise BadRequest("HealthCheckRequest") from None
    return service


def _written(status: str) -> bytes:
    written: bytes = _Response(status=status).SerializeToString()
    return written

"""The unary methods of the model repository: index, load and unload."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from google.protobuf.message import DecodeError

from srv.grpc.calls import Call, Method
from srv.grpc.descriptors import message
from srv.grpc.errors import BadRequest
from srv.planes.modelplane import ModelPlane, check_brings_nothing


class RepositoryServicer:
    """The methods of the repository; called from many threads."""

    def __init__(self, plane: ModelPlane) -> None:
        self._plane = plane

    def methods(self) -> Mapping[str, Method]:
        """Return the methods, which read the repository's folders or load models, by name."""
        return {
            "RepositoryIndex": self.index,
            "RepositoryModelLoad": self.load,
            "RepositoryModelUnload": self.unload,
        }

    def index(self, request: bytes, call: Call) -> bytes:
        """Return the models of the repository, loaded or not."""
        asked = _asked("RepositoryIndex", request)
        answer = _RepositoryIndexResponse()
        for row in self._plane.index(ready=asked.ready):
            answer.models.add(name=row.name, version=row.version, state=row.state.value, reason=row.reason)
        written: bytes = answer.SerializeToString()
        return written

    def load(self, request: bytes, call: Call) -> bytes:
        """Load a model in every worker."""
        asked = _asked("RepositoryModelLoad", request)
        check_brings_nothing(asked.parameters)
        self._plane.load(asked.model_name)
        return b""

    def unload(self, request: bytes, call: Call) -> bytes:
        """Unload a model in every worker."""
        self._plane.unload(_asked("RepositoryModelUnload", request).model_name)
        return b""


_REQUESTS = {
    name: message(f"inference.{name}Request")
    for name in ("RepositoryIndex", "RepositoryModelLoad", "RepositoryModelUnload")
}
_RepositoryIndexResponse = message("inference.RepositoryIndexResponse")


def _asked(method: str, request: bytes) -> Any:
    try:
        return _REQUESTS[method].FromString(request)
    except DecodeError:
        raise BadRequest(f"{method}Request") from None

"""The unary methods of the inference service: each reads bytes, asks the data plane, and writes bytes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from google.protobuf.message import DecodeError

from srv.errors import NotFound, SrvError, Unavailable
from srv.grpc.calls import Call, Method
from srv.grpc.convert import is_typed, read_request, write_metadata, write_response
from srv.grpc.descriptors import message
from srv.grpc.errors import AnswerTooLarge, BadRequest
from srv.grpc.wire_format import read_message
from srv.metrics_types import Stages
from srv.models.registry import ModelState
from srv.planes.dataplane import DataPlane


class Servicer:
    """The unary methods of inference, health and metadata; called from many threads."""

    def __init__(self, dataplane: DataPlane, *, max_body_size: int) -> None:
        self._dataplane = dataplane
        self._most = max_body_size

    def health_methods(self) -> Mapping[str, Method]:
        """Return the methods that never wait for a model, by name."""
        return {
            "ServerLive": self.server_live,
            "ServerReady": self.server_ready,
            "ModelReady": self.model_ready,
            "ServerMetadata": self.server_metadata,
            "ModelMetadata": self.model_metadata,
            "ModelConfig": self.model_config,
            "ModelStatistics": self.model_statistics,
        }

    def server_live(self, request: bytes, call: Call) -> bytes:
        """Return that the worker lives, which any answer says."""
        return _answer("ServerLive", live=True)

    def server_ready(self, request: bytes, call: Call) -> bytes:
        """Return whether this worker should get requests."""
        return _answer("ServerReady", ready=self._dataplane.readiness.problem() is None)

    def model_ready(self, request: bytes, call: Call) -> bytes:
        """Return whether a model serves: false for an unknown one, and for all until the first load has ended."""
        asked = _asked("ModelReady", request)
        try:
            model = self._dataplane.model(asked.name, asked.version or None)
        except (NotFound, Unavailable):  # a false, as Triton says it, because its clients raise whatever error comes
            return _answer("ModelReady", ready=False)
        call.model = model.name
        return _answer("ModelReady", ready=model.state is ModelState.READY)

    def server_metadata(self, request: bytes, call: Call) -> bytes:
        """Return name, version, and the extensions that work."""
        server = self._dataplane.server()
        return _answer("ServerMetadata", name=server.name, version=server.version, extensions=server.extensions)

    def model_metadata(self, request: bytes, call: Call) -> bytes:
        """Return name, versions, platform, inputs and outputs of a model."""
        asked = _asked("ModelMetadata", request)
        metadata = self._dataplane.metadata(asked.name, asked.version or None)
        call.model = metadata.name
        answer = _RESPONSES["ModelMetadata"]()
        write_metadata(metadata, answer)
        written: bytes = answer.SerializeToString()
        return written

    def model_config(self, request: bytes, call: Call) -> bytes:
        """Return a model's configuration, in Triton's form."""
        asked = _asked("ModelConfig", request)
        config = {**self._dataplane.config(asked.name, asked.version or None)}
        call.model = config["name"]
        parameters = config.pop("parameters")
        answer = _RESPONSES["ModelConfig"](config=config)
        for name, value in parameters.items():  # because protobuf before 5 makes no messages of dicts in a map
            answer.config.parameters[name].string_value = value["string_value"]
        written: bytes = answer.SerializeToString()
        return written

    def model_statistics(self, request: bytes, call: Call) -> bytes:
        """Return counts and times of a model, or of all models where the request names none."""
        asked = _asked("ModelStatistics", request)
        rows = self._dataplane.statistics(asked.name or None, asked.version or None)
        call.model = rows[0]["name"] if asked.name else None
        return _answer("ModelStatistics", model_stats=rows)

    def model_infer(self, request: bytes, call: Call) -> bytes:
        """Return the response to an inference request."""
        message, raw = read_message(request)
        name, version = message.model_name, message.model_version or None
        model = self._dataplane.model(name, version)
        call.model = model.name
        call.stages = stages = Stages(taken=call.taken)
        try:
            asked = read_request(message, raw, call.headers)
        except SrvError as error:
            self._dataplane.refused(model, error, received=call.received, face="grpc", stages=stages)
            raise
        asked.caller = call
        response = self._dataplane.infer(
            name,
            version,
            asked,
            found=model,
            received=call.received,
            deadline=call.deadline(),
            face="grpc",
            stages=stages,
        )
        call.headers_out = response.headers
        written = write_response(response, typed=not raw and is_typed(message))
        if len(written) > self._most:
            raise AnswerTooLarge(len(written), self._most)
        return written


_UNARY = (
    "ServerLive",
    "ServerReady",
    "ModelReady",
    "ServerMetadata",
    "ModelMetadata",
    "ModelConfig",
    "ModelStatistics",
)
_REQUESTS = {name: message(f"inference.{name}Request") for name in _UNARY}
_RESPONSES = {name: message(f"inference.{name}Response") for name in _UNARY}


def _asked(method: str, request: bytes) -> Any:
    try:
        return _REQUESTS[method].FromString(request)
    except DecodeError:
        raise BadRequest(f"{method}Request") from None


def _answer(method: str, **fields: Any) -> bytes:
    written: bytes = _RESPONSES[method](**fields).SerializeToString()
    return written

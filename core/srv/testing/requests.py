"""Requests as tests write them and as bodies of the protocol, and the interface of what sends them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from srv.client import bodies
from srv.messages import InferenceRequest, RequestedOutput
from srv.tensors import EMPTY, Parameters, Tensor
from srv.testing.answers import Answer

if TYPE_CHECKING:
    import grpc

#: A request as tests write it: values by the names of the inputs (arrays, lists, tensors), tensors, or the whole.
Asked: TypeAlias = Mapping[str, Any] | Sequence[Tensor] | InferenceRequest


class ServerUnderTest(Protocol):
    """A server that requests can be sent to, real or in process. Each method returns the answer, also an error."""

    def request(
        self, method: str, path: str, body: bytes | None = None, *, headers: Mapping[str, str] = EMPTY
    ) -> Answer:
        """Send one request as it stands."""

    def post(self, path: str, document: Any = None, *, headers: Mapping[str, str] = EMPTY) -> Answer:
        """Send a POST with a body of JSON; bytes are sent as they stand."""

    @property
    def grpc_address(self) -> str:
        """The server's gRPC face, as `host:port`."""

    def grpc_channel(self) -> AbstractContextManager[grpc.Channel]:
        """Return a channel to it, which is left when it has been asked."""


def path_of(model: str, version: str | None = None) -> str:
    """Return a model's path in the protocol."""
    return f"/v2/models/{model}" + ("" if version is None else f"/versions/{version}")


def as_request(
    asked: Asked,
    *,
    outputs: Iterable[RequestedOutput | str] | None = None,
    parameters: Parameters = EMPTY,
    id: str | None = None,
) -> InferenceRequest:
    """Return the inference request that a test means; one that is given whole stays as it is."""
    if isinstance(asked, InferenceRequest):
        return asked
    tensors = [_named(name, value) for name, value in asked.items()] if isinstance(asked, Mapping) else list(asked)
    return InferenceRequest(tensors, id, outputs, parameters)


def as_binary(request: InferenceRequest) -> tuple[bytes, dict[str, str]]:
    """Return the body with all tensors as binary data, which asks for such outputs too, and its headers."""
    parts, headers = bodies.as_binary(request)
    return b"".join(parts), {name: value for name, value in headers.items() if name != "Content-Length"}


def _named(name: str, value: Any) -> Tensor:
    if isinstance(value, Tensor):
        return Tensor.trusted(name, value.data, value.datatype, value.parameters, missing=value.missing)
    return Tensor(name, value)

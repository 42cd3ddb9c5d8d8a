"""Requests as tests write them and as bodies of the protocol, and the interface of what sends them."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np
import orjson

from srv.codecs import is_binary
from srv.messages import InferenceRequest, RequestedOutput
from srv.rest.binary import HEADER, SIZE
from srv.tensors import EMPTY, Parameters, Tensor, null_of
from srv.testing.answers import Answer
from srv.wire.raw_tensors import write_raw

if TYPE_CHECKING:
    import grpc

#: A request as tests write it: values by the names of the inputs (arrays, lists, tensors), tensors, or the whole.
Asked: TypeAlias = Mapping[str, Any] | Sequence[Tensor] | InferenceRequest


class NoJsonForm(ValueError):
    """A tensor holds what JSON cannot say, so it cannot be sent as JSON."""


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


def as_json(request: InferenceRequest) -> bytes:
    """Return the body that a client sends. Raises NoJsonForm for what JSON cannot say."""
    return _document(request, [{**_head(tensor), "data": _data(tensor)} for tensor in request.inputs])


def as_binary(request: InferenceRequest) -> tuple[bytes, dict[str, str]]:
    """Return the body with all tensors as binary data, which asks for such outputs too, and its headers."""
    inputs, behind = [], []
    for tensor in request.inputs:
        data = bytes(write_raw(tensor))
        inputs.append({**_head(tensor), "parameters": {**tensor.parameters, SIZE: len(data)}})
        behind.append(data)
    head = _document(request, inputs, binary_data_output=True)
    headers = {HEADER: str(len(head)), "Content-Type": "application/octet-stream"}
    return b"".join([head, *behind]), headers


def _document(request: InferenceRequest, inputs: list[dict[str, Any]], **parameters: Any) -> bytes:
    document: dict[str, Any] = {"inputs": inputs}
    if request.id is not None:
        document["id"] = request.id
    if request.parameters or parameters:
        document["parameters"] = {**request.parameters, **parameters}
    if request.outputs is not None:
        document["outputs"] = [
            {"name": output.name, "parameters": dict(output.parameters)} for output in request.outputs
        ]
    return orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY)


def _head(tensor: Tensor) -> dict[str, Any]:
    head: dict[str, Any] = {"name": tensor.name, "datatype": tensor.datatype, "shape": list(tensor.shape)}
    if tensor.parameters:
        head["parameters"] = dict(tensor.parameters)
    return head


def _named(name: str, value: Any) -> Tensor:
    if isinstance(value, Tensor):
        return Tensor.trusted(name, value.data, value.datatype, value.parameters, missing=value.missing)
    return Tensor(name, value)


def _data(tensor: Tensor) -> Any:
    flat = tensor.data.reshape(-1)
    if tensor.datatype == "BYTES":
        if is_binary(tensor.parameters.get("content_type")):
            return [None if value is None else b64encode(value).decode() for value in flat.tolist()]
        try:
            nulls = (None, null_of(tensor.parameters))
            return [None if value in nulls else value.decode() for value in flat]
        except UnicodeDecodeError:
            raise NoJsonForm(f"Tensor '{tensor.name}' holds bytes that are not UTF-8, which JSON cannot say.") from None
    if tensor.datatype == "BF16":
        raise NoJsonForm(f"Tensor '{tensor.name}' is BF16, which has no JSON form.")
    if flat.dtype.kind == "f":
        if np.isinf(flat).any():
            raise NoJsonForm(f"Tensor '{tensor.name}' holds infinity, which JSON cannot say.")
        return flat.astype(np.float64) if flat.dtype == np.float16 else flat
    return flat

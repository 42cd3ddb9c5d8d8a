"""Bodies of requests for inference over HTTP: as JSON, and with binary data behind the JSON."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from srv.client.arguments import as_json_bytes
from srv.errors import InvalidInput
from srv.messages import InferenceRequest
from srv.rest.binary import HEADER, SIZE
from srv.tensors import Tensor, null_of
from srv.wire.raw_tensors import write_raw

#: What a body consists of; tensors are views of their arrays.
Parts = Sequence[bytes | memoryview]


class NoJsonForm(InvalidInput, ValueError):
    """A tensor holds what JSON cannot say, so it cannot be sent as JSON."""


def as_json(request: InferenceRequest) -> bytes:
    """Return the body with all data as JSON. Raises NoJsonForm for what JSON cannot say."""
    return _document(request, [_in_json(tensor) for tensor in request.inputs])


def as_binary(request: InferenceRequest, *, binary_outputs: bool = True) -> tuple[Parts, dict[str, str]]:
    """Return the parts of the body with data as bytes behind the JSON, and its headers.

    Missing values of BYTES have no form in bytes, so a tensor with some stays JSON. With `binary_outputs` the request asks for
    such outputs too.
    """
    inputs: list[dict[str, Any]] = []
    behind: list[bytes | memoryview] = []
    for tensor in request.inputs:
        if tensor.missing:
            inputs.append(_in_json(tensor))
            continue
        data = write_raw(tensor)
        size = data.nbytes if isinstance(data, memoryview) else len(data)
        inputs.append({**_head(tensor), "parameters": {**tensor.parameters, SIZE: size}})
        behind.append(data)
    asked = {"binary_data_output": True} if binary_outputs else {}
    head = _document(request, inputs, **asked)
    size = len(head) + sum(memoryview(part).nbytes for part in behind)
    headers = {HEADER: str(len(head)), "Content-Type": "application/octet-stream", "Content-Length": str(size)}
    return [head, *behind], headers


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
    return as_json_bytes("The request", document)


def _head(tensor: Tensor) -> dict[str, Any]:
    head: dict[str, Any] = {"name": tensor.name, "datatype": tensor.datatype, "shape": list(tensor.shape)}
    if tensor.parameters:
        head["parameters"] = dict(tensor.parameters)
    return head


def _in_json(tensor: Tensor) -> dict[str, Any]:
    return {**_head(tensor), "data": _data(tensor)}


def _data(tensor: Tensor) -> Any:
    flat = tensor.data.reshape(-1)
    if tensor.datatype == "BYTES":
        return _texts(tensor, flat.tolist())
    if tensor.datatype == "BF16":
        raise NoJsonForm(f"Tensor '{tensor.name}' is BF16, which has no JSON form.")
    if flat.dtype.kind == "f":
        if np.isinf(flat).any():
            raise NoJsonForm(f"Tensor '{tensor.name}' holds infinity, which JSON cannot say.")
        return flat.astype(np.float64) if flat.dtype == np.float16 else flat
    return flat


def _texts(tensor: Tensor, elements: list[bytes | None]) -> list[str | None]:
    if _is_binary(tensor.parameters):
        return [None if element is None else b64encode(element).decode() for element in elements]
    null = null_of(tensor.parameters)
    try:
        return [None if element is None or element == null else element.decode() for element in elements]
    except UnicodeDecodeError:
        raise NoJsonForm(f"Tensor '{tensor.name}' holds bytes that are not UTF-8, which JSON cannot say.") from None


def _is_binary(parameters: Mapping[str, Any]) -> bool:
    content_type = parameters.get("content_type")
    if content_type is None:
        return False
    from srv.codecs import is_binary  # here, because the codecs are looked for in all installed packages

    return is_binary(content_type)

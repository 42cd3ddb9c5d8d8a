"""Responses to inference over HTTP: JSON, with binary data behind it or without."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from srv.messages import InferenceResponse
from srv.rest.binary import HEADER, SIZE
from srv.rest.json_tensors import read_data, read_texts
from srv.tensors import EMPTY, Tensor, null_of
from srv.wire.base64_tensors import read_base64
from srv.wire.raw_tensors import read_raw


class _Output(msgspec.Struct):
    """One tensor of a response; its data stay text until the datatype is known."""

    name: str
    datatype: str
    shape: list[int]
    data: msgspec.Raw = msgspec.Raw()
    parameters: dict[str, Any] | None = None


class _Response(msgspec.Struct):
    """An inference response as JSON has it. KServe's says no model's name in some errors, hence its default."""

    outputs: list[_Output]
    model_name: str = ""
    model_version: str | None = None
    id: str | None = None
    parameters: dict[str, Any] | None = None


_DECODER = msgspec.json.Decoder(_Response)


def read_response(body: bytes | bytearray | memoryview, headers: Mapping[str, str]) -> InferenceResponse:
    """Return the inference response of a body. Names of headers are in lower case.

    Raises msgspec.MsgspecError, ValueError or InvalidInput for a body that is none.
    """
    length = int(headers.get(HEADER.lower(), len(body)))
    data = memoryview(body)
    read = _DECODER.decode(data[:length])
    behind = _Behind(data[length:])
    outputs = [_tensor(output, f"outputs[{place}]", behind) for place, output in enumerate(read.outputs)]
    response = InferenceResponse(outputs, read.parameters or EMPTY, headers)
    response.model_name, response.model_version, response.id = read.model_name, read.model_version, read.id
    return response


class _Behind:
    """The binary data behind a response's JSON, taken from the front, output by output."""

    def __init__(self, data: memoryview) -> None:
        self._data = data

    def take(self, size: int) -> memoryview:
        """Return the next bytes of that number."""
        taken, self._data = self._data[:size], self._data[size:]
        return taken


def _tensor(output: _Output, where: str, behind: _Behind) -> Tensor:
    parameters = dict(output.parameters or EMPTY)
    size = parameters.pop(SIZE, None)
    if size is not None:
        array = read_raw(behind.take(size), output.datatype, output.shape, where)
        return Tensor.trusted(output.name, array, output.datatype, parameters)
    if output.datatype != "BYTES":
        array = read_data(output.data, output.datatype, output.shape, where)
        return Tensor.trusted(output.name, array, output.datatype, parameters)
    array, missing = read_texts(output.data, output.shape, where, null=null_of(parameters))
    if _is_base64(parameters):
        array = read_base64(array, where)
    return Tensor.trusted(output.name, array, output.datatype, parameters, missing=missing)


def _is_base64(parameters: Mapping[str, Any]) -> bool:
    content_type = parameters.get("content_type")
    if content_type is None:
        return False
    from srv.codecs import is_binary  # here, because the codecs are looked for in all installed packages

    return is_binary(content_type)

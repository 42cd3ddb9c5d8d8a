"""Inference responses as JSON: arrays go from memory to text without Python objects."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import orjson

from srv.errors import InvalidInput
from srv.messages import InferenceResponse
from srv.rest.binary import SIZE
from srv.tensors import Tensor, null_of
from srv.wire.base64_tensors import Octets
from srv.wire.raw_tensors import write_raw

#: What goes on the wire as it is.
Bytes: TypeAlias = bytes | memoryview


class NotText(InvalidInput):
    """A BYTES output is not text, which JSON needs."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"Output '{name}' is not UTF-8 text, which JSON needs; ask for it as binary output, or with the content "
            "type base64."
        )


class Bfloat16InJson(InvalidInput):
    """A BF16 output was asked for in JSON."""

    def __init__(self, name: str) -> None:
        super().__init__(f"Output '{name}' is BF16, which has no JSON form; ask for it as binary output.")


def write_response(
    response: InferenceResponse, binary: Callable[[str], bool] | None, octets: Octets | None = None
) -> tuple[bytes, list[Bytes]]:
    """Return the response's JSON, and the bytes of the outputs that go as binary data behind it.

    `octets` tells which outputs of the model are base64 in JSON. Data in JSON are flat, in row-major order. NaN and
    ±Infinity become null.

    Raises InvalidInput for an output that JSON cannot hold.
    """
    answer: dict[str, Any] = {"model_name": response.model_name}
    if response.model_version is not None:
        answer["model_version"] = response.model_version
    if response.id is not None:
        answer["id"] = response.id
    if response.parameters:
        answer["parameters"] = dict(response.parameters)
    behind: list[Bytes] = []
    outputs = [
        _output(tensor, octets) if binary is None or not binary(tensor.name) else _binary_output(tensor, behind)
        for tensor in response.outputs
    ]
    answer["outputs"] = outputs
    text = orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY)
    if b"null" in text and sum(map(_mark_infinities, outputs)):
        text = orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY)
    return text, behind


def _mark_infinities(output: dict[str, Any]) -> bool:
    """Mark an output whose nulls were infinite in part; called after writing, because hardly any output has a null."""
    data = output.get("data")
    infinite = isinstance(data, np.ndarray) and data.dtype.kind == "f" and bool(np.isinf(data).any())
    if infinite:
        output["parameters"] = {**output.get("parameters", {}), "non_finite": True}
    return infinite


def _binary_output(tensor: Tensor, behind: list[Bytes]) -> dict[str, Any]:
    data = write_raw(tensor)
    behind.append(data)
    return {
        "name": tensor.name,
        "datatype": tensor.datatype,
        "shape": tensor.shape,
        "parameters": {**tensor.parameters, SIZE: len(data)},
    }


def _output(tensor: Tensor, octets: Octets | None) -> dict[str, Any]:
    data: Any = tensor.data.reshape(-1)
    if tensor.datatype == "BYTES" and octets is not None and octets.is_output(tensor.parameters.get("content_type")):
        data = [b64encode(value).decode() for value in data.tolist()]
    elif tensor.datatype == "BYTES":
        data = _texts(tensor.name, data, null_of(tensor.parameters))
    elif tensor.datatype == "BF16":
        raise Bfloat16InJson(tensor.name)
    elif tensor.datatype == "FP16":
        data = data.astype(np.float32)  # exact, and every release of orjson writes it
    output: dict[str, Any] = {"name": tensor.name, "datatype": tensor.datatype, "shape": tensor.shape, "data": data}
    if tensor.parameters:
        output["parameters"] = dict(tensor.parameters)
    return output


def _texts(name: str, values: np.ndarray[Any, Any], null: bytes | None) -> list[str | None]:
    try:
        if null is not None:
            return [None if value == null else value.decode() for value in values]
        return [value.decode() for value in values]
    except UnicodeDecodeError:
        raise NotText(name) from None

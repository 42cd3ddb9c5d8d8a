"""An inference response as JSON: arrays go from memory to text without Python objects."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import orjson

from srv.errors import InvalidInput
from srv.messages import InferenceResponse
from srv.rawdata import write_raw
from srv.rest.binary import SIZE
from srv.tensors import Tensor

#: What goes on the wire as it is.
Bytes: TypeAlias = bytes | memoryview


class NotText(InvalidInput):
    """A BYTES output that JSON cannot say."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"Output '{name}' is not UTF-8 text, which JSON needs; ask for it as binary output, or with the content "
            "type base64."
        )


class Bfloat16InJson(InvalidInput):
    """A BF16 output that JSON cannot say."""

    def __init__(self, name: str) -> None:
        super().__init__(f"Output '{name}' is BF16, which has no JSON form; ask for it as binary output.")


def write_response(response: InferenceResponse, binary: Callable[[str], bool] | None) -> tuple[bytes, list[Bytes]]:
    """The response's JSON, and behind it the bytes of the outputs that go as binary data, if any may.

    Data in JSON are flat, in row-major order. NaN and ±Infinity become null.

    Raises InvalidInput for an output that JSON cannot say.
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
        _output(tensor) if binary is None or not binary(tensor.name) else _binary_output(tensor, behind)
        for tensor in response.outputs
    ]
    answer["outputs"] = outputs
    text = orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY)
    if b"null" in text and sum(map(_mark_infinities, outputs)):
        text = orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY)
    return text, behind


def _mark_infinities(output: dict[str, Any]) -> bool:
    """Say of an output that some of its nulls were infinite; done after writing, because hardly any has a null."""
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


def _output(tensor: Tensor) -> dict[str, Any]:
    data: Any = tensor.data.reshape(-1)
    if tensor.datatype == "BYTES":
        data = _texts(tensor.name, data)
    elif tensor.datatype == "BF16":
        raise Bfloat16InJson(tensor.name)
    elif tensor.datatype == "FP16":
        data = data.astype(np.float32)  # exact, and every release of orjson writes it
    output: dict[str, Any] = {"name": tensor.name, "datatype": tensor.datatype, "shape": tensor.shape, "data": data}
    if tensor.parameters:
        output["parameters"] = dict(tensor.parameters)
    return output


def _texts(name: str, values: np.ndarray[Any, Any]) -> list[str]:
    try:
        return [value.decode() for value in values]
    except UnicodeDecodeError:
        raise NotText(name) from None

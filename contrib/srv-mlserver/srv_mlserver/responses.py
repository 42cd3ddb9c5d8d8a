"""Responses, metadata and errors of MLServer's classes as srv has them."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from mlserver import types
from mlserver.errors import MLServerError

from srv import InferenceResponse, InvalidInput, Spec, Tensor, Unavailable
from srv.errors import ModelError
from srv.tensors import DTYPES


class NoResponse(ModelError):
    """The class answered with something else than MLServer's response."""

    def __init__(self, method: str, value: object) -> None:
        super().__init__(
            f"{method} returned a {type(value).__name__}, and MLServer's classes return an InferenceResponse."
        )


class OutputUnfit(ModelError):
    """An output has data that do not fit its own datatype or shape."""

    def __init__(self, name: str, why: str) -> None:
        super().__init__(f"The output '{name}' {why}.")


def response_of(answer: object, method: str) -> InferenceResponse:
    """Return a response of MLServer's as one of srv's. Raises NoResponse or OutputUnfit."""
    if not isinstance(answer, types.InferenceResponse):
        raise NoResponse(method, answer)
    parameters, headers = plain(answer.parameters)
    return InferenceResponse([_tensor(output) for output in answer.outputs], parameters=parameters, headers=headers)


def plain(parameters: types.Parameters | None) -> tuple[dict[str, Any], dict[str, str]]:
    """Return parameters as both faces can say them, and the headers that were among them.

    Lists and objects, which MLServer's REST face sends nested, become JSON text.
    """
    if parameters is None:
        return {}, {}
    said = parameters.model_dump(exclude_none=True)
    headers = {str(name): str(value) for name, value in (said.pop("headers", None) or {}).items()}
    return {
        name: value if isinstance(value, str | bool | int | float) else json.dumps(value, default=str)
        for name, value in said.items()
    }, headers


def spec_of(tensor: types.MetadataTensor) -> Spec:
    """Return a tensor of MLServer's metadata as srv's."""
    parameters, _ = plain(tensor.parameters)
    return Spec(types.Datatype(tensor.datatype).value, tuple(tensor.shape), tensor.name, parameters)


def error_of(error: MLServerError) -> Exception:
    """Return srv's error for an error of MLServer's, by its status; the same error where it is the class's own fault."""
    if 400 <= error.status_code < 500:
        return InvalidInput(str(error))
    return Unavailable(str(error)) if error.status_code == 503 else error


def _tensor(output: types.ResponseOutput) -> Tensor:
    data = getattr(output.data, "root", output.data)
    datatype = types.Datatype(output.datatype).value
    shape = tuple(int(length) for length in output.shape)
    parameters, _ = plain(output.parameters)
    if datatype == "BYTES":
        flat = list(_flat([data] if isinstance(data, str | bytes) else data))
        if len(flat) != math.prod(shape):  # because many classes say the length of a text
            shape = (len(flat),)
        return Tensor(output.name, _objects([_element(output.name, each) for each in flat]), "BYTES", shape, parameters)
    array = _array(output.name, data, DTYPES[datatype])
    if array.size != math.prod(shape):
        raise OutputUnfit(output.name, f"has {array.size} values, which do not fill its shape {list(shape)}")
    return Tensor(output.name, np.ascontiguousarray(array).reshape(shape), datatype, None, parameters)


def _array(name: str, data: Any, dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
    """Return the data as an array; None is NaN where the datatype has one. Raises OutputUnfit where a value changes."""
    try:
        array = data if isinstance(data, np.ndarray) else np.array(data)
        if array.dtype == dtype:
            return array
        if array.dtype.kind == "O":
            return np.array(data, dtype=dtype)
        if array.size and dtype.kind in "iu" and array.dtype.kind in "iu":
            limits = np.iinfo(dtype)
            if int(array.min()) < limits.min or int(array.max()) > limits.max:
                raise OutputUnfit(name, f"has a value that is out of {dtype.name}'s range")
        elif array.size and dtype.kind in "iub" and array.dtype.kind == "f" and not (array == np.trunc(array)).all():
            raise OutputUnfit(name, f"has a value that is no whole number, and says {dtype.name}")
        return array.astype(dtype)
    except (TypeError, ValueError, OverflowError) as error:
        raise OutputUnfit(name, f"has data that are no {dtype.name}") from error


def _flat(data: Any) -> Iterator[Any]:
    for each in data:
        if isinstance(each, list | tuple | np.ndarray) or (
            isinstance(each, Mapping) is False and _is_tensor_data(each)
        ):
            yield from _flat(getattr(each, "root", each))
        else:
            yield each


def _is_tensor_data(value: object) -> bool:
    return isinstance(value, types.TensorData)


def _element(name: str, value: Any) -> Any:
    """Return an element of BYTES; what is neither text nor bytes is as MLServer's JSON has it, in JSON."""
    if isinstance(value, str | bytes):
        return value
    try:
        return json.dumps(value)
    except TypeError as error:
        raise OutputUnfit(name, f"has an element of type {type(value).__name__}, which BYTES cannot carry") from error


def _objects(values: list[Any]) -> np.ndarray[Any, Any]:
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array

"""Edge cases made from a good request: a runtime may refuse each of them and may fail at none."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from srv.messages import InferenceRequest
from srv.tensors import DTYPES, Tensor

#: What a request is, in a sentence's middle, and the request.
Described = tuple[str, InferenceRequest]

UNKNOWN_INPUT = "an_input_that_no_model_has"


def edge_case_requests(good: InferenceRequest) -> Iterator[Described]:
    """Yield requests like the good one with one thing changed; a model may refuse each, and must not fail on it."""
    yield "a request with no inputs", _with(good, [])
    for place, tensor in enumerate(good.inputs):
        if len(good.inputs) > 1:
            yield f"a request without the input '{tensor.name}'", _with(good, _without(good.inputs, place))
        for what, changed in _changed_tensors(tensor):
            yield f"the input '{tensor.name}' {what}", _with(good, _replaced(good.inputs, place, changed))
    more = [*good.inputs, Tensor(UNKNOWN_INPUT, [1.0])]
    yield "an input that the model does not know, beside the right ones", _with(good, more)


def variants(good: InferenceRequest) -> Iterator[InferenceRequest]:
    """Yield other requests that a model of the good one probably takes: more rows, and rows in another order."""
    if not good.inputs or any(not tensor.shape or not tensor.shape[0] for tensor in good.inputs):
        return
    for rows in (lambda a: np.concatenate([a, a]), lambda a: a[::-1], lambda a: np.concatenate([a, a[:1], a])):
        yield _with(good, [_tensor(tensor, rows(tensor.data)) for tensor in good.inputs])


def samples(datatype: str) -> Iterator[tuple[str, Tensor]]:
    """Yield small tensors of a datatype, in shapes that authors forget, for a codec to read or refuse."""
    value: Any = b"\xff\xfe" if datatype == "BYTES" else 1
    words = "bytes that are no text" if datatype == "BYTES" else "ones"
    for shape in ((), (1,), (2,), (1, 1), (2, 3), (0,), (1, 0), (2, 1, 1)):
        array = np.full(shape, value, DTYPES[datatype])
        yield f"{datatype} {list(shape)} of {words}", Tensor.trusted("x", array, datatype)
    if datatype == "BYTES":
        for what, element in (("empty text", b""), ("NUL", b"\0"), ("text", b"text"), ("a digit", b"1")):
            array = np.full((1,), element, object)
            yield f"BYTES [1] of {what}", Tensor.trusted("x", array, datatype)
    elif datatype.startswith("FP"):
        yield f"{datatype} [1] of NaN", Tensor.trusted("x", np.full((1,), np.nan, DTYPES[datatype]), datatype)


def _changed_tensors(tensor: Tensor) -> Iterator[tuple[str, Tensor]]:
    data = tensor.data
    if data.ndim and data.shape[0]:
        yield "with no rows", _tensor(tensor, data[:0])
    if data.ndim > 1 and data.shape[-1] > 1:
        yield "with rows that are too short", _tensor(tensor, data[..., :-1])
        yield "flattened", _tensor(tensor, data.reshape(-1))
    if data.size:
        yield "as a scalar", _tensor(tensor, data.reshape(-1)[:1].reshape(()))
    yield "with a dimension more", _tensor(tensor, data[..., np.newaxis])
    if tensor.datatype == "BYTES":
        yield "as empty texts", _tensor(tensor, np.full(data.shape, b"", object))
        if data.size:
            yield "as missing values, which are null in JSON", _tensor(tensor, np.full(data.shape, None, object))
        yield "as FP32", Tensor.trusted(tensor.name, np.ones(data.shape, np.float32), "FP32", tensor.parameters)
        return
    if data.dtype.kind == "f":
        yield "as NaN, which is null in JSON", _tensor(tensor, np.full(data.shape, np.nan, data.dtype))
    if data.dtype.kind in "if":
        yield "with negative numbers", _tensor(tensor, -np.abs(data) - data.dtype.type(1))
    yield "as BYTES", Tensor.trusted(tensor.name, np.full(data.shape, b"text", object), "BYTES", tensor.parameters)
    if tensor.datatype != "BOOL":
        yield "as BOOL", Tensor.trusted(tensor.name, np.ones(data.shape, np.bool_), "BOOL", tensor.parameters)


def _tensor(like: Tensor, array: np.ndarray[Any, Any]) -> Tensor:
    # ascontiguousarray would make a scalar an array of one
    missing = like.datatype == "BYTES" and None in array.reshape(-1).tolist()
    return Tensor.trusted(like.name, np.array(array, order="C"), like.datatype, like.parameters, missing=missing)


def _with(good: InferenceRequest, inputs: Sequence[Tensor]) -> InferenceRequest:
    return InferenceRequest(inputs, good.id, good.outputs, good.parameters)


def _without(tensors: Sequence[Tensor], place: int) -> list[Tensor]:
    return [tensor for each, tensor in enumerate(tensors) if each != place]


def _replaced(tensors: Sequence[Tensor], place: int, changed: Tensor) -> list[Tensor]:
    return [changed if each == place else tensor for each, tensor in enumerate(tensors)]

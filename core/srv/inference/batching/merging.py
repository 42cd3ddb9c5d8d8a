"""Merging: which requests may run as one, how they become one, and how the response is split among them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from srv.cancellation import NOBODY
from srv.messages import InferenceRequest, InferenceResponse, RequestedOutput
from srv.tensors import EMPTY, Parameters, Tensor

#: What must be the same in requests that run as one.
BatchKey = tuple[Any, ...]

#: Parameters that say in which form the answer goes out, which is the face's business.
_OF_THE_FACE = frozenset({"binary_data", "binary_data_output"})
_PLAIN = frozenset({str, int, float, bool})
_NOTHING: frozenset[tuple[str, str]] = frozenset()


def rows_of(request: InferenceRequest) -> int | None:
    """Return the number of rows that all inputs have; None where they have not the same number, or no first dimension."""
    rows: int | None = None
    for tensor in request.inputs:
        shape = tensor.shape
        if not shape or (rows is not None and shape[0] != rows):
            return None
        rows = shape[0]
    return rows


def batch_key(request: InferenceRequest) -> BatchKey | None:
    """Return what must be equal in requests that run as one; None where it cannot be compared."""
    try:
        return (
            _said(request.parameters),
            tuple(
                (tensor.name, tensor.datatype, tensor.data.dtype, tensor.shape[1:], _said(tensor.parameters))
                for tensor in request.inputs
            ),
            request.outputs and tuple((output.name, _said(output.parameters)) for output in request.outputs),
        )
    except _Incomparable:
        return None


def bare(request: InferenceRequest) -> InferenceRequest:
    """Return the request without what belongs to it alone: id, headers, and in which form the answer is to go out."""
    plain = InferenceRequest(request.inputs, parameters=_without_form(request.parameters))
    if request.outputs:
        plain.outputs = [RequestedOutput(output.name, _without_form(output.parameters)) for output in request.outputs]
    plain.model_name, plain.model_version = request.model_name, request.model_version
    plain.decoder = request.decoder
    plain.caller = request.caller
    return plain


def merged(requests: Sequence[InferenceRequest]) -> InferenceRequest:
    """Return one request with the rows of several that have the same key, in their order."""
    first = requests[0]
    inputs = []
    for place, tensor in enumerate(first.inputs):
        array = np.concatenate([request.inputs[place].data for request in requests])
        array.flags.writeable = False
        missing = any(request.inputs[place].missing for request in requests)
        inputs.append(Tensor.trusted(tensor.name, array, tensor.datatype, tensor.parameters, missing=missing))
    request = bare(first)
    request.inputs = inputs
    request.caller = NOBODY
    return request


def split(response: InferenceResponse, lengths: Sequence[int]) -> list[InferenceResponse]:
    """Split a response by rows, so many for each request; parameters and headers go to all of them."""
    parts = []
    end = 0
    for rows in lengths:
        start, end = end, end + rows
        outputs = [
            Tensor.trusted(tensor.name, tensor.data[start:end], tensor.datatype, _own(tensor.parameters))
            for tensor in response.outputs
        ]
        parts.append(InferenceResponse(outputs, _own(response.parameters), _own(response.headers)))
    return parts


class _Incomparable(Exception):
    """A parameter that is none of the protocol's."""


def _said(parameters: Parameters) -> frozenset[tuple[str, str]]:
    """Return parameters in a form in which 1, 1.0, true and '1' differ."""
    if not parameters:
        return _NOTHING
    if not all(type(value) in _PLAIN for value in parameters.values()):
        raise _Incomparable
    return frozenset((name, repr(value)) for name, value in parameters.items())


def _without_form(parameters: Parameters) -> Parameters:
    if not parameters or _OF_THE_FACE.isdisjoint(parameters):
        return parameters
    return {name: value for name, value in parameters.items() if name not in _OF_THE_FACE}


def _own(mapping: Mapping[str, Any]) -> Mapping[str, Any]:
    return dict(mapping) if mapping else EMPTY

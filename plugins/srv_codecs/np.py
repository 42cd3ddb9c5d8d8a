"""Content type np: a tensor as the numpy array that it is."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from srv.arrays import NotPlain, plain_array
from srv.codec import InputCodec, RequestCodec
from srv.errors import InvalidInput
from srv.messages import InferenceRequest, InferenceResponse
from srv.tensors import Tensor, datatype_of

#: What a request or response is called to carry where only one tensor can be meant.
INPUT, OUTPUT = "input", "output"
_MOST_DIMENSIONS = 64


class OneTensor(InvalidInput):
    """A request or response of this content type does not have exactly one tensor."""

    def __init__(self, what: str, content_type: str, count: int) -> None:
        super().__init__(f"A whole {what} of content type '{content_type}' has one tensor, and this one has {count}.")


def only(what: str, content_type: str, tensors: Any) -> Tensor:
    """Return the one tensor of a request or response. Raises OneTensor for another number."""
    if len(tensors) != 1:
        raise OneTensor(what, content_type, len(tensors))
    tensor: Tensor = tensors[0]
    return tensor


def _are_numbers(values: list[Any]) -> bool:
    """Whether lists, nested or not, are an array of numbers: not ragged, no text, nothing missing."""
    first: Any = values
    for _ in range(_MOST_DIMENSIONS):  # so many and no more, because a list may hold itself
        if not (isinstance(first, list) and first):
            break
        first = first[0]
    if not isinstance(first, bool | int | float | np.generic):
        return False
    try:
        return plain_array(values).dtype.kind in "biuf"
    except NotPlain:
        return False


class NumpyCodec(InputCodec, RequestCodec):
    """Arrays of every datatype, unchanged: `[N]` stays `[N]`."""

    content_type: ClassVar[str] = "np"
    type_hint: ClassVar[Any] = np.ndarray

    def can_encode(self, value: Any) -> bool:
        """Whether it is an array or numpy scalar of a type that the protocol can carry, a number, or lists of them."""
        if isinstance(value, np.ndarray | np.generic):
            return value.dtype.kind == "O" or datatype_of(value.dtype) is not None
        return isinstance(value, bool | int | float) or (isinstance(value, list) and _are_numbers(value))

    def decode(self, tensor: Tensor) -> np.ndarray[Any, Any]:
        """Return the tensor's array itself."""
        return tensor.data

    def encode(self, name: str, value: Any) -> Tensor:
        """Return a tensor over the same memory if the array is contiguous and native."""
        return Tensor(name, value, parameters={"content_type": self.content_type})

    def decode_request(self, request: InferenceRequest) -> np.ndarray[Any, Any]:
        """Return the array of the one input."""
        return self.decode(only("request", self.content_type, request.inputs))

    def decode_response(self, response: InferenceResponse) -> np.ndarray[Any, Any]:
        """Return the array of the one output."""
        return self.decode(only("response", self.content_type, response.outputs))

    def encode_request(self, value: Any) -> InferenceRequest:
        """Return a request whose one input is called `input`."""
        return InferenceRequest([self.encode(INPUT, value)], parameters={"content_type": self.content_type})

    def encode_response(self, value: Any) -> InferenceResponse:
        """Return a response whose one output is called `output`."""
        return InferenceResponse([self.encode(OUTPUT, value)], parameters={"content_type": self.content_type})

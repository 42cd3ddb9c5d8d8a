"""The two ways a value travels: as one tensor, or as a whole request."""

from __future__ import annotations

from typing import Any, TypeAlias

from srv.coding import InputCodec, RequestCodec
from srv.messages import InferenceRequest, InferenceResponse
from srv.tensors import Tensor

INPUT = "x"

#: A codec of either kind.
Codec: TypeAlias = InputCodec | RequestCodec


class OneTensor:
    """An input codec's way: a value is a tensor."""

    noun = "tensor"

    def __init__(self, codec: InputCodec) -> None:
        self._codec = codec

    def request(self, value: Any) -> InferenceRequest:
        """The request that carries a value."""
        return InferenceRequest([self._codec.encode(INPUT, value)])

    def of_request(self, request: InferenceRequest) -> Any:
        """The value of a request."""
        return self._codec.decode(request.tensor(INPUT))

    def response(self, value: Any) -> InferenceResponse:
        """The response that carries a value."""
        return InferenceResponse([self._codec.encode(INPUT, value)])

    def of_response(self, response: InferenceResponse) -> Any:
        """The value of a response."""
        return self._codec.decode(response.outputs[0])

    def content_type(self, message: InferenceRequest | InferenceResponse) -> Any:
        """What the message says of its content type."""
        tensors = message.inputs if isinstance(message, InferenceRequest) else message.outputs
        return tensors[0].parameters.get("content_type")

    def wrong(self, given: Tensor | InferenceRequest) -> InferenceRequest | None:
        """The request with something wrong that was given; None where it is not for this kind of codec."""
        if isinstance(given, InferenceRequest):
            return None
        return InferenceRequest([Tensor.trusted(INPUT, given.data, given.datatype, given.parameters)])

    advice = (
        "encode must give a Tensor of the name it is called with and parameters={'content_type': self.content_type}."
    )


class WholeRequest:
    """A request codec's way: a value is a whole request, or a whole response."""

    noun = "request"

    def __init__(self, codec: RequestCodec) -> None:
        self._codec = codec

    def request(self, value: Any) -> InferenceRequest:
        """The request that carries a value."""
        return self._codec.encode_request(value)

    def of_request(self, request: InferenceRequest) -> Any:
        """The value of a request."""
        return self._codec.decode_request(request)

    def response(self, value: Any) -> InferenceResponse:
        """The response that carries a value."""
        return self._codec.encode_response(value)

    def of_response(self, response: InferenceResponse) -> Any:
        """The value of a response."""
        return self._codec.decode_response(response)

    def content_type(self, message: InferenceRequest | InferenceResponse) -> Any:
        """What the message says of its content type."""
        return message.parameters.get("content_type")

    def wrong(self, given: Tensor | InferenceRequest) -> InferenceRequest | None:
        """The request with something wrong that was given; None where it is not for this kind of codec."""
        return InferenceRequest([given]) if isinstance(given, Tensor) else given

    advice = "encode_request and encode_response must say parameters={'content_type': self.content_type}."


#: How one codec's values travel.
Way: TypeAlias = OneTensor | WholeRequest

"""What carries a codec's value: one tensor, or a whole request."""

from __future__ import annotations

from typing import Any, TypeAlias

from srv.codec import InputCodec, RequestCodec
from srv.messages import InferenceRequest, InferenceResponse
from srv.tensors import Tensor

INPUT = "x"

#: A codec of either kind.
Codec: TypeAlias = InputCodec | RequestCodec


class OneTensor:
    """What carries a value of an input codec: one tensor."""

    noun = "tensor"

    def __init__(self, codec: InputCodec) -> None:
        self._codec = codec

    def request(self, value: Any) -> InferenceRequest:
        """Return the request that carries a value."""
        return InferenceRequest([self._codec.encode(INPUT, value)])

    def of_request(self, request: InferenceRequest) -> Any:
        """Return the value of a request."""
        return self._codec.decode(request.tensor(INPUT))

    def response(self, value: Any) -> InferenceResponse:
        """Return the response that carries a value."""
        return InferenceResponse([self._codec.encode(INPUT, value)])

    def of_response(self, response: InferenceResponse) -> Any:
        """Return the value of a response."""
        return self._codec.decode(response.outputs[0])

    def content_type(self, message: InferenceRequest | InferenceResponse) -> Any:
        """Return the content type that the message names."""
        tensors = message.inputs if isinstance(message, InferenceRequest) else message.outputs
        return tensors[0].parameters.get("content_type")

    def wrong(self, given: Tensor | InferenceRequest) -> InferenceRequest | None:
        """Return a request with the faulty tensor; None if what was given is not for this kind of codec."""
        if isinstance(given, InferenceRequest):
            return None
        return InferenceRequest([Tensor.trusted(INPUT, given.data, given.datatype, given.parameters)])

    advice = (
        "encode must give a Tensor of the name it is called with and parameters={'content_type': self.content_type}."
    )


class WholeRequest:
    """What carries a value of a request codec: a whole request, or a whole response."""

    noun = "request"

    def __init__(self, codec: RequestCodec) -> None:
        self._codec = codec

    def request(self, value: Any) -> InferenceRequest:
        """Return the request that carries a value."""
        return self._codec.encode_request(value)

    def of_request(self, request: InferenceRequest) -> Any:
        """Return the value of a request."""
        return self._codec.decode_request(request)

    def response(self, value: Any) -> InferenceResponse:
        """Return the response that carries a value."""
        return self._codec.encode_response(value)

    def of_response(self, response: InferenceResponse) -> Any:
        """Return the value of a response."""
        return self._codec.decode_response(response)

    def content_type(self, message: InferenceRequest | InferenceResponse) -> Any:
        """Return the content type that the message names."""
        return message.parameters.get("content_type")

    def wrong(self, given: Tensor | InferenceRequest) -> InferenceRequest | None:
        """Return the faulty request, made of the tensor if one was given."""
        return InferenceRequest([given]) if isinstance(given, Tensor) else given

    advice = "encode_request and encode_response must say parameters={'content_type': self.content_type}."


#: How one codec's values travel.
Way: TypeAlias = OneTensor | WholeRequest

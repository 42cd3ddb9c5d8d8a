"""The codec author's contract: a content type and its Python type, both ways."""

from __future__ import annotations

from typing import Any, ClassVar

from srv.messages import InferenceRequest, InferenceResponse
from srv.tensors import Tensor


class InputCodec:
    """A content type for one tensor. One instance serves all threads; keep no state of a request in it.

    `type_hint` is the Python type that `decode` gives and that a predict's argument is hinted with; where importing
    it is dear, its dotted name as a string. A class may be an InputCodec and a RequestCodec at once.
    """

    content_type: ClassVar[str]
    type_hint: ClassVar[Any]
    #: The datatype that its tensors always have, where there is one: what a signature declares for such an argument.
    datatype: ClassVar[str | None] = None
    #: Whether bytes are its natural form, as for pictures. Its tensors of BYTES are then base64 in JSON, and plain
    #: bytes as binary data and over gRPC; `decode` gets plain bytes in each case, and `encode` gives them.
    binary: ClassVar[bool] = False
    #: The codec that reads inputs in its place where predict's hint chose it and no content type is named.
    unnamed: ClassVar[InputCodec | None] = None

    def can_encode(self, value: Any) -> bool:  # noqa: ARG002 - overridden methods use it
        """Whether `encode` takes this value; asked of every codec in turn, so it must be cheap. By itself False."""
        return False

    def decode(self, tensor: Tensor) -> Any:
        """The tensor's value. Raises InvalidInput for data that is not of this content type."""
        raise NotImplementedError

    def encode(self, name: str, value: Any) -> Tensor:
        """A tensor of that name whose `parameters.content_type` tells the other side how to read it."""
        raise NotImplementedError


class RequestCodec:
    """A content type for a whole request or response, such as a table with a tensor per column."""

    content_type: ClassVar[str]
    type_hint: ClassVar[Any]
    #: What its tensors may call themselves that means something inside of its requests only.
    tensor_content_types: ClassVar[frozenset[str]] = frozenset()

    def can_encode(self, value: Any) -> bool:  # noqa: ARG002 - overridden methods use it
        """Whether `encode_request` and `encode_response` take this value. By itself False."""
        return False

    def decode_request(self, request: InferenceRequest) -> Any:
        """The value of a whole request. Raises InvalidInput for a request that is not of this content type."""
        raise NotImplementedError

    def decode_response(self, response: InferenceResponse) -> Any:
        """The value of a whole response, on the client's side."""
        raise NotImplementedError

    def encode_part(self, name: str, value: Any) -> Tensor | None:  # noqa: ARG002 - overridden methods use it
        """One output of a value that is a part of this codec's values, such as a column of a table; else None.

        Asked where no codec for one tensor takes what a model returns.
        """
        return None

    def encode_request(self, value: Any) -> InferenceRequest:
        """The request that carries this value, on the client's side."""
        raise NotImplementedError

    def encode_response(self, value: Any) -> InferenceResponse:
        """The response that carries this value."""
        raise NotImplementedError

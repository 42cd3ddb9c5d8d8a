"""Content type str: a tensor of UTF-8 text as a list of str."""

from __future__ import annotations

from typing import Any, ClassVar

from srv.coding import InputCodec, RequestCodec
from srv.messages import InferenceRequest, InferenceResponse
from srv.tensors import Tensor
from srv_codecs.lists import Unreadable, Unwritable, check_elements, read_elements, write_elements
from srv_codecs.np import INPUT, OUTPUT, only


class StringCodec(InputCodec, RequestCodec):
    """Text as UTF-8 in BYTES. Takes `[N]` and `[N,1]`, sends `[N]`."""

    content_type: ClassVar[str] = "str"
    type_hint: ClassVar[Any] = list[str]
    datatype: ClassVar[str | None] = "BYTES"

    def can_encode(self, value: Any) -> bool:
        """Whether it is one str, or a list with nothing but str in it."""
        if isinstance(value, str):
            return True
        return isinstance(value, list) and all(isinstance(element, str) for element in value)

    def decode(self, tensor: Tensor) -> list[str]:
        """The texts in order. Raises InvalidInput for another datatype or shape, and for what is not UTF-8."""
        elements = read_elements(tensor, self.content_type)
        try:
            return [element.decode() for element in elements]
        except UnicodeDecodeError:
            raise Unreadable(tensor.name, self.content_type, "it holds bytes that are not UTF-8") from None

    def encode(self, name: str, value: Any) -> Tensor:
        """A BYTES tensor of shape `[N]`; one str is a list of one."""
        texts = [value] if isinstance(value, str) else value
        check_elements(name, texts, str, self.content_type)
        try:
            return write_elements(name, [text.encode() for text in texts], self.content_type)
        except UnicodeEncodeError:
            raise Unwritable(name, self.content_type, "it holds surrogates, which UTF-8 cannot say") from None

    def decode_request(self, request: InferenceRequest) -> list[str]:
        """The texts of the one input."""
        return self.decode(only("request", self.content_type, request.inputs))

    def decode_response(self, response: InferenceResponse) -> list[str]:
        """The texts of the one output."""
        return self.decode(only("response", self.content_type, response.outputs))

    def encode_request(self, value: Any) -> InferenceRequest:
        """A request whose one input is called `input`."""
        return InferenceRequest([self.encode(INPUT, value)], parameters={"content_type": self.content_type})

    def encode_response(self, value: Any) -> InferenceResponse:
        """A response whose one output is called `output`."""
        return InferenceResponse([self.encode(OUTPUT, value)], parameters={"content_type": self.content_type})

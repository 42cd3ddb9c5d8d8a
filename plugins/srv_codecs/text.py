"""Content type str: a tensor of UTF-8 text as a list of str."""

from __future__ import annotations

from typing import Any, ClassVar

from srv.codec import InputCodec, RequestCodec
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
        """Whether it is one str, or a list of str only."""
        if isinstance(value, str):
            return True
        return isinstance(value, list) and all(isinstance(element, str) for element in value)

    def decode(self, tensor: Tensor) -> list[str]:
        """Return the texts in order. Raises InvalidInput for another datatype or shape, and for what is not UTF-8."""
        elements = read_elements(tensor, self.content_type)
        try:
            return [element.decode() for element in elements]
        except UnicodeDecodeError:
            raise Unreadable(tensor.name, self.content_type, "it holds bytes that are not UTF-8") from None

    def encode(self, name: str, value: Any) -> Tensor:
        """Return a BYTES tensor of shape `[N]`; one str is a list of one."""
        texts = [value] if isinstance(value, str) else value
        check_elements(name, texts, str, self.content_type)
        return write_elements(
            name, [self._encoded(name, place, text) for place, text in enumerate(texts)], self.content_type
        )

    def _encoded(self, name: str, place: int, text: str) -> bytes:
        try:
            return text.encode()
        except UnicodeEncodeError:
            why = f"element {place} holds half of a surrogate pair, which UTF-8 cannot say"
            raise Unwritable(name, self.content_type, why) from None

    def decode_request(self, request: InferenceRequest) -> list[str]:
        """Return the texts of the one input."""
        return self.decode(only("request", self.content_type, request.inputs))

    def decode_response(self, response: InferenceResponse) -> list[str]:
        """Return the texts of the one output."""
        return self.decode(only("response", self.content_type, response.outputs))

    def encode_request(self, value: Any) -> InferenceRequest:
        """Return a request whose one input is called `input`."""
        return InferenceRequest([self.encode(INPUT, value)], parameters={"content_type": self.content_type})

    def encode_response(self, value: Any) -> InferenceResponse:
        """Return a response whose one output is called `output`."""
        return InferenceResponse([self.encode(OUTPUT, value)], parameters={"content_type": self.content_type})

"""Content type base64: bytes of any kind as text, so that JSON can carry them."""

from __future__ import annotations

import base64
from typing import Any, ClassVar

from srv.codec import InputCodec
from srv.tensors import Tensor
from srv.wire.base64_tensors import bytes_of
from srv_codecs.lists import Unreadable, check_elements, read_elements, write_elements


class PlainBytes(InputCodec):
    """Plain bytes, for an input hinted with `list[bytes]` where no content type is named; base64 in JSON only."""

    content_type: ClassVar[str] = "base64"
    type_hint: ClassVar[Any] = list[bytes]
    datatype: ClassVar[str | None] = "BYTES"
    binary: ClassVar[bool] = True

    def decode(self, tensor: Tensor) -> list[bytes]:
        """Return the bytes in order, of `[N]` or `[N,1]`."""
        return list(read_elements(tensor, self.content_type))


class Base64Codec(InputCodec):
    """Bytes as base64 in BYTES, with the standard alphabet and padding. Takes `[N]` and `[N,1]`, sends `[N]`."""

    content_type: ClassVar[str] = "base64"
    type_hint: ClassVar[Any] = list[bytes]
    datatype: ClassVar[str | None] = "BYTES"
    unnamed: ClassVar[InputCodec | None] = PlainBytes()

    def can_encode(self, value: Any) -> bool:
        """Whether it is one bytes object, or a list of bytes objects only."""
        if isinstance(value, bytes):
            return True
        return isinstance(value, list) and all(isinstance(element, bytes) for element in value)

    def decode(self, tensor: Tensor) -> list[bytes]:
        """Return the bytes in order. Raises InvalidInput for what is not strict base64, also for line breaks."""
        return [
            self._decoded(tensor.name, place, element)
            for place, element in enumerate(read_elements(tensor, self.content_type))
        ]

    def encode(self, name: str, value: Any) -> Tensor:
        """Return a BYTES tensor of shape `[N]`; one bytes object is a list of one."""
        values = [value] if isinstance(value, bytes) else value
        check_elements(name, values, bytes, self.content_type)
        return write_elements(name, [base64.b64encode(element) for element in values], self.content_type)

    def _decoded(self, name: str, place: int, element: bytes) -> bytes:
        try:
            return bytes_of(element)
        except ValueError:
            raise Unreadable(name, self.content_type, f"element {place} is not base64") from None

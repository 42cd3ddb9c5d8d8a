"""Content type base64: bytes of any kind as text, so that JSON carries them too."""

from __future__ import annotations

import base64
import binascii
from contextlib import suppress
from typing import Any, ClassVar

from srv.coding import InputCodec
from srv.tensors import Tensor
from srv_codecs.lists import Unreadable, check_elements, read_elements, write_elements


class Base64Codec(InputCodec):
    """Bytes as base64 in BYTES, with the standard alphabet and padding. Takes `[N]` and `[N,1]`, sends `[N]`."""

    content_type: ClassVar[str] = "base64"
    type_hint: ClassVar[Any] = list[bytes]
    datatype: ClassVar[str | None] = "BYTES"

    def can_encode(self, value: Any) -> bool:
        """Whether it is one bytes, or a list with nothing but bytes in it."""
        if isinstance(value, bytes):
            return True
        return isinstance(value, list) and all(isinstance(element, bytes) for element in value)

    def decode(self, tensor: Tensor) -> list[bytes]:
        """The bytes in order. Raises InvalidInput for what is not base64 to the letter, such as a line's end in it."""
        return [
            self._decoded(tensor.name, place, element)
            for place, element in enumerate(read_elements(tensor, self.content_type))
        ]

    def encode(self, name: str, value: Any) -> Tensor:
        """A BYTES tensor of shape `[N]`; one bytes is a list of one."""
        values = [value] if isinstance(value, bytes) else value
        check_elements(name, values, bytes, self.content_type)
        return write_elements(name, [base64.b64encode(element) for element in values], self.content_type)

    def _decoded(self, name: str, place: int, element: bytes) -> bytes:
        with suppress(binascii.Error):
            decoded = base64.b64decode(element, validate=True)
            if base64.b64encode(decoded) == element:  # because Python lets too much padding pass
                return decoded
        raise Unreadable(name, self.content_type, f"element {place} is not base64")

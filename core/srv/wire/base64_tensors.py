"""Plain bytes in JSON: base64, for tensors of the codecs whose natural form is bytes."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np

from srv.arrays import element_place
from srv.errors import InvalidInput
from srv.tensors import Parameters


class NotBase64(InvalidInput):
    """JSON data for a binary codec are not base64."""

    def __init__(self, where: str, place: str) -> None:
        super().__init__(f"{where}.data{place}: expected base64, with the standard alphabet and padding.")


class Octets(msgspec.Struct, frozen=True):
    """Which tensors of one model are base64 in JSON. As binary data and over gRPC they are plain bytes.

    `is_input` is asked with an input's name, its parameters and the request's, `is_output` with an output's
    content type.
    """

    is_input: Callable[[str, Parameters, Parameters | None], bool]
    is_output: Callable[[object], bool]


#: Of a model that reads and writes base64 itself.
NO_OCTETS = Octets(lambda *_: False, lambda _: False)


def read_base64(array: np.ndarray[Any, Any], where: str) -> np.ndarray[Any, Any]:
    """Decode an array of base64 into a read-only array of bytes; None stays. Raises InvalidInput naming the element."""
    decoded = np.empty(array.shape, dtype=object)
    target = decoded.reshape(-1)
    for number, element in enumerate(array.reshape(-1).tolist()):
        try:
            target[number] = None if element is None else bytes_of(element)
        except ValueError:
            raise NotBase64(where, element_place(array.shape, number)) from None
    decoded.flags.writeable = False
    return decoded


def bytes_of(text: bytes) -> bytes:
    """Decode base64 strictly. Raises ValueError for anything else, such as a line break in it."""
    decoded = base64.b64decode(text, validate=True)
    if base64.b64encode(decoded) != text:  # because Python lets too much padding pass
        raise binascii.Error("too much padding")
    return decoded

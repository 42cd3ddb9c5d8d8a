"""Raw contents cut out of a request's bytes, and put behind a response's, without protobuf's copies.

A message is a row of fields, each a tag and what the tag announces. Raw contents are the fields that are large: they are
cut out as views of the message, and protobuf parses what is left. How protobuf reads a row of fields is the protocol's
own definition, so leaving some out changes nothing for the others.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from google.protobuf.message import DecodeError

from srv.errors import InvalidInput
from srv.grpc.descriptors import ModelInferRequest

Buffer = bytes | memoryview

#: Below this size protobuf's copies cost less than looking for the fields.
_SMALL = 16384
#: The most fields of a large message: each costs protobuf a hundred bytes and more, however empty it is.
_MOST_FIELDS = 65536
#: Tags: the field's number, and 2 for "a length, and so many bytes".
_RAW_INPUT_CONTENTS = 7 << 3 | 2
_RAW_OUTPUT_CONTENTS = 6 << 3 | 2
_VARINT, _EIGHT_BYTES, _SIZED, _FOUR_BYTES = 0, 1, 2, 5


class NoMessage(InvalidInput):
    """Bytes that are no inference request of the protocol."""

    def __init__(self, why: str) -> None:
        super().__init__(f"The message is no ModelInferRequest: {why}.")


def read_message(data: bytes) -> tuple[Any, Sequence[Buffer]]:
    """Return the ModelInferRequest without its raw contents, and the raw contents, as views where they are large.

    Raises InvalidInput for bytes that are no such message.
    """
    if len(data) < _SMALL:
        message = _parsed(data)
        return message, message.raw_input_contents
    rest, contents = split(data)
    return _parsed(rest), contents


def split(data: bytes) -> tuple[bytes, list[memoryview]]:
    """Return the message without field 7, and the contents of each field 7 as a view. Raises InvalidInput."""
    view = memoryview(data)
    kept: list[memoryview] = []
    contents: list[memoryview] = []
    position = rest = fields = 0
    end = len(data)
    try:
        while position < end:
            start = position
            tag, position = _varint(data, position, most=5)
            kind = tag & 7
            if kind == _SIZED:
                length, position = _varint(data, position, most=5)
                if tag == _RAW_INPUT_CONTENTS:
                    kept.append(view[rest:start])
                    contents.append(view[position : position + length])
                    rest = position + length
                position += length
            elif kind == _VARINT:
                _, position = _varint(data, position, most=10)
            elif kind in (_EIGHT_BYTES, _FOUR_BYTES):
                position += 8 if kind == _EIGHT_BYTES else 4
            else:
                raise NoMessage(f"it has a field of the unknown kind {kind}")
            fields += 1
            if fields > _MOST_FIELDS:
                raise NoMessage(f"it has more than {_MOST_FIELDS} fields")
    except IndexError:
        position = end + 1
    if position > end:
        raise NoMessage("it ends in the middle of a field")
    kept.append(view[rest:])
    return b"".join(kept), contents


def joined(message: bytes, contents: Iterable[Buffer]) -> bytes:
    """Return a ModelInferResponse's bytes with raw_output_contents behind them."""
    parts: list[Buffer] = [message]
    for data in contents:
        parts += (head(_RAW_OUTPUT_CONTENTS, len(data)), data)
    return b"".join(parts)


def head(tag: int, length: int) -> bytes:
    """Return what precedes so many bytes of a field: the tag, and the length as a number of seven bits a byte."""
    written = bytearray((tag,))
    while length > 0x7F:
        written.append(length & 0x7F | 0x80)
        length >>= 7
    written.append(length)
    return bytes(written)


def _varint(data: bytes, position: int, *, most: int) -> tuple[int, int]:
    """Return a number of seven bits a byte, and where it ends. Raises IndexError at the end of the data."""
    byte = data[position]
    if byte < 0x80:
        return byte, position + 1
    value = 0
    for place in range(most):
        byte = data[position + place]
        value |= (byte & 0x7F) << 7 * place
        if byte < 0x80:
            return value, position + place + 1
    raise NoMessage("it has a number that is too long")


def _parsed(data: bytes) -> Any:
    try:
        return ModelInferRequest.FromString(data)
    except DecodeError:
        raise NoMessage("protobuf cannot read it") from None

"""The fields of a message of Protobuf, read without its classes."""

from __future__ import annotations

_VARINT, _EIGHT, _BYTES, _FOUR = 0, 1, 2, 5


def field(message: bytes, number: int) -> bytes | None:
    """Return the bytes of the first field of that number, of a text or a message; None where there is none."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        kind = key & 7
        if kind == _BYTES:
            length, at = _varint(message, at)
            if key >> 3 == number:
                return bytes(message[at : at + length])
            at += length
        elif kind == _VARINT:
            _, at = _varint(message, at)
        elif kind in (_EIGHT, _FOUR):
            at += 8 if kind == _EIGHT else 4
        else:
            return None  # no message of this protocol has another kind
    return None


def _varint(message: bytes, at: int) -> tuple[int, int]:
    """Return the number at that place and the place behind it; past the end of a message that is cut off."""
    number = shift = 0
    while at < len(message):
        byte = message[at]
        number |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return number, at
    return number, len(message) + 1

"""Protocol Buffers on the wire: the fields of a message, by their numbers, without a schema and without a copy."""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from typing import NamedTuple, TypeAlias

#: What holds a message: bytes, or a file that is mapped into memory, of which only what is looked at is read.
Buffer: TypeAlias = bytes | mmap.mmap

_VARINT, _EIGHT_BYTES, _LENGTH, _FOUR_BYTES = 0, 1, 2, 5
_LONGEST_VARINT = 10


class BadMessage(Exception):
    """The bytes are no message of Protocol Buffers, or end within a field."""


class Field(NamedTuple):
    """One field of a message: its number, and a number or the place of its bytes."""

    buffer: Buffer
    number: int
    value: int = 0
    start: int = 0
    end: int = 0

    @property
    def text(self) -> str:
        """The bytes as text. Raises BadMessage."""
        try:
            return bytes(self.buffer[self.start : self.end]).decode()
        except UnicodeDecodeError:
            raise BadMessage from None

    def fields(self) -> Iterator[Field]:
        """The fields of the message that the bytes are. Raises BadMessage."""
        return fields_of(self.buffer, self.start, self.end)

    def integers(self) -> Iterator[int]:
        """The signed integers of a repeated field, whether they stand in one field or in a field each."""
        if not self.end:
            yield _signed(self.value)
            return
        place = self.start
        while place < self.end:
            value, place = _varint(self.buffer, place, self.end)
            yield _signed(value)


def fields_of(buffer: Buffer, start: int = 0, end: int | None = None) -> Iterator[Field]:
    """The fields of a message, in their order; what they hold is not read. Raises BadMessage."""
    place, end = start, len(buffer) if end is None else end
    while place < end:
        key, place = _varint(buffer, place, end)
        number, kind = key >> 3, key & 7
        if kind == _VARINT:
            value, place = _varint(buffer, place, end)
            yield Field(buffer, number, value)
            continue
        if kind == _LENGTH:
            size, place = _varint(buffer, place, end)
        elif kind in (_EIGHT_BYTES, _FOUR_BYTES):
            size = 8 if kind == _EIGHT_BYTES else 4
        else:
            raise BadMessage
        if not number or place + size > end:
            raise BadMessage
        yield Field(buffer, number, 0, place, place + size)
        place += size


def _varint(buffer: Buffer, place: int, end: int) -> tuple[int, int]:
    value = 0
    for count in range(_LONGEST_VARINT):
        if place >= end:
            break
        byte = buffer[place]
        place += 1
        value |= (byte & 0x7F) << (7 * count)
        if byte < 0x80:
            return value, place
    raise BadMessage


def _signed(value: int) -> int:
    return value - (1 << 64) if value >= 1 << 63 else value

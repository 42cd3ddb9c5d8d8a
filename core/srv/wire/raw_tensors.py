"""A tensor's bytes as both faces send them: little-endian, row-major, BYTES as uint32 length and bytes per element."""

from __future__ import annotations

import struct
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from srv.datatypes import meant
from srv.errors import InvalidInput, listed, quoted
from srv.tensors import DTYPES, Tensor, UnfitArray

_MOST_DIMENSIONS = 32
_MOST_BYTES = 2**62
_LENGTH = struct.Struct("<I")


class UnknownDatatype(InvalidInput):
    """A datatype that the protocol does not have."""

    def __init__(self, where: str, datatype: str) -> None:
        near = meant(datatype)
        hint = f" Did you mean '{near}'?" if near is not None else ""
        super().__init__(
            f"{where}.datatype: {quoted(datatype)} is unknown; the protocol has {listed(DTYPES, most=20)}.{hint}"
        )


class BadShape(InvalidInput):
    """A shape that no array can have."""

    def __init__(self, where: str, why: str) -> None:
        super().__init__(f"{where}.shape: {why}.")


class WrongSize(InvalidInput):
    """More or fewer bytes than datatype and shape need."""

    def __init__(self, where: str, given: int, needed: int) -> None:
        super().__init__(f"{where}: {given} bytes were sent where its datatype and shape need {needed}.")


class BadElement(InvalidInput):
    """A BYTES tensor whose lengths do not add up, or a BOOL that is neither 0 nor 1."""

    def __init__(self, where: str, why: str) -> None:
        super().__init__(f"{where}: {why}.")


def dtype_of(datatype: str, where: str) -> np.dtype[Any]:
    """The dtype of a datatype that a client names. Raises UnknownDatatype."""
    dtype = DTYPES.get(datatype)
    if dtype is None:
        raise UnknownDatatype(where, datatype)
    return dtype


def size_of(shape: Sequence[int], itemsize: int, where: str) -> int:
    """How many values a client's shape holds. Raises BadShape for one that no array can have."""
    if len(shape) > _MOST_DIMENSIONS:
        raise BadShape(where, f"it has {len(shape)} dimensions, of which {_MOST_DIMENSIONS} are possible")
    size = largest = 1
    for place, length in enumerate(shape):
        if length < 0:
            raise BadShape(f"{where}", f"its length {place} is {length}, and lengths are 0 or more")
        size *= length
        largest *= length or 1
    if largest * itemsize > _MOST_BYTES:
        raise BadShape(where, "it is larger than any array")
    return size


def read_raw(
    data: bytes | bytearray | memoryview, datatype: str, shape: Sequence[int], where: str
) -> np.ndarray[Any, Any]:
    """The array over these bytes, read-only; copied only where it has to be: unaligned, BYTES, a big-endian machine.

    Raises InvalidInput for sizes that do not add up, before anything is allocated for them.
    """
    dtype = dtype_of(datatype, where)
    size = size_of(shape, dtype.itemsize, where)
    if datatype == "BYTES":
        array = _read_elements(memoryview(data), size, where).reshape(shape)
    else:
        if len(data) != size * dtype.itemsize:
            raise WrongSize(where, len(data), size * dtype.itemsize)
        if datatype == "BOOL":
            _check_booleans(data, where)
        array = np.frombuffer(data, dtype.newbyteorder("<"), size).reshape(shape)
        if not array.flags.aligned or not array.dtype.isnative:
            array = array.astype(dtype)
    array.flags.writeable = False
    return array


def write_raw(tensor: Tensor) -> bytes | memoryview:
    """The tensor's bytes: a view of its memory, but for BYTES, and on a big-endian machine."""
    array = tensor.data
    if tensor.datatype == "BYTES":
        written = bytearray()  # not a join of pieces, each of which would cost a hundred bytes beside its own
        if tensor.missing:
            raise UnfitArray(tensor.name, "has missing values (None), which have no form in bytes.")
        for value in array.reshape(-1).tolist():
            written += _LENGTH.pack(len(value))
            written += value
        return memoryview(written)
    if sys.byteorder == "big":
        array = array.astype(array.dtype.newbyteorder("<"))
    return array.reshape(-1).view(np.uint8).data if array.size else b""


def _read_elements(data: memoryview, size: int, where: str) -> np.ndarray[Any, Any]:
    if 4 * size > len(data):  # before the array is made: a shape may claim any number of elements
        raise BadElement(where, f"{len(data)} bytes cannot hold {size} elements of BYTES")
    elements = np.empty(size, dtype=object)
    end = len(data)
    position = 0
    for place in range(size):
        if position + 4 > end:
            raise BadElement(where, f"the bytes end before element {place}")
        (length,) = _LENGTH.unpack_from(data, position)
        position += 4
        if position + length > end:
            raise BadElement(where, f"element {place} is said to have {length} bytes, and {end - position} are left")
        elements[place] = bytes(data[position : position + length])
        position += length
    if position != end:
        raise BadElement(where, f"{end - position} bytes are left after the last element")
    return elements


def _check_booleans(data: bytes | bytearray | memoryview, where: str) -> None:
    values = np.frombuffer(data, np.uint8)
    if values.size and values.max() > 1:
        raise BadElement(where, f"{int(values.max())} is no boolean; BOOL is one byte, 0 or 1")

"""A tensor's JSON data as an array: straight from text where the data allow it, and the exact place where they do not.

Numbers go from text to array by simdjson, which makes no Python object of them. It flattens what is nested and takes
ragged rows, so the nesting is compared with the shape by the brackets and commas that are left when all else is taken
away. What simdjson refuses, such as null or a wrong type, goes the slower way through msgspec, which knows the place.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from itertools import chain
from typing import Any

import msgspec
import numpy as np
import simdjson

from srv.errors import InvalidInput, quoted
from srv.rawdata import dtype_of, size_of
from srv.rest.envelope import bad_field
from srv.tensors import DTYPES

#: What is taken away of the text of numbers; brackets and commas are left. Letters are those of exponents.
_NOT_STRUCTURE = b"0123456789.eE+- \t\r\n"
#: kind → the widest dtype of that kind, and simdjson's name for it.
_WIDE: Mapping[str, tuple[np.dtype[Any], str]] = {
    "i": (np.dtype(np.int64), "i"),
    "u": (np.dtype(np.uint64), "u"),
    "f": (np.dtype(np.float64), "d"),
}
#: The largest value that a float holds.
_LARGEST = {np.dtype(kind): float(np.finfo(kind).max) for kind in (np.float16, np.float32, np.float64)}
#: Text of so many bytes is read as a list: simdjson's buffers and numpy's checks cost more than a few numbers do.
_FEW = 256
_FEW_DIMENSIONS = 4
_decode_floats = msgspec.json.Decoder(list[float]).decode
_decode_integers = msgspec.json.Decoder(list[int]).decode
#: datatype → what reads a list of its values, its dtype, and the least and the largest value.
_NUMBERS: Mapping[str, tuple[Callable[[bytes], list[Any]], np.dtype[Any], float, float]] = {
    name: (_decode_floats, dtype, -_LARGEST[dtype], _LARGEST[dtype])
    if dtype.kind == "f"
    else (_decode_integers, dtype, np.iinfo(dtype).min, np.iinfo(dtype).max)
    for name, dtype in DTYPES.items()
    if dtype.kind in "iuf" and name != "BF16"
}
#: Text of more bytes has a parser of its own, so that no thread is left with eight times that.
_LONG = 262_144
_local = threading.local()


class MissingData(InvalidInput):
    """An input without data."""

    def __init__(self, where: str) -> None:
        super().__init__(f"{where}.data is missing.")


class NotInJson(InvalidInput):
    """BF16 has no JSON form."""

    def __init__(self, where: str) -> None:
        super().__init__(f"{where}.datatype: BF16 has no JSON form; send it as FP32, or as binary data.")


class WrongCount(InvalidInput):
    """More or fewer values than the shape has places."""

    def __init__(self, where: str, given: int, shape: Sequence[int]) -> None:
        values = "1 value does" if given == 1 else f"{given} values do"
        super().__init__(f"{where}.data: {values} not fill the shape {_shown(shape)}, which has {math.prod(shape)}.")


class WrongNesting(InvalidInput):
    """Nested data whose rows are not those of the shape."""

    def __init__(self, where: str, shape: Sequence[int]) -> None:
        super().__init__(f"{where}.data: its nesting does not match the shape {_shown(shape)}.")


class OutOfRange(InvalidInput):
    """A value that the datatype cannot hold."""

    def __init__(self, where: str, value: object, datatype: str) -> None:
        super().__init__(f"{where}.data: {quoted(value)} is out of {datatype}'s range.")


def read_data(raw: msgspec.Raw, datatype: str, shape: Sequence[int], where: str) -> np.ndarray[Any, Any]:
    """The array that a tensor's JSON data say. Raises InvalidInput with the place, below `where`, where they do not.

    `data` may be nested as the shape says, or flat in row-major order; a scalar's may be the bare value.
    """
    text = bytes(raw)
    if len(text) <= _FEW:
        few = _few_numbers(text, datatype, shape)
        if few is not None:
            return few
    dtype = dtype_of(datatype, where)
    size = size_of(shape, dtype.itemsize, where)
    if not text:
        raise MissingData(where)
    if datatype == "BF16":
        raise NotInJson(where)
    kind = dtype.kind
    if kind in "iuf":
        flat = _numbers(text, dtype, datatype, shape, size, where)
    elif kind == "b":
        flat = np.array(_listed(text, "bool", shape, size, where), dtype)
    else:
        flat = _as_objects(_listed(text, "str", shape, size, where))
    array = flat if len(shape) == 1 else flat.reshape(shape)
    array.setflags(write=False)
    return array


def _numbers(
    text: bytes, dtype: np.dtype[Any], datatype: str, shape: Sequence[int], size: int, where: str
) -> np.ndarray[Any, Any]:
    wide, code = _WIDE[dtype.kind]
    try:
        flat = np.frombuffer(_parser(len(text)).parse(text).as_buffer(of_type=code), wide)
    except (TypeError, ValueError, RuntimeError, AttributeError):
        # Something that is no number of this kind, or needs more than 64 bits: the slower way says which.
        values = _listed(text, "int" if dtype.kind in "iu" else "float", shape, size, where)
        return _from_list(values, dtype, datatype, where)
    if flat.size != size:
        raise WrongCount(where, flat.size, shape)
    if text.find(b"[", text.find(b"[") + 1) > 0:  # not counted, because finding is much quicker
        _check_nesting(text, shape, where)
    return _narrowed(flat, dtype, datatype, where)


def _few_numbers(text: bytes, datatype: str, shape: Sequence[int]) -> np.ndarray[Any, Any] | None:
    """The array that a few flat numbers say, by way of a list; None where they are not that, or do not fit."""
    numbers = _NUMBERS.get(datatype)
    if numbers is None or not 0 < len(shape) <= _FEW_DIMENSIONS:
        return None
    decode, dtype, least, largest = numbers
    try:
        values = decode(text)
    except msgspec.DecodeError:
        return None
    size = shape[0] if len(shape) == 1 else math.prod(shape)
    if not values or len(values) != size or min(values) < least or max(values) > largest:
        return None
    array = np.array(values, dtype)
    if len(shape) > 1:
        array = array.reshape(shape)
    array.setflags(write=False)
    return array


def _parser(length: int) -> Any:
    """This thread's parser, because one is not safe for several; a new one for long text, because it keeps its memory."""
    if length > _LONG:
        return simdjson.Parser()
    parser = getattr(_local, "parser", None)
    if parser is None:
        parser = _local.parser = simdjson.Parser()
    return parser


def _check_nesting(text: bytes, shape: Sequence[int], where: str) -> None:
    """Raise WrongNesting where the brackets are not exactly those of the shape."""
    rows, brackets = 1, 0
    for length in shape:
        brackets += rows
        rows *= length
    if text.count(b"[") != brackets:  # first, because it bounds what is built below by the text's own length
        raise WrongNesting(where, shape)
    structure = b"," * (max(shape[-1], 1) - 1)
    for length in reversed(shape[:-1]):
        structure = b",".join([b"[" + structure + b"]"] * length)
    if text.translate(None, _NOT_STRUCTURE) != b"[" + structure + b"]":
        raise WrongNesting(where, shape)


def _narrowed(flat: np.ndarray[Any, Any], dtype: np.dtype[Any], datatype: str, where: str) -> np.ndarray[Any, Any]:
    """The values as their own datatype, where each of them fits."""
    if flat.dtype == dtype or not flat.size:
        return flat.astype(dtype)
    if dtype.kind != "f":
        _check_range(int(flat.min()), int(flat.max()), dtype, datatype, where)
        return flat.astype(dtype)
    # Two small reductions, because they keep the interpreter lock, which a dot product would let go of.
    if flat.max() <= _LARGEST[dtype] and flat.min() >= -_LARGEST[dtype]:
        return flat.astype(dtype)
    with np.errstate(over="ignore"):
        narrow = flat.astype(dtype)
    overflown = np.isinf(narrow)
    if overflown.any():
        raise OutOfRange(where, flat[int(overflown.argmax())], datatype)
    return narrow


def _from_list(values: list[Any], dtype: np.dtype[Any], datatype: str, where: str) -> np.ndarray[Any, Any]:
    if dtype.kind == "f":
        if values and None not in values and -_LARGEST[dtype] <= min(values) <= max(values) <= _LARGEST[dtype]:
            return np.array(values, dtype)
        try:
            return _narrowed(np.array(values, np.float64), dtype, datatype, where)
        except OverflowError:
            raise OutOfRange(where, max(values, key=lambda value: abs(value or 0)), datatype) from None
    if values:
        _check_range(min(values), max(values), dtype, datatype, where)
    return np.array(values, dtype)


def _check_range(low: int, high: int, dtype: np.dtype[Any], datatype: str, where: str) -> None:
    limits = np.iinfo(dtype)
    if low < limits.min:
        raise OutOfRange(where, low, datatype)
    if high > limits.max:
        raise OutOfRange(where, high, datatype)


def _listed(text: bytes, kind: str, shape: Sequence[int], size: int, where: str) -> list[Any]:
    """The values as a flat list: for text and booleans, for null, and to find the place of what is wrong."""
    if not text.startswith(b"["):
        if shape:
            raise bad_field("Expected `array`", f"{where}.data")
        text = b"[%b]" % text
    depth = len(shape) if len(shape) > 1 and text[1:].lstrip(b" \t\r\n").startswith(b"[") else 1
    try:
        values: list[Any] = msgspec.json.decode(text, type=_list_type(kind, depth))
    except msgspec.ValidationError as error:
        raise bad_field(str(error), f"{where}.data") from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise bad_field("Expected text in UTF-8", f"{where}.data") from None
    if depth > 1:
        values = _flattened(values, shape, where)
    if len(values) != size:
        raise WrongCount(where, len(values), shape)
    return values


def _flattened(values: list[Any], shape: Sequence[int], where: str) -> list[Any]:
    rows = [values]
    for length in shape[:-1]:
        if any(len(row) != length for row in rows):
            raise WrongNesting(where, shape)
        rows = list(chain.from_iterable(rows))
    if any(len(row) != shape[-1] for row in rows):
        raise WrongNesting(where, shape)
    return list(chain.from_iterable(rows))


@cache
def _list_type(kind: str, depth: int) -> Any:
    inner: Any = {"int": int, "float": float | None, "bool": bool, "str": str}[kind]
    for _ in range(depth):
        inner = list[inner]
    return inner


def _as_objects(values: list[str]) -> np.ndarray[Any, Any]:
    array = np.empty(len(values), dtype=object)
    array[:] = [value.encode() for value in values]
    return array


def _shown(shape: Sequence[int]) -> str:
    return quoted(list(shape)).strip("'")

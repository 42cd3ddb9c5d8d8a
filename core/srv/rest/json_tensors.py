"""Tensors' data in JSON as arrays, straight from the text where that is possible.

Numbers go from text to a flat array whatever their nesting is, so the nesting is checked apart: the brackets and commas
of the text are compared with the shape. Data with other values, such as null, are read by msgspec, which takes longer
and names the place of a fault.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from itertools import chain
from typing import Any

import msgspec
import numpy as np

from srv.errors import InvalidInput, quoted
from srv.rest.envelope import bad_field
from srv.rest.flat_numbers import flat_numbers
from srv.tensors import DTYPES
from srv.wire.errors import OutOfRange, WrongCount, shown
from srv.wire.raw_tensors import dtype_of, size_of

#: What says that a value is not there: nothing, or the null of clients that write every field.
ABSENT = (b"", b"null")
#: What is taken away of the text of numbers; brackets and commas are left. Letters are those of exponents.
_NOT_STRUCTURE = b"0123456789.eE+- \t\r\n"
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


class MissingData(InvalidInput):
    """An input has no data."""

    def __init__(self, where: str) -> None:
        super().__init__(f"{where}.data is missing.")


class NotInJson(InvalidInput):
    """BF16 data came in JSON, which has no form for them."""

    def __init__(self, where: str) -> None:
        super().__init__(f"{where}.datatype: BF16 has no JSON form; send it as FP32, or as binary data.")


class WrongNesting(InvalidInput):
    """The nesting of the data does not match the shape."""

    def __init__(self, where: str, shape: Sequence[int]) -> None:
        super().__init__(f"{where}.data: its nesting does not match the shape {shown(shape)}.")


def read_data(raw: msgspec.Raw, datatype: str, shape: Sequence[int], where: str) -> np.ndarray[Any, Any]:
    """Return the array of a tensor's JSON data. Raises InvalidInput naming the place of a fault, below `where`.

    `data` may be nested as the shape says, or flat in row-major order; a scalar's may be the bare value. Data of BYTES
    may hold null, and `read_texts` says whether they do.
    """
    text = bytes(raw)
    if len(text) <= _FEW:
        few = _few_numbers(text, datatype, shape)
        if few is not None:
            return few
    dtype = dtype_of(datatype, where)
    size = size_of(shape, dtype.itemsize, where)
    text = _given(text, shape, size, where)
    if datatype == "BF16":
        raise NotInJson(where)
    kind = dtype.kind
    if kind in "iuf":
        flat = _numbers(text, dtype, datatype, shape, size, where)
    elif kind == "b":
        flat = np.array(_listed(text, "bool", shape, size, where), dtype)
    else:
        flat, _ = _texts(text, shape, size, where)
    return _shaped(flat, shape)


def read_texts(
    raw: msgspec.Raw, shape: Sequence[int], where: str, *, null: bytes | None = None
) -> tuple[np.ndarray[Any, Any], bool]:
    """Return the array of a BYTES tensor's JSON data, and whether values are missing: null is None in the array.

    Where `null` is given, it stands in place of None. Raises InvalidInput as `read_data` does.
    """
    text = bytes(raw)
    size = size_of(shape, DTYPES["BYTES"].itemsize, where)
    text = _given(text, shape, size, where)
    flat, missing = _texts(text, shape, size, where)
    if missing and null is not None:
        flat[[value is None for value in flat.tolist()]] = null
        missing = False
    return _shaped(flat, shape), missing


def _given(text: bytes, shape: Sequence[int], size: int, where: str) -> bytes:
    """Return the text of data, an empty array where a tensor without elements has none. Raises MissingData.

    A scalar's null is its value.
    """
    if text not in ABSENT or (text and not shape):
        return text
    if size:
        raise MissingData(where)
    return b"[]"


def _shaped(flat: np.ndarray[Any, Any], shape: Sequence[int]) -> np.ndarray[Any, Any]:
    array = flat if len(shape) == 1 else flat.reshape(shape)
    array.setflags(write=False)
    return array


def _numbers(
    text: bytes, dtype: np.dtype[Any], datatype: str, shape: Sequence[int], size: int, where: str
) -> np.ndarray[Any, Any]:
    try:
        flat = flat_numbers(text, dtype.kind)
    except ValueError:
        # Something that is no number of this kind, or needs more than 64 bits: the slower way says which.
        values = _listed(text, "int" if dtype.kind in "iu" else "float", shape, size, where)
        return _from_list(values, dtype, datatype, where)
    if flat.size != size:
        raise WrongCount(f"{where}.data", flat.size, shape)
    if text.find(b"[", text.find(b"[") + 1) > 0:  # not counted, because finding is much quicker
        _check_nesting(text, shape, where)
    return _narrowed(flat, dtype, datatype, where)


def _few_numbers(text: bytes, datatype: str, shape: Sequence[int]) -> np.ndarray[Any, Any] | None:
    """Return the array of a few flat numbers, by way of a list; None for other data, or where a number does not fit."""
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
    """Return the values in their own datatype. Raises InvalidInput where one does not fit."""
    if flat.dtype == dtype or not flat.size:
        return flat.astype(dtype)
    if dtype.kind != "f":
        _check_range(int(flat.min()), int(flat.max()), dtype, datatype, where)
        return flat.astype(dtype)
    with np.errstate(all="ignore"):  # because a model may have set this thread's to raise
        # Two small reductions, because they keep the interpreter lock, which a dot product would let go of.
        if flat.max() <= _LARGEST[dtype] and flat.min() >= -_LARGEST[dtype]:
            return flat.astype(dtype)
        narrow = flat.astype(dtype)
    overflown = np.isinf(narrow)
    if overflown.any():
        raise OutOfRange(f"{where}.data", flat[int(overflown.argmax())], datatype)
    return narrow


def _from_list(values: list[Any], dtype: np.dtype[Any], datatype: str, where: str) -> np.ndarray[Any, Any]:
    if dtype.kind == "f":
        if values and None not in values and -_LARGEST[dtype] <= min(values) <= max(values) <= _LARGEST[dtype]:
            return np.array(values, dtype)
        try:
            return _narrowed(np.array(values, np.float64), dtype, datatype, where)
        except OverflowError:
            raise OutOfRange(f"{where}.data", max(values, key=lambda value: abs(value or 0)), datatype) from None
    if values:
        _check_range(min(values), max(values), dtype, datatype, where)
    return np.array(values, dtype)


def _check_range(low: int, high: int, dtype: np.dtype[Any], datatype: str, where: str) -> None:
    limits = np.iinfo(dtype)
    if low < limits.min:
        raise OutOfRange(f"{where}.data", low, datatype)
    if high > limits.max:
        raise OutOfRange(f"{where}.data", high, datatype)


def _listed(text: bytes, kind: str, shape: Sequence[int], size: int, where: str) -> list[Any]:
    """Return the values as a flat list: for text, booleans and null, and to find the place of a fault."""
    if not text.startswith(b"["):
        if shape:
            raise bad_field(f"Expected `array`, got `{_kind(text)}`", f"{where}.data")
        text = b"[%b]" % text
    depth = len(shape) if len(shape) > 1 and text[1:].lstrip(b" \t\r\n").startswith(b"[") else 1
    try:
        values: list[Any] = msgspec.json.decode(text, type=_list_type(kind, depth))
    except msgspec.ValidationError as error:
        raise bad_field(_SAID.get(kind, str)(str(error)), f"{where}.data") from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise bad_field("Expected text in UTF-8", f"{where}.data") from None
    if depth > 1:
        values = _flattened(values, shape, where)
    if len(values) != size:
        raise WrongCount(f"{where}.data", len(values), shape)
    return values


def _kind(text: bytes) -> str:
    """Return what a JSON value that is no array is, in msgspec's words."""
    kinds = {b"{": "object", b'"': "str", b"t": "bool", b"f": "bool", b"n": "null"}
    return kinds.get(text[:1]) or ("int" if text.lstrip(b"-").isdigit() else "float")


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
    inner: Any = {"int": int, "float": float | None, "bool": bool, "str": str | None}[kind]
    for _ in range(depth):
        inner = list[inner]
    return inner


def _texts(text: bytes, shape: Sequence[int], size: int, where: str) -> tuple[np.ndarray[Any, Any], bool]:
    """Return the elements of BYTES, flat, and whether some of them are None."""
    values = _listed(text, "str", shape, size, where)
    missing = b"null" in text and None in values
    array = np.empty(len(values), dtype=object)
    if missing:
        array[:] = [None if value is None else value.encode() for value in values]
    else:
        array[:] = [value.encode() for value in values]
    return array, missing


def _said_of_text(message: str) -> str:
    """Return msgspec's message about a value that is no text, without null, which most models refuse."""
    return message.replace("`str | null`", "`str`")


def _said_of_integer(message: str) -> str:
    """Return msgspec's message about a value; for null with advice, because integers cannot be missing."""
    return message.replace("got `null`", "got `null`; send missing values as FP64 or with the content type pd")


def _said_of_boolean(message: str) -> str:
    """The same for booleans, which are not FP64 to models that tell the two apart."""
    return message.replace(
        "got `null`", "got `null`; send missing values as BYTES of the content type pd_json: 'true', 'false', 'null'"
    )


_SAID: Mapping[str, Callable[[str], str]] = {
    "str": _said_of_text,
    "int": _said_of_integer,
    "bool": _said_of_boolean,
}


def _shown(shape: Sequence[int]) -> str:
    return quoted(list(shape)).strip("'")

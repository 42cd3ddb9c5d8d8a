"""Cells: the values of one column as a request brings them, before they are held to the column's kind."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from enum import Enum
from typing import Any

import msgspec
import numpy as np

from srv.codecs import input_codec
from srv.errors import InvalidInput, quoted
from srv.tables.errors import NotInTable, RepeatedKey, UnfitShape, UnfitValue
from srv.tensors import Tensor, null_of

#: Content types whose elements are the texts of JSON values; the second is MLServer's name inside of a table.
JSON_TYPES = frozenset({"json", "pd_json"})
#: Content types that say no more than the datatype does.
PLAIN_TYPES = frozenset({"np", "pd", "str"})


class Source(Enum):
    """The form in which a column's values came."""

    #: An array of numbers or booleans, in their own datatype.
    NATIVE = "native"
    #: Texts in a tensor of the column's own: bytes, or None for a missing one.
    TEXTS = "texts"
    #: Texts in a tensor of all columns, where numbers have to be texts too.
    MIXED_TEXTS = "mixed texts"
    #: Values of JSON.
    VALUES = "values"
    #: Datetimes, already read by their codec.
    MOMENTS = "moments"
    #: bytes, already read by their codec.
    OCTETS = "octets"


class Cells(msgspec.Struct, frozen=True):
    """The values of one column: an array, or a list with None for what is missing.

    `is_shared` says that they came with those of other columns, in one tensor of one datatype.
    """

    source: Source
    data: Any
    datatype: str = ""
    is_shared: bool = False

    def __len__(self) -> int:
        return len(self.data)


def cells_of(tensor: Tensor, title: str, content_type: str | None) -> Cells:
    """The cells of a tensor that holds one column, `[n]` or `[n,1]`. Raises TableError."""
    shape = tensor.shape
    if not (len(shape) == 1 or (len(shape) == 2 and shape[1] == 1)):
        raise UnfitShape(tensor.name, shape, "a column has the shape [n] or [n, 1]")
    data = tensor.data.reshape(-1)
    if tensor.datatype != "BYTES":
        if content_type is not None and content_type not in PLAIN_TYPES - {"str"}:
            raise NotInTable(tensor.name, f"its content type {quoted(content_type)} needs BYTES, not {tensor.datatype}")
        return Cells(Source.NATIVE, native(tensor, data), tensor.datatype)
    if content_type in JSON_TYPES:
        return Cells(Source.VALUES, json_values(data, title), "BYTES")
    if content_type == "datetime":
        null = null_of({"content_type": content_type})
        return Cells(Source.MOMENTS, moments([None if each == null else each for each in data], title), "BYTES")
    if content_type == "base64":
        return Cells(Source.OCTETS, octets(data.tolist(), title), "BYTES")
    if content_type is not None and content_type not in PLAIN_TYPES:
        raise NotInTable(tensor.name, f"its content type is {quoted(content_type)}, which no column has")
    if len(data) and all(element is None for element in data):
        return Cells(Source.VALUES, data.tolist(), "BYTES")  # because a missing value is of no kind
    return Cells(Source.TEXTS, data, "BYTES")


def native(tensor: Tensor, data: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return the numbers, with floats of 16 bits made FP32, because pandas and most models take no smaller ones."""
    if tensor.datatype == "FP16":
        return data.astype(np.float32)
    if tensor.datatype == "BF16":
        return (data.view(np.uint16).astype(np.uint32) << 16).view(np.float32)
    return data


def json_values(data: np.ndarray[Any, Any], title: str) -> list[Any]:
    """The JSON values of BYTES, a missing element being null. Raises UnfitValue naming the row."""
    decode = msgspec.json.decode
    values = []
    for row, element in enumerate(data.tolist()):
        try:
            value = None if element is None else decode(element)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise UnfitValue(title, row, shown(element), "the text of a JSON value") from None
        if type(value) is dict and element.count(b":") != len(value):
            _check_keys(element, row, title)
        values.append(value)
    return values


def _check_keys(element: bytes, row: int, title: str) -> None:
    """Raise RepeatedKey for an object that has a key twice, of which a decoder silently keeps the last."""

    def check(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            names = [name for name, _ in pairs]
            raise RepeatedKey(title, row, next(name for name in names if names.count(name) > 1))
        return found

    try:
        json.loads(element, object_pairs_hook=check, parse_int=str)  # because Python reads no integer of 5000 digits
    except RecursionError:
        raise UnfitValue(title, row, shown(element), "JSON that is less deep") from None


def texts(data: Any, title: str) -> list[str | None]:
    """The texts of BYTES, None for missing ones. Raises UnfitValue naming the row of what is not UTF-8."""
    try:
        return [None if element is None else element.decode() for element in data]
    except UnicodeDecodeError:
        row = next(row for row, element in enumerate(data) if element is not None and not _is_text(element))
        raise UnfitValue(title, row, "a value that is not UTF-8", "text") from None


def moments(data: Any, title: str) -> list[datetime | None]:
    """The datetimes of ISO 8601 texts, None for missing ones. Raises UnfitValue naming the row of anything else."""
    return _read("datetime", list(data), title, "a datetime in ISO 8601")


def octets(elements: list[bytes | None], title: str) -> list[bytes | None]:
    """The bytes of base64 texts, None for missing ones. Raises UnfitValue naming the row of anything else."""
    return _read("base64", elements, title, "base64")


def _read(content_type: str, elements: list[bytes | None], title: str, wanted: str) -> list[Any]:
    """Decode the elements that are not None. Raises UnfitValue naming the row of the first that cannot be decoded."""
    try:
        found = iter(_decoded(content_type, [element for element in elements if element is not None]))
    except InvalidInput:
        row = next(row for row, each in enumerate(elements) if each is not None and not _reads(content_type, each))
        raise UnfitValue(title, row, shown(elements[row]), wanted) from None
    return [None if element is None else next(found) for element in elements]


def _decoded(content_type: str, elements: list[bytes]) -> list[Any]:
    array = np.empty(len(elements), dtype=object)
    array[:] = elements
    values: list[Any] = input_codec(content_type).decode(Tensor.trusted("", array, "BYTES"))
    return values


def _reads(content_type: str, element: bytes) -> bool:
    try:
        _decoded(content_type, [element])
    except InvalidInput:
        return False
    return True


def _is_text(element: bytes) -> bool:
    try:
        element.decode()
    except UnicodeDecodeError:
        return False
    return True


def shown(value: Any) -> str:
    """A client's value as a sentence shows it, at most 80 printable characters."""
    match value:
        case None:
            return "a missing value"
        case bool() | np.bool_():
            return "true" if value else "false"
        case int() | float() | np.number():
            return f"the number {quoted(value).strip(chr(39))}"
        case bytes():
            return quoted(value[:400].decode(errors="replace"))
        case str():
            return quoted(value[:400])
        case Mapping():
            return "a JSON object"
        case list():
            return "a JSON array"
    return f"a {type(value).__name__}"

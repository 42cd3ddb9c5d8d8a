"""Values of one column, checked against its kind and converted to the array that the model takes."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, TypeAlias

import numpy as np

from srv.errors import listed, quoted
from srv.tables.cells import Cells, Source, moments, octets, shown, texts
from srv.tables.columns import Column
from srv.tables.errors import Ambiguous, UnfitColumn, UnfitValue

Array: TypeAlias = np.ndarray[Any, Any]

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_INTEGER = re.compile(r"[+-]?\d+", re.ASCII)
_NOT_FINITE = re.compile(r"nan|[+-]?inf(inity)?", re.IGNORECASE)
_BOOLEANS = {"true": True, "false": False, "True": True, "False": False}
_WANTED = {
    "number": "a number",
    "float": "a number",
    "integer": "an integer",
    "boolean": "true or false",
    "text": "text",
    "label": "text or an integer",
    "datetime": "a datetime in ISO 8601",
    "bytes": "base64",
    "json": "a JSON value",
}
_INT64 = np.iinfo(np.int64)


def values_of(cells: Cells, column: Column, title: str) -> Array:
    """The column's values: numbers and booleans in arrays of their own, the rest as objects with None for missing.

    Raises UnfitValue naming column and row, or UnfitColumn for a column without rows.
    """
    kind = column.value_kind
    if column.optional and kind == "any" and cells.source is Source.MIXED_TEXTS:
        cells = Cells(Source.TEXTS, cells.data, cells.datatype)  # a column that the model does not read may hold texts
    values = _READERS[kind](cells, title)
    if not column.nullable:
        _check_nothing_missing(values, kind, title)
    if column.kind == "category" and column.closed:
        _check_categories(values, column, title)
    return values


def objects(values: list[Any]) -> Array:
    """A list as an array of objects, whatever its elements are."""
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


def _number(cells: Cells, title: str) -> Array:
    if cells.source is Source.NATIVE:
        data: Array = cells.data
        return data.astype(np.float64) if data.dtype.kind == "b" else data
    return _numbers(cells, title, "number", booleans=True)


def _float(cells: Cells, title: str) -> Array:
    if cells.source is Source.NATIVE:
        data: Array = cells.data
        if data.dtype.kind == "b":
            raise _unfit_native(cells, title, "float")
        if data.dtype.kind in "iu" and data.dtype.itemsize == 8 and data.size:
            _check_exact(data, title)
        return data if data.dtype.kind == "f" else data.astype(np.float64)
    return _numbers(cells, title, "float", booleans=False).astype(np.float64)


def _integer(cells: Cells, title: str) -> Array:
    if cells.source is Source.NATIVE:
        data: Array = cells.data
        if data.dtype.kind == "b":
            raise _unfit_native(cells, title, "integer")
        return _integral(data, title) if data.dtype.kind == "f" else _as_int64(data, title)
    return _with_gaps(_each(cells, title, "integer", _integer_of), title)


def _boolean(cells: Cells, title: str) -> Array:
    if cells.source is Source.NATIVE:
        data: Array = cells.data
        if cells.is_shared and data.dtype.kind in "iuf":
            return _zeros_and_ones(data, title)
        if data.dtype.kind != "b":
            raise _unfit_native(cells, title, "boolean")
        return data
    values = _each(cells, title, "boolean", _boolean_of)
    return objects(values) if None in values else np.array(values, dtype=bool)


def _text(cells: Cells, title: str) -> Array:
    match cells.source:
        case Source.TEXTS | Source.MIXED_TEXTS:
            return objects(texts(cells.data, title))
        case Source.VALUES:
            for row, value in enumerate(cells.data):
                if value is not None and not isinstance(value, str):
                    raise UnfitValue(title, row, shown(value), _WANTED["text"])
            return objects(cells.data)
    raise _unfit_native(cells, title, "text")


def _label(cells: Cells, title: str) -> Array:
    """Texts, integers and booleans as they come. The texts true and false beside other columns may be booleans too."""
    match cells.source:
        case Source.NATIVE if cells.data.dtype.kind in "iu":
            return _as_int64(cells.data, title)
        case Source.NATIVE if cells.data.dtype.kind == "b":
            data: Array = cells.data
            return data
        case Source.TEXTS | Source.MIXED_TEXTS:
            found = texts(cells.data, title)
            if cells.source is Source.MIXED_TEXTS and not _BOOLEANS.keys().isdisjoint(found):
                raise Ambiguous(title)
            return objects(found)
        case Source.VALUES:
            for row, value in enumerate(cells.data):
                if not _is_label(value):
                    raise UnfitValue(title, row, shown(value), _WANTED["label"])
            return objects(cells.data)
    raise _unfit_native(cells, title, "label")


def _is_label(value: Any) -> bool:
    return value is None or isinstance(value, str | bool) or (type(value) is int and _INT64.min <= value <= _INT64.max)


def _datetime(cells: Cells, title: str) -> Array:
    match cells.source:
        case Source.MOMENTS:
            found = cells.data
        case Source.TEXTS | Source.MIXED_TEXTS:
            found = moments(cells.data, title)
        case Source.VALUES:
            for row, value in enumerate(cells.data):
                if value is not None and not isinstance(value, str):
                    raise UnfitValue(title, row, shown(value), _WANTED["datetime"])
            found = moments([None if value is None else value.encode() for value in cells.data], title)
        case _:
            raise _unfit_native(cells, title, "datetime")
    return objects(_of_one_form(found, title))


def _bytes(cells: Cells, title: str) -> Array:
    match cells.source:
        case Source.OCTETS:
            return objects(cells.data)
        case Source.TEXTS | Source.MIXED_TEXTS:
            return objects(octets(list(cells.data), title))
        case Source.VALUES:
            for row, value in enumerate(cells.data):
                if value is not None and not isinstance(value, str):
                    raise UnfitValue(title, row, shown(value), _WANTED["bytes"])
            return objects(octets([None if value is None else value.encode() for value in cells.data], title))
    raise _unfit_native(cells, title, "bytes")


def _json(cells: Cells, title: str) -> Array:
    match cells.source:
        case Source.VALUES:
            return objects(list(cells.data))
        case Source.TEXTS:
            return objects(texts(cells.data, title))
        case Source.NATIVE:
            return objects(cells.data.tolist())
        case Source.MIXED_TEXTS:
            raise Ambiguous(title)
    raise _unfit_native(cells, title, "json")


def _any(cells: Cells, title: str) -> Array:
    match cells.source:
        case Source.NATIVE:
            data: Array = cells.data
            return data
        case Source.TEXTS:
            return objects(texts(cells.data, title))
        case Source.MIXED_TEXTS:
            raise Ambiguous(title)
        case Source.MOMENTS:
            return objects(_of_one_form(cells.data, title))
    return _of_json(cells.data, title)


_READERS: Mapping[str, Callable[[Cells, str], Array]] = {
    "number": _number,
    "float": _float,
    "integer": _integer,
    "boolean": _boolean,
    "text": _text,
    "label": _label,
    "datetime": _datetime,
    "bytes": _bytes,
    "json": _json,
    "any": _any,
}


def _numbers(cells: Cells, title: str, kind: str, *, booleans: bool) -> Array:
    values = _each(cells, title, kind, _number_or_boolean_of if booleans else _number_of)
    if not values or not all(type(value) is int and _INT64.min <= value <= _INT64.max for value in values):
        return np.array([math.nan if value is None else float(value) for value in values], dtype=np.float64)
    return np.array(values, dtype=np.int64)


def _each(cells: Cells, title: str, kind: str, read: Callable[[Any], Any]) -> list[Any]:
    """Each value by `read`, which raises ValueError for what is not of the kind; texts only from mixed tensors."""
    if cells.source not in (Source.VALUES, Source.MIXED_TEXTS):
        raise _unfit_native(cells, title, kind)
    is_text = cells.source is Source.MIXED_TEXTS
    found = []
    for row, value in enumerate(texts(cells.data, title) if is_text else cells.data):
        try:
            found.append(None if value is None else read(_scalar_of(value) if is_text else value))
        except (ValueError, OverflowError):
            raise UnfitValue(title, row, shown(value), _WANTED[kind]) from None
    return found


def _number_of(value: Any) -> int | float:
    if type(value) not in (int, float):
        raise ValueError
    float(value)  # raises OverflowError for an integer that no float holds
    return value  # type: ignore[no-any-return]  # looked at above


def _number_or_boolean_of(value: Any) -> int | float:
    return float(value) if type(value) is bool else _number_of(value)


def _integer_of(value: Any) -> int:
    if type(value) is float and value.is_integer():
        value = int(value)
    if type(value) is not int or not _INT64.min <= value <= _INT64.max:
        raise ValueError
    return value


def _boolean_of(value: Any) -> bool:
    if type(value) is not bool:
        raise ValueError
    return value


def _scalar_of(text: str) -> int | float | bool:
    """The number or boolean that a text says. Raises ValueError for any other."""
    if text in _BOOLEANS:
        return _BOOLEANS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    if _NOT_FINITE.fullmatch(text):
        return float(text)
    if not _NUMBER.fullmatch(text) or math.isinf(number := float(text)):
        raise ValueError
    return number


def _with_gaps(values: list[int | None], title: str) -> Array:
    """int64, or float64 with NaN where some are missing, as pandas holds them."""
    if None not in values:
        return np.array(values, dtype=np.int64)
    for row, value in enumerate(values):
        if value is not None and abs(value) > 2**53:
            raise UnfitValue(title, row, shown(value), "an integer that a float holds, since others are missing,")
    return np.array([math.nan if value is None else value for value in values], dtype=np.float64)


def _integral(data: Array, title: str) -> Array:
    """Floats that are integers as int64; those with missing ones stay floats."""
    missing = np.isnan(data)
    with np.errstate(invalid="ignore"):
        whole = (np.floor(data) == data) & (data >= -(2.0**63)) & (data < 2.0**63)
    if not (whole | missing).all():
        row = int((~(whole | missing)).argmax())
        raise UnfitValue(title, row, shown(data[row]), _WANTED["integer"])
    return data.astype(np.float64) if missing.any() else data.astype(np.int64)


def _zeros_and_ones(data: Array, title: str) -> Array:
    """Booleans from 1 and 0, where one tensor of numbers holds all columns; NaN is missing."""
    missing = np.isnan(data) if data.dtype.kind == "f" else np.zeros(len(data), dtype=bool)
    wrong = ~((data == 0) | (data == 1) | missing)
    if wrong.any():
        row = int(wrong.argmax())
        raise UnfitValue(title, row, shown(data[row]), "true or false, as 1 or 0,")
    if not missing.any():
        return data.astype(bool)
    return objects([None if gone else bool(value) for value, gone in zip(data.tolist(), missing.tolist(), strict=True)])


def _as_int64(data: Array, title: str) -> Array:
    if data.dtype == np.uint64 and data.size and data.max() > _INT64.max:
        row = int(data.argmax())
        raise UnfitValue(title, row, shown(data[row]), "an integer of 64 bits with a sign")
    return data.astype(np.int64, copy=False)


def _check_exact(data: Array, title: str) -> None:
    beyond = data > 2**53
    if data.dtype.kind == "i":
        beyond |= data < -(2**53)
    if beyond.any():
        row = int(beyond.argmax())
        raise UnfitValue(title, row, shown(data[row]), "a number that a float holds exactly")


def _of_one_form(found: list[datetime | None], title: str) -> list[datetime | None]:
    """Datetimes that all have an offset, in UTC, or that all have none."""
    first = next((moment for moment in found if moment is not None), None)
    if first is None:
        return found
    for row, moment in enumerate(found):
        if moment is not None and (moment.tzinfo is None) != (first.tzinfo is None):
            wanted = "one without an offset, like those before it," if first.tzinfo is None else "one with an offset"
            raise UnfitValue(title, row, quoted(moment.isoformat()), wanted)
    if first.tzinfo is None:
        return found
    return [None if moment is None else _in_utc(moment, row, title) for row, moment in enumerate(found)]


def _in_utc(moment: datetime, row: int, title: str) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise UnfitValue(
            title, row, quoted(moment.isoformat()), "a datetime within the years 1 to 9999 in UTC"
        ) from None


def _of_json(values: list[Any], title: str) -> Array:
    """JSON values of a column of any kind, as a DataFrame of records brings them."""
    kinds = {type(value) for value in values} - {type(None)}
    if kinds == {int} and all(value is None or _INT64.min <= value <= _INT64.max for value in values):
        return _with_gaps(values, title)
    if kinds and kinds <= {int, float}:
        return np.array([_float_of(value, row, title) for row, value in enumerate(values)], dtype=np.float64)
    if kinds == {bool} and None not in values:
        return np.array(values, dtype=bool)
    return objects(values)


def _float_of(value: Any, row: int, title: str) -> float:
    try:
        return math.nan if value is None else float(value)
    except OverflowError:
        raise UnfitValue(title, row, shown(value), "a number that a float holds") from None


def _check_nothing_missing(values: Array, kind: str, title: str) -> None:
    if values.dtype.kind == "O":
        missing = np.array([value is None for value in values], dtype=bool)
    elif values.dtype.kind == "f":
        missing = np.isnan(values)
    else:
        return
    if missing.any():
        raise UnfitValue(title, int(missing.argmax()), "a missing value", _WANTED.get(kind, "a value"))


def _check_categories(values: Array, column: Column, title: str) -> None:
    known = column.categories or ()
    lookup = set(known)
    for row, value in enumerate(values.tolist()):
        if value is not None and value == value and (isinstance(value, list | dict) or value not in lookup):
            wanted = f"one of the categories ({listed(quoted(each) for each in known)})"
            raise UnfitValue(title, row, shown(value), wanted)


def _unfit_native(cells: Cells, title: str, kind: str) -> UnfitValue | UnfitColumn:
    """Return the error for cells that came in a form which no value of the kind has."""
    found = {
        Source.MOMENTS: "a datetime",
        Source.OCTETS: "bytes",
    }.get(cells.source)
    if not len(cells):
        return UnfitColumn(title, cells.datatype, _WANTED[kind])
    return UnfitValue(title, 0, found or f"{shown(cells.data[0])} ({cells.datatype})", _WANTED[kind])

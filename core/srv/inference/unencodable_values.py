"""Values that no codec takes: their kind in words, and what to return in their place."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from srv.tensors import instead_of

_AS_TEXT = "return str(value); in a list or a dict the content type 'json' sends it as text"
_AS_LIST = "return a list"
#: Name of a type → what to do instead. By name, because most of these need not be imported.
_INSTEAD: Mapping[str, str] = {
    "Decimal": f"return float(value), or {_AS_TEXT.removeprefix('return ')}",
    "UUID": _AS_TEXT,
    "date": f"return a datetime, which the content type 'datetime' sends, or {_AS_TEXT.removeprefix('return ')}",
    "time": _AS_TEXT,
    "timedelta": "return its seconds, value.total_seconds()",
    "timedelta64": "return a number, such as value / numpy.timedelta64(1, 's')",
    "complex": "return its real and its imaginary part",
    "set": _AS_LIST,
    "frozenset": _AS_LIST,
    "generator": f"{_AS_LIST}, or write predict_stream",
    "NAType": "a missing value is null in a table (content type 'pd'), and None in a list or a dict",
    "NoneType": "a missing value is null in a table (content type 'pd'), and None in a list or a dict",
    "Period": "return value.to_timestamp(), which the content type 'datetime' sends",
    "Interval": "return its ends",
}


def kind_of(value: object) -> str:
    """Return a value's type in words; of a list or dict also the type of the element that cannot be sent."""
    try:
        return _kind(_odd(value))
    except RecursionError:
        return f"{type(value).__name__} that holds itself"


def advice_for(value: object) -> str:
    """Return what to return in a value's place, as a sentence's end behind a semicolon; empty where srv does not know."""
    try:
        *_, inner = _odd(value)
    except RecursionError:
        return ""
    if isinstance(inner, np.ndarray | np.generic) and inner.dtype.kind in "cfMmV":
        instead = instead_of(inner.dtype)
    else:
        instead = next((_INSTEAD[kind.__name__] for kind in type(inner).__mro__ if kind.__name__ in _INSTEAD), "")
    return f"; {instead}" if instead else ""


def _odd(value: Any) -> list[Any]:
    """Return the path from a value, through lists and dicts, to an element that cannot be sent."""
    if isinstance(value, list | dict) and value:
        inner = list(value.values()) if isinstance(value, dict) else value
        return [value, *_odd(next(filter(_is_odd, inner), inner[0]))]
    return [value]


def _kind(way: list[Any]) -> str:
    *outer, inner = way
    names = [type(value).__name__ for value in outer]
    if isinstance(inner, np.ndarray):
        last = f"{type(inner).__name__} of {inner.dtype}"
    elif isinstance(inner, float) and not math.isfinite(inner):
        last = str(inner)
    else:
        last = type(inner).__name__
    return " of ".join([*names, last])


def _is_odd(value: object) -> bool:
    if isinstance(value, dict):
        return any(map(_is_odd, value.values())) or not all(isinstance(key, str) for key in value)
    if isinstance(value, list):
        return any(map(_is_odd, value))
    if isinstance(value, float):
        return not math.isfinite(value)
    return not (value is None or isinstance(value, str | int | tuple | np.generic | np.ndarray))

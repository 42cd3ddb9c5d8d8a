"""Numbers from JSON text to a flat array: by simdjson, or by orjson where simdjson has no wheel."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import orjson

try:
    import simdjson
except ImportError:
    _HAS_SIMDJSON = False
else:
    _HAS_SIMDJSON = True

#: kind → the widest dtype of that kind, and simdjson's name for it.
_WIDE: Mapping[str, tuple[np.dtype[Any], str]] = {
    "i": (np.dtype(np.int64), "i"),
    "u": (np.dtype(np.uint64), "u"),
    "f": (np.dtype(np.float64), "d"),
}
#: Longer text, in bytes, gets a new parser, because a thread's parser keeps eight times the memory of its longest text.
_LONG = 262_144
_local = threading.local()
#: The characters of numbers (letters are those of exponents), and the characters between numbers.
_OF_INTEGERS = b"0123456789-"
_OF_FLOATS = _OF_INTEGERS + b".eE+"
_BETWEEN = b"[], \t\r\n"
_BLANKS = bytes.maketrans(b"[],", b"   ")


def by_simdjson(text: bytes, kind: str) -> np.ndarray[Any, Any]:
    """Return the numbers of nested lists, flat, in the widest dtype of that kind, without Python objects.

    Raises ValueError for what is no list, no number of that kind, or needs more than 64 bits.
    """
    wide, code = _WIDE[kind]
    try:
        return np.frombuffer(_parser(len(text)).parse(text).as_buffer(of_type=code), wide)
    except (TypeError, RuntimeError, AttributeError) as error:
        raise ValueError(str(error)) from None


def by_orjson(text: bytes, kind: str) -> np.ndarray[Any, Any]:
    """Return the same by way of Python's numbers."""
    wide, _ = _WIDE[kind]
    if not text.startswith(b"["):
        raise ValueError("no list")
    if text.translate(None, (_OF_FLOATS if kind == "f" else _OF_INTEGERS) + _BETWEEN):
        raise ValueError("something that is no number of this kind")
    if text.find(b"[", 1) > 0:  # nested: without brackets, empty lists included
        text = b"[%b]" % b",".join(text.translate(_BLANKS).split())
    values = orjson.loads(text)
    if kind == "f":
        return np.array(values, wide)
    flat = np.array(values) if values else np.empty(0, wide)
    # orjson makes a float of an integer beyond 64 bits, and numpy one of integers that have no common type.
    if flat.dtype.kind == "f" or (flat.size and not np.can_cast(flat.dtype, wide) and _is_beyond(flat, wide)):
        raise ValueError("an integer of more than 64 bits")
    return flat.astype(wide, copy=False)


def _is_beyond(flat: np.ndarray[Any, Any], wide: np.dtype[Any]) -> bool:
    limits = np.iinfo(wide)
    return int(flat.min()) < limits.min or int(flat.max()) > limits.max


def _parser(length: int) -> Any:
    """Return this thread's parser, because a parser is for one thread only; a new one for long text."""
    if length > _LONG:
        return simdjson.Parser()
    parser = getattr(_local, "parser", None)
    if parser is None:
        parser = _local.parser = simdjson.Parser()
    return parser


flat_numbers: Callable[[bytes, str], np.ndarray[Any, Any]] = by_simdjson if _HAS_SIMDJSON else by_orjson

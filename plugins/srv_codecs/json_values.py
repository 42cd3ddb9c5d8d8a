"""Content type json: any JSON value, one per element."""

from __future__ import annotations

import math
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, ClassVar
from uuid import UUID

import msgspec
import numpy as np

from srv.arrays import NotPlain, plain_array
from srv.codec import InputCodec
from srv.tensors import Tensor
from srv.wire.json_nesting import is_too_deep
from srv_codecs.lists import Unreadable, Unwritable, read_elements, write_elements

_MINUTE = timedelta(minutes=1)
#: numpy's types that Python has no number for.
_LONG = np.dtype(np.longdouble).char + np.dtype(np.clongdouble).char


class JsonCodec(InputCodec):
    """JSON values as their texts in BYTES. Takes `[N]` and `[N,1]`, sends `[N]`.

    Below the elements tuples and numpy's arrays are lists, and numpy's scalars are numbers. Dates and times are texts
    in ISO 8601, Decimal and UUID texts as Python writes them; what is masked, NaT and pandas' NA are null.
    """

    content_type: ClassVar[str] = "json"
    type_hint: ClassVar[Any] = list[Any]
    datatype: ClassVar[str | None] = "BYTES"

    def can_encode(self, value: Any) -> bool:
        """Whether it is one dict, or a list, that JSON can carry: no NaN, no infinity, keys are str."""
        try:
            if isinstance(value, list):
                return all(not isinstance(element, np.ndarray | tuple) and oddity(element) is None for element in value)
            return isinstance(value, dict) and oddity(value) is None
        except RecursionError:  # it holds itself
            return False

    def decode(self, tensor: Tensor) -> list[Any]:
        """Return the values in order. Raises InvalidInput for what is not JSON, or nested too deeply."""
        return [
            self._decoded(tensor.name, place, element)
            for place, element in enumerate(read_elements(tensor, self.content_type))
        ]

    def encode(self, name: str, value: Any) -> Tensor:
        """Return a BYTES tensor of shape `[N]`; one dict is a list of one."""
        values = [value] if isinstance(value, dict) else value
        elements = [self._encoded(name, place, element) for place, element in enumerate(values)]
        return write_elements(name, elements, self.content_type)

    def _encoded(self, name: str, place: int, element: Any) -> bytes:
        try:
            odd = oddity(element)
            if odd is not None:
                raise Unwritable(name, self.content_type, f"element {place} {odd}, which JSON cannot say")
            return msgspec.json.encode(_with_whole_offsets(element), enc_hook=_plain)
        except UnicodeEncodeError:
            why = f"element {place} holds half of a surrogate pair, which UTF-8 cannot say"
            raise Unwritable(name, self.content_type, why) from None
        except RecursionError:
            raise Unwritable(name, self.content_type, f"element {place} holds itself, or too many levels") from None

    def _decoded(self, name: str, place: int, element: bytes) -> Any:
        if is_too_deep(element):
            raise Unreadable(name, self.content_type, f"element {place} is nested too deeply")
        try:
            return msgspec.json.decode(element)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise Unreadable(name, self.content_type, f"element {place} is not JSON") from None
        except RecursionError:
            raise Unreadable(name, self.content_type, f"element {place} is nested too deeply") from None


def oddity(value: Any) -> str | None:
    """Return what JSON cannot say of a value, as a sentence's end such as `holds complex`; None if it can say all."""
    match value:
        case None | bool() | str():
            return None
        case np.floating() if value.dtype.char in _LONG:
            return "holds longdouble"
        case float() | np.floating():
            return None if math.isfinite(value) else f"holds {value}"
        case int() | np.integer() | np.bool_():
            return None
        case list() | tuple():
            return next(filter(None, map(oddity, value)), None)
        case dict():
            if not all(isinstance(key, str) for key in value):
                return "has keys that are not str"
            return next(filter(None, map(oddity, value.values())), None)
        case date() | time() | Decimal() | UUID():
            return None if not isinstance(value, Decimal) or value.is_finite() else f"holds {value}"
        case np.datetime64():
            return None
        case np.ndarray() if value.dtype.kind == "M":
            return None
        case np.ndarray() if value.dtype.kind in "biufUOT" and value.dtype.char not in _LONG:
            return _of_subclass(value) or oddity(value.tolist())
    return None if _is_missing(value) else f"holds {type(value).__name__}"


def _is_missing(value: Any) -> bool:
    """Whether it is pandas' NA, which is null; its NaT is a datetime."""
    return type(value).__name__ == "NAType" and type(value).__module__.startswith("pandas.")


def _of_subclass(value: np.ndarray[Any, Any]) -> str | None:
    """Return what an array of a subclass means beside its values: a unit; masked values are null."""
    if type(value) is np.ndarray or isinstance(value, np.ma.MaskedArray):
        return None
    try:
        plain_array(value)
    except NotPlain as error:
        return str(error).partition(",")[0]
    return None


def _with_whole_offsets(value: Any) -> Any:
    """Return the value with texts for times whose offset has seconds, which msgspec drops."""
    return _with_texts(value) if _has_seconds(value) else value


def _has_seconds(value: Any) -> bool:
    """Whether a time in the value has an offset with seconds, as local mean times of the past have."""
    kind = type(value)
    if kind is datetime or kind is time:
        offset = value.utcoffset()
        return offset is not None and offset % _MINUTE != timedelta()
    if kind is dict:
        return any(map(_has_seconds, value.values()))
    if kind is list or kind is tuple:
        return any(map(_has_seconds, value))
    return isinstance(value, np.ndarray) and value.dtype.kind == "O" and _has_seconds(value.tolist())


def _with_texts(value: Any) -> Any:
    if isinstance(value, datetime | time):
        return value.isoformat() if _has_seconds(value) else value
    if isinstance(value, dict):
        return {key: _with_texts(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_with_texts(inner) for inner in value]
    return _with_texts(value.tolist()) if isinstance(value, np.ndarray) and value.dtype.kind == "O" else value


def _plain(value: Any) -> Any:
    """Return a plain value for types that msgspec does not know: numpy's, and those derived from Python's."""
    if isinstance(value, np.ndarray | np.generic) and value.dtype.kind == "M":
        moments: Any = value
        return np.where(np.isnat(moments), np.array(None), np.datetime_as_string(moments)).tolist()
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if isinstance(value, date):  # pandas' own too, whose NaT is equal to nothing
        return value.isoformat() if value == value else None
    if _is_missing(value):
        return None
    kind = next(kind for kind in (str, int, float, list, tuple, dict) if isinstance(value, kind))
    return kind(value)

"""Content type datetime: points in time as ISO 8601 text, aware and naive ones."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any, ClassVar

import numpy as np

from srv.codec import InputCodec
from srv.tensors import Tensor
from srv_codecs.lists import Unreadable, Unwritable, read_elements, write_elements

#: What Python reads beyond ISO 8601, such as any letter between date and time, is left out here.
_ISO_8601 = re.compile(rb"[0-9W-]{7,10}([T ][0-9:]+([.,][0-9]+)?(Z|[+-][0-9:]+)?)?")
_FINER = re.compile(rb"[.,][0-9]{6}0*[1-9]")
#: The element that says that a datetime is missing, in a column of a table; JSON's null on the wire.
NULL = b"null"


class DatetimeCodec(InputCodec):
    """Dates and times as ISO 8601 in BYTES. Takes `[N]` and `[N,1]`, sends `[N]`.

    A datetime with an offset, or `Z`, is aware; one without is naive, and stays so. What is missing is sent as null,
    and `decode` refuses it, because `list[datetime]` has no place for it; `decode_or_none` gives None.
    """

    content_type: ClassVar[str] = "datetime"
    type_hint: ClassVar[Any] = list[datetime]
    datatype: ClassVar[str | None] = "BYTES"

    def can_encode(self, value: Any) -> bool:
        """Whether it is a datetime, or a list or an array of datetimes, None and NaT."""
        if isinstance(value, list):
            kinds = {*map(type, value)} - {type(None)}
            return all(issubclass(kind, datetime | np.datetime64) for kind in kinds) and (bool(kinds) or not value)
        if isinstance(value, np.ndarray):
            return value.dtype.kind == "M" and value.ndim < 2
        return isinstance(value, datetime | np.datetime64)

    def decode(self, tensor: Tensor) -> list[datetime]:
        """Return the datetimes in order. Raises InvalidInput for other texts, and for more than microseconds."""
        return [
            self._decoded(tensor.name, place, element)
            for place, element in enumerate(read_elements(tensor, self.content_type))
        ]

    def encode(self, name: str, value: Any) -> Tensor:
        """Return a BYTES tensor of shape `[N]`, null for missing values; one datetime is a list of one.

        Only the offset of a time zone is kept. Datetimes of numpy are naive.
        """
        values = value if isinstance(value, list | np.ndarray) else [value]
        if isinstance(values, np.ndarray):
            values = list(values.reshape(-1))
        return write_elements(
            name, [self._encoded(name, place, element) for place, element in enumerate(values)], self.content_type
        )

    def decode_or_none(self, tensor: Tensor) -> list[datetime | None]:
        """Return the datetimes in order, None for null, as a column of a table has them. Raises as `decode` does."""
        return [
            None if element == NULL else self._decoded(tensor.name, place, element)
            for place, element in enumerate(read_elements(tensor, self.content_type))
        ]

    def _encoded(self, name: str, place: int, value: Any) -> bytes:
        why = None
        if isinstance(value, np.datetime64):
            value, why = _of_numpy(value)
        if why is None:
            why = _why_not(value)
        if why is not None:
            raise Unwritable(name, self.content_type, f"element {place} is {why}")
        return NULL if value is None or value != value else bytes(value.isoformat(), "ascii")

    def _decoded(self, name: str, place: int, element: bytes) -> datetime:
        if element == NULL:
            raise Unreadable(name, self.content_type, f"element {place} is null, which only a table's column may have")
        if not _ISO_8601.fullmatch(element):
            raise Unreadable(name, self.content_type, f"element {place} is not ISO 8601")
        if _FINER.search(element):
            raise Unreadable(name, self.content_type, f"element {place} is finer than microseconds")
        try:
            return datetime.fromisoformat(element.decode())
        except ValueError:
            raise Unreadable(name, self.content_type, f"element {place} is not ISO 8601") from None


def _of_numpy(value: np.datetime64) -> tuple[datetime | None, str | None]:
    """Return numpy's datetime as Python's, None for NaT; and why there is none, where it does not fit."""
    if np.isnat(value):
        return None, None
    micro = value.astype("M8[us]")
    if micro != value:
        return None, "finer than microseconds"
    moment = micro.item()
    return (moment, None) if isinstance(moment, datetime) else (None, "not within the years 1 to 9999")


def _why_not(value: Any) -> str | None:
    """Return why a value cannot be written in ISO 8601 and read again; None if it can."""
    if value is None:
        return None
    if not isinstance(value, datetime):
        return f"of type {type(value).__name__}, not datetime"
    if value != value:
        return None  # NaT
    if getattr(value, "nanosecond", 0):
        return "finer than microseconds"
    offset = value.utcoffset()
    return "of an offset that is finer than seconds" if offset is not None and offset.microseconds else None

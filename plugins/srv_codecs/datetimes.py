"""Content type datetime: points in time as ISO 8601 text, aware and naive ones."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any, ClassVar

from srv.coding import InputCodec
from srv.tensors import Tensor
from srv_codecs.lists import Unreadable, Unwritable, read_elements, write_elements

#: What Python reads beyond ISO 8601, such as any letter between date and time, is left out here.
_ISO_8601 = re.compile(rb"[0-9W-]{7,10}([T ][0-9:]+([.,][0-9]+)?(Z|[+-][0-9:.]+)?)?")
_FINER = re.compile(rb"[.,][0-9]{6}0*[1-9]")


class DatetimeCodec(InputCodec):
    """Dates and times as ISO 8601 in BYTES. Takes `[N]` and `[N,1]`, sends `[N]`.

    A datetime with an offset, or `Z`, is aware; one without is naive, and stays so.
    """

    content_type: ClassVar[str] = "datetime"
    type_hint: ClassVar[Any] = list[datetime]
    datatype: ClassVar[str | None] = "BYTES"

    def can_encode(self, value: Any) -> bool:
        """Whether it is one datetime, or a list with nothing but datetimes in it."""
        return _is_datetime(value) or (isinstance(value, list) and all(map(_is_datetime, value)))

    def decode(self, tensor: Tensor) -> list[datetime]:
        """The datetimes in order. Raises InvalidInput for what is not ISO 8601, or finer than microseconds."""
        return [
            self._decoded(tensor.name, place, element)
            for place, element in enumerate(read_elements(tensor, self.content_type))
        ]

    def encode(self, name: str, value: Any) -> Tensor:
        """A BYTES tensor of shape `[N]`; one datetime is a list of one. Of a time zone its offset is kept."""
        values = [value] if isinstance(value, datetime) else value
        for place, element in enumerate(values):
            if not _is_datetime(element):
                raise Unwritable(name, self.content_type, f"element {place} is {_shown(element)}")
        return write_elements(name, [element.isoformat().encode() for element in values], self.content_type)

    def _decoded(self, name: str, place: int, element: bytes) -> datetime:
        if not _ISO_8601.fullmatch(element):
            raise Unreadable(name, self.content_type, f"element {place} is not ISO 8601")
        if _FINER.search(element):
            raise Unreadable(name, self.content_type, f"element {place} is finer than microseconds")
        try:
            return datetime.fromisoformat(element.decode())
        except ValueError:
            raise Unreadable(name, self.content_type, f"element {place} is not ISO 8601") from None


def _is_datetime(value: Any) -> bool:
    """Whether it comes back as it was. pandas' Timestamp is a datetime too, and may be NaT or have nanoseconds."""
    return isinstance(value, datetime) and value == value and not getattr(value, "nanosecond", 0)


def _shown(value: Any) -> str:
    if not isinstance(value, datetime):
        return f"of type {type(value).__name__}, not datetime"
    return "NaT, which has no form in ISO 8601" if value != value else "finer than microseconds"

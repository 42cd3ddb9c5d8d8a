"""Content type json: any JSON value, one per element."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import msgspec
import numpy as np

from srv.coding import InputCodec
from srv.tensors import Tensor
from srv_codecs.lists import Unreadable, Unwritable, read_elements, write_elements


class JsonCodec(InputCodec):
    """JSON values as their texts in BYTES. Takes `[N]` and `[N,1]`, sends `[N]`.

    Below the elements tuples and numpy's arrays are lists, and numpy's scalars are numbers.
    """

    content_type: ClassVar[str] = "json"
    type_hint: ClassVar[Any] = list[Any]
    datatype: ClassVar[str | None] = "BYTES"

    def can_encode(self, value: Any) -> bool:
        """Whether it is one dict, or a list, of what JSON can say: no NaN, no infinity, no keys but str."""
        if isinstance(value, list):
            return all(not isinstance(element, np.ndarray | tuple) and oddity(element) is None for element in value)
        return isinstance(value, dict) and oddity(value) is None

    def decode(self, tensor: Tensor) -> list[Any]:
        """The values in order. Raises InvalidInput for what is not JSON, or nested too deeply."""
        return [
            self._decoded(tensor.name, place, element)
            for place, element in enumerate(read_elements(tensor, self.content_type))
        ]

    def encode(self, name: str, value: Any) -> Tensor:
        """A BYTES tensor of shape `[N]`; one dict is a list of one."""
        values = [value] if isinstance(value, dict) else value
        for place, element in enumerate(values):
            odd = oddity(element)
            if odd is not None:
                raise Unwritable(name, self.content_type, f"element {place} {odd}, which JSON cannot say")
        try:
            elements = [msgspec.json.encode(element, enc_hook=_plain) for element in values]
        except UnicodeEncodeError:
            raise Unwritable(name, self.content_type, "it holds surrogates, which UTF-8 cannot say") from None
        return write_elements(name, elements, self.content_type)

    def _decoded(self, name: str, place: int, element: bytes) -> Any:
        try:
            return msgspec.json.decode(element)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise Unreadable(name, self.content_type, f"element {place} is not JSON") from None
        except RecursionError:
            raise Unreadable(name, self.content_type, f"element {place} is nested too deeply") from None


def oddity(value: Any) -> str | None:
    """What JSON cannot say of a value, as a sentence's end such as `holds complex`; None where it can say all."""
    match value:
        case None | bool() | str():
            return None
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
        case np.ndarray() if value.dtype.kind in "biufUO":
            return oddity(value.tolist())
    return f"holds {type(value).__name__}"


def _plain(value: Any) -> Any:
    """What msgspec writes for types that it does not know: numpy's own, and those derived from Python's."""
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    kind = next(kind for kind in (str, int, float, list, tuple, dict) if isinstance(value, kind))
    return kind(value)

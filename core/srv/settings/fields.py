"""Strict fields for settings: nothing is rounded, guessed or converted, and each says what it takes.

The message of a marshmallow error is here always a phrase that follows the key: ``must be true or false``.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from marshmallow import Schema, ValidationError, fields

if TYPE_CHECKING:
    AnyField = fields.Field[Any]
else:
    AnyField = fields.Field  # marshmallow 3 has no type parameters

_WHOLE = re.compile(r"[+-]?[0-9]{1,30}")
_SIZE = re.compile(r"([0-9]{1,19}(?:\.[0-9]{1,19})?) ?(?:([kKMGT])(i)?)?B?", re.ASCII)
_DECIMAL = re.compile(r"[+-]?([0-9]{1,300}\.?|[0-9]{0,300}\.[0-9]{1,300})([eE][+-]?[0-9]{1,3})?")


class NotThis(Exception):
    """A text of the environment, or a value of a file, is not what the field takes."""


class Strict(AnyField):
    """A field that takes one kind of value and converts nothing."""

    #: What type it takes, for the reference.
    type_name = "any"

    def __init__(self, description: str, *, nullable: bool = False, **options: Any) -> None:
        self.nullable = nullable
        takes = self._takes()
        self.phrase = f"must be {takes} or null" if nullable else f"must be {takes}"
        super().__init__(
            allow_none=nullable,
            metadata={"description": description},
            error_messages={"required": "is missing", "null": self.phrase},
            **options,
        )

    def _takes(self) -> str:
        """Return what the field takes, in words that follow "must be"."""
        raise NotImplementedError

    def _strict(self, value: Any) -> Any:
        """Return the value as settings hold it. Raises NotThis for any other."""
        raise NotImplementedError

    def from_text(self, text: str) -> Any:
        """Return the meaning of a text of the environment, before it is checked. Raises NotThis if it has none."""
        return None if self.nullable and text == "null" else self._from_text(text)

    def _from_text(self, text: str) -> Any:
        """Return the meaning of a text: JSON, unless the field reads it otherwise."""
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            raise NotThis from None

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> Any:
        try:
            return self._strict(value)
        except NotThis:
            raise ValidationError(self.phrase) from None


class Whole(Strict):
    """An integer in a range; neither 4.0 nor true is one."""

    type_name = "integer"

    def __init__(self, description: str, *, least: int, most: int | None = None, nullable: bool = False) -> None:
        self.least = least
        self.most = most
        super().__init__(description, nullable=nullable)

    def _takes(self) -> str:
        if self.most is None:
            return f"an integer of {self.least} or more"
        return f"an integer from {self.least} to {self.most}"

    def _strict(self, value: Any) -> int:
        if type(value) is not int or value < self.least or (self.most is not None and value > self.most):
            raise NotThis
        return value

    def _from_text(self, text: str) -> int:
        if _WHOLE.fullmatch(text) is None:
            raise NotThis
        return int(text)


class Seconds(Strict):
    """A duration; above zero unless zero has a meaning."""

    type_name = "number of seconds"

    def __init__(self, description: str, *, zero: bool = False, nullable: bool = False) -> None:
        self.zero = zero
        super().__init__(description, nullable=nullable)

    def _takes(self) -> str:
        return "a number of seconds, 0 or more" if self.zero else "a number of seconds above 0"

    def _strict(self, value: Any) -> float:
        if type(value) not in (int, float) or not math.isfinite(value):
            raise NotThis
        if value < 0 or (value == 0 and not self.zero):
            raise NotThis
        return float(value)

    def _from_text(self, text: str) -> Any:
        return float(text) if _DECIMAL.fullmatch(text) else super()._from_text(text)


class Flag(Strict):
    """true or false; neither "on" nor 1 is one, though the environment may say 1 and 0."""

    type_name = "boolean"

    def _takes(self) -> str:
        return "true or false"

    def _strict(self, value: Any) -> bool:
        if not isinstance(value, bool):
            raise NotThis
        return value

    def _from_text(self, text: str) -> bool:
        meanings = {"true": True, "1": True, "false": False, "0": False}
        if text.lower() not in meanings:
            raise NotThis
        return meanings[text.lower()]


class Text(Strict):
    """A text, of a certain form where one is asked for; empty only where that is said to be fine."""

    type_name = "text"

    def __init__(
        self,
        description: str,
        *,
        kind: str = "a text that is not empty",
        fits: Callable[[str], bool] = bool,
        nullable: bool = False,
        required: bool = False,
    ) -> None:
        self.kind = kind
        self.fits = fits
        super().__init__(description, nullable=nullable, required=required)

    def _takes(self) -> str:
        return self.kind

    def _strict(self, value: Any) -> str:
        if not isinstance(value, str) or not self.fits(value):
            raise NotThis
        return value

    def _from_text(self, text: str) -> str:
        return text


class Choice(Text):
    """One of a few words."""

    def __init__(self, description: str, *words: str, nullable: bool = False, required: bool = False) -> None:
        self.words = words
        kind = " or ".join(f"'{word}'" for word in words) if len(words) < 4 else f"one of {', '.join(words)}"
        super().__init__(description, kind=kind, fits=words.__contains__, nullable=nullable, required=required)


class Size(Strict):
    """A number of bytes: an integer, or a text with a unit, of thousands (MB) or of 1024 (MiB)."""

    type_name = "size"

    def _takes(self) -> str:
        return "a number of bytes above 0, such as 2000000000, '2GB' or '1.5GiB'"

    def _strict(self, value: Any) -> int:
        size = _bytes(value) if isinstance(value, str) else value
        if type(size) is not int or not 0 < size < 2**63:
            raise NotThis
        return size

    def _from_text(self, text: str) -> str:
        return text


def _bytes(text: str) -> int:
    """Return the bytes that a text with or without a unit means. Raises NotThis for a part of a byte, too."""
    read = _SIZE.fullmatch(text)
    if read is None:
        raise NotThis
    number, prefix, binary = read.groups()
    factor: int = (1024 if binary else 1000) ** " KMGT".index(prefix.upper() if prefix else " ")
    size = Fraction(number) * factor
    if size.denominator != 1:
        raise NotThis
    return size.numerator


class ListOf(Strict):
    """A list whose items are all of one kind, kept as a tuple."""

    type_name = "list"

    def __init__(self, description: str, item: Strict, *, items: str, nullable: bool = False) -> None:
        self.item = item
        self.items = items
        super().__init__(description, nullable=nullable)

    def _takes(self) -> str:
        return f"a list of {self.items}"

    def _strict(self, value: Any) -> tuple[Any, ...]:
        if not isinstance(value, Sequence) or isinstance(value, str):
            raise NotThis
        loaded, wrong = [], {}
        for place, item in enumerate(value):
            try:
                loaded.append(self.item.deserialize(item))
            except ValidationError as error:
                wrong[place] = error.messages
        if wrong:
            raise ValidationError(wrong)
        return tuple(loaded)


class TableOf(Strict):
    """An object with keys of the user's own, of a certain form where one is asked for, and values all of one kind."""

    type_name = "object"

    def __init__(
        self, description: str, value: Strict, *, values: str, keys: Callable[[str], bool] = lambda _: True
    ) -> None:
        self.value = value
        self.values = values
        self.keys = keys
        super().__init__(description)

    def _takes(self) -> str:
        return f"an object of {self.values}"

    def _strict(self, value: Any) -> dict[str, Any]:
        if not isinstance(value, Mapping):
            raise NotThis
        loaded: dict[str, Any] = {}
        wrong: dict[str, Any] = {}
        if not all(map(self.keys, value)):
            raise NotThis
        for key, item in value.items():
            try:
                loaded[key] = self.value.deserialize(item)
            except ValidationError as error:
                wrong[key] = error.messages
        if wrong:
            raise ValidationError(wrong)
        return loaded


class FreeObject(Strict):
    """Any JSON object; other code checks what it holds."""

    type_name = "object"

    def _takes(self) -> str:
        return "an object"

    def _strict(self, value: Any) -> Mapping[str, Any]:
        if not isinstance(value, Mapping):
            raise NotThis
        return value


class Plain(Strict):
    """A string, a number or a boolean, as the protocol has it for parameters."""

    type_name = "text, number or boolean"

    def _takes(self) -> str:
        return "a text, a number or a boolean"

    def _strict(self, value: Any) -> str | int | float | bool:
        if not isinstance(value, str | int | float):
            raise NotThis
        return value


class Section(Strict):
    """An object with keys of its own, described by a schema."""

    type_name = "object"

    def __init__(self, description: str, schema: type[Schema], *, nullable: bool = False) -> None:
        self.schema = schema()
        super().__init__(description, nullable=nullable)

    def _takes(self) -> str:
        return "an object"

    def _strict(self, value: Any) -> dict[str, Any]:
        if not isinstance(value, Mapping):
            raise NotThis
        loaded: dict[str, Any] = self.schema.load(value)
        return loaded


class SwitchedSection(Section):
    """An object with keys of its own, or true for the defaults of all of them, or false for none of it.

    It is loaded with one more key, ENABLED, so that true and false lie over the objects of other sources.
    """

    type_name = "boolean or object"
    ENABLED = "enabled"

    def _takes(self) -> str:
        return "true, false, an object" if self.nullable else "true, false or an object"

    def _strict(self, value: Any) -> dict[str, Any]:
        if isinstance(value, bool):
            return {self.ENABLED: value}
        return {self.ENABLED: True, **super()._strict(value)}

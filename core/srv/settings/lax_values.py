"""Values as MLServer takes them: a text stands for the number or the boolean that it spells."""

from __future__ import annotations

from typing import Any

from srv.settings.fields import Flag, ListOf, NotThis, Seconds, Strict, TableOf, Text, Whole

_FLAGS = {"true": True, "1": True, "yes": True, "on": True, "t": True, "y": True} | {
    "false": False, "0": False, "no": False, "off": False, "f": False, "n": False
}  # fmt: skip


def flag(value: Any) -> bool:
    """Return the boolean that a value means. Raises NotThis."""
    found = _FLAGS.get(str(value).lower()) if isinstance(value, bool | int | str) else None
    if found is None:
        raise NotThis
    return found


def whole(value: Any) -> int:
    """Return the integer that a value means. Raises NotThis."""
    try:
        number = float(value) if isinstance(value, str) else value
    except ValueError:
        raise NotThis from None
    if not isinstance(number, int | float) or isinstance(number, bool) or number != number // 1:
        raise NotThis
    return int(number)


def as_field(field: object, value: Any) -> Any:
    """Return a value of the kind that a field of srv's takes, or the value itself, which the field then refuses."""
    try:
        if isinstance(field, Flag):
            return flag(value)
        if isinstance(field, Whole):
            return whole(value) if value is not None else None
        if isinstance(field, Seconds) and isinstance(value, str):
            return float(value)
        if isinstance(field, ListOf | TableOf) and isinstance(value, str):
            return field.from_text(value)
    except (NotThis, ValueError, OverflowError):
        pass
    return value


def is_nothing(field: object, value: Any) -> bool:
    """Return whether a value means to MLServer that nothing is given, where srv's field would refuse it."""
    if value is None:
        return isinstance(field, Strict) and not field.nullable
    if isinstance(field, Text) and value == "":
        return not field.fits("")
    return isinstance(field, ListOf) and field.nullable and value == []

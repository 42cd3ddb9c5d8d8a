"""Dataclasses, NamedTuples and TypedDicts: as an argument an input for each field, as what is returned an output."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable
from typing import Any, get_type_hints

import msgspec

from srv.inference.signatures.errors import BadHint
from srv.inference.signatures.hints import Hint, shown, unwrapped


class Field(msgspec.Struct, frozen=True):
    """One field of a record: its hint, and whether it has a default or may be left out."""

    name: str
    hint: Hint
    has_default: bool


class Record(msgspec.Struct, frozen=True):
    """A class with named fields, and how to make one of them."""

    make: Callable[..., Any]
    fields: tuple[Field, ...]


def record_of(hint: Any) -> Record | None:
    """Return the fields of an unwrapped hint's class; None where the class has none. Raises BadHint where they cannot be read."""
    if not isinstance(hint, type):
        return None
    if dataclasses.is_dataclass(hint) or (issubclass(hint, tuple) and hasattr(hint, "_fields")):
        return Record(hint, _of_arguments(hint))
    if issubclass(hint, dict) and hasattr(hint, "__optional_keys__"):
        return Record(dict, _of_keys(hint))
    return None


def outputs_of(hint: Any) -> dict[str, Hint] | None:
    """Return the hints of a record's fields by name, those that its constructor does not take too; None for another hint.

    Those of a TypedDict say whether the key is `required`, also where the class says it of all its keys.
    """
    record = record_of(hint)
    if record is None:
        return None
    if record.make is dict:
        return {
            field.name: msgspec.structs.replace(field.hint, required=not field.has_default) for field in record.fields
        }
    kinds = {name: kind for name, kind in _hints(hint).items() if not isinstance(kind, dataclasses.InitVar)}
    if dataclasses.is_dataclass(hint):
        names = {field.name for field in dataclasses.fields(hint)}
        kinds = {name: kind for name, kind in kinds.items() if name in names}
    return {name: unwrapped(kind) for name, kind in kinds.items()}


def _of_arguments(record: type) -> tuple[Field, ...]:
    """Return the fields that the constructor takes."""
    hints = _hints(record)
    fields = []
    for parameter in inspect.signature(record).parameters.values():
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            raise BadHint(f"{shown(record)}, whose argument '{parameter}' has no name of its own")
        hint = hints.get(parameter.name, Any)
        if isinstance(hint, dataclasses.InitVar):
            hint = hint.type
        fields.append(Field(parameter.name, unwrapped(hint), parameter.default is not parameter.empty))
    return tuple(fields)


def _of_keys(record: Any) -> tuple[Field, ...]:
    """Return the keys of a TypedDict."""
    fields = []
    for name, kind in _hints(record).items():
        hint = unwrapped(kind)
        # __optional_keys__ lacks keys whose hint is a string, such as "NotRequired[int]".
        required = name not in record.__optional_keys__ if hint.required is None else hint.required
        fields.append(Field(name, hint, not required))
    return tuple(fields)


def _hints(record: Any) -> dict[str, Any]:
    try:
        return get_type_hints(record, include_extras=True)
    except Exception as error:
        raise BadHint(f"{shown(record)}, whose own hints cannot be read: {error}") from error

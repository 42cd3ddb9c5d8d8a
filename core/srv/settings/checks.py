"""Checks of what one source gives against a schema; the values come out by path."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Protocol, TypeAlias, cast

import msgspec
from marshmallow import Schema, ValidationError

from srv.errors import SettingsError, nearest
from srv.settings import mlserver_keys
from srv.settings.documents import dotted
from srv.settings.errors import MissingSetting, UnknownSetting, WrongSetting
from srv.settings.fields import ListOf, Section, Strict
from srv.settings.schemas import ModelSchema, ParametersSchema, ServerSchema

#: Settings by their path: those of a section each on its own, everything else whole.
Leaves: TypeAlias = dict[tuple[str, ...], Any]

_FOREIGN: Mapping[type[Schema], Mapping[str, mlserver_keys.Key]] = {
    ServerSchema: mlserver_keys.SERVER,
    ModelSchema: mlserver_keys.MODEL,
    ParametersSchema: mlserver_keys.PARAMETERS,
}


class SettingPlace(Protocol):
    """A place where settings were given: a file, a variable of the environment, a flag."""

    def subject(self, path: Sequence[str | int]) -> str:
        """Return how a sentence about the setting at that path begins."""


class Named(msgspec.Struct, frozen=True):
    """A place with a name of its own, a variable or a flag, that gives the setting at `path`."""

    name: str
    path: tuple[str, ...]

    def subject(self, path: Sequence[str | int]) -> str:
        """Return the name, with the key if it is deeper than the name's path."""
        return self.name if len(path) <= len(self.path) else f"{self.name}: '{dotted(path)}'"


def checked(
    schema: Schema, values: Mapping[str, Any], place: SettingPlace, *, sections: Collection[str] = ()
) -> Leaves:
    """Return what a source gives, by path; every key is known, every value of its type. Raises a SettingError.

    Keys of `sections` are plugins' and need only be objects.
    """
    own = {key: value for key, value in values.items() if key not in sections}
    _refuse_unknown(schema, own, place, (), sections)
    try:
        loaded = schema.load(own)
    except ValidationError as error:
        raise _first_error(cast("dict[str, Any]", error.messages), values, place) from None
    leaves: Leaves = {}
    for key, value in loaded.items():
        leaves |= _in_parts(key, value) if isinstance(schema.fields[key], Section) else {(key,): value}
    for key in values.keys() & set(sections):
        if not isinstance(values[key], Mapping):
            raise WrongSetting(place.subject((key,)), "must be an object, the plugin's settings", values[key])
        leaves |= _in_parts(key, values[key]) or {(key,): {}}
    return leaves


def overlay(below: Leaves, above: Leaves) -> Leaves:
    """Return the settings of both; those above win where both have a key."""
    merged = dict(below)
    for path, value in above.items():
        for other in [other for other in merged if _covers(path, other) or _covers(other, path)]:
            del merged[other]
        merged[path] = value
    return merged


def _covers(path: tuple[str, ...], other: tuple[str, ...]) -> bool:
    return other[: len(path)] == path


def _in_parts(key: str, section: Mapping[str, Any] | None) -> Leaves:
    """Return the settings of a section by path; null stands for the section as a whole."""
    return {(key,): None} if section is None else {(key, part): value for part, value in section.items()}


def _refuse_unknown(
    schema: Schema,
    values: Mapping[str, Any],
    place: SettingPlace,
    path: tuple[str | int, ...],
    sections: Collection[str] = (),
) -> None:
    for key, value in values.items():
        field = schema.fields.get(key)
        if field is None:
            known = [*schema.fields, *sections]
            hint = (
                mlserver_keys.hint(key, _FOREIGN.get(type(schema), {})) or _belongs(schema, key) or nearest(key, known)
            )
            raise UnknownSetting(place.subject((*path, key)), hint or _last_advice(schema, value))
        _refuse_unknown_in(field, value, place, (*path, key))


def _belongs(schema: Schema, key: str) -> str:
    """Return the file to which a key of the other file belongs, as a hint."""
    if isinstance(schema, ServerSchema) and key in ModelSchema().fields:
        return " It is a model's, and belongs in its model-settings.json."
    if isinstance(schema, ModelSchema) and key in ServerSchema().fields:
        return " It is the server's, and belongs in settings.json."
    return ""


def _last_advice(schema: Schema, value: object) -> str:
    """Return what to do about a key that is like no other."""
    if isinstance(schema, ServerSchema) and isinstance(value, Mapping):
        return (
            " No installed plugin of that name has settings either. Take it out, install the plugin, or name it in "
            "plugins.optional where the server may run without it."
        )
    if isinstance(schema, ParametersSchema):
        return " Settings of the runtime's own go under 'parameters.extra'."
    return " Take it out."


def _refuse_unknown_in(field: object, value: Any, place: SettingPlace, path: tuple[str | int, ...]) -> None:
    if isinstance(field, Section) and isinstance(value, Mapping):
        _refuse_unknown(field.schema, value, place, path)
    if isinstance(field, ListOf) and isinstance(value, list):
        for number, item in enumerate(value):
            _refuse_unknown_in(field.item, item, place, (*path, number))


def _first_error(messages: Mapping[Any, Any], values: Any, place: SettingPlace) -> SettingsError:
    """Return the first of marshmallow's errors, in the order of the source's keys, missing ones last."""
    path: tuple[str | int, ...] = ()
    node: Any = messages
    while isinstance(node, Mapping):
        step = next((key for key in _steps(values) if key in node), None)
        if step is None:
            missing = next(iter(node))
            return MissingSetting(place.subject((*path, missing)), "is missing")
        path, node, values = (*path, step), node[step], values[step]
    return WrongSetting(place.subject(path), node[0], values)


def _steps(values: Any) -> Sequence[str | int]:
    return list(values) if isinstance(values, Mapping) else range(len(values))


def field_of(schema: Schema, key: str) -> Strict:
    """Return the field of a key that the schema has."""
    field = schema.fields[key]
    assert isinstance(field, Strict)
    return field

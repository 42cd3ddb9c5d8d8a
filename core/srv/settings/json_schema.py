"""JSON Schema of marshmallow schemas: a runtime's own settings for people and editors, and srv's settings.json.

apispec does the translation because a stranger's schema may hold any field that marshmallow has, nested ones and
validators included; what it knows nothing of are srv's own strict fields.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin

from srv.settings.fields import (
    Choice,
    Flag,
    FreeObject,
    ListOf,
    Plain,
    Seconds,
    Section,
    Size,
    Strict,
    SwitchedSection,
    TableOf,
    Text,
    Whole,
)
from srv.settings.schemas import ServerSchema
from srv.settings.server import ServerSettings

if TYPE_CHECKING:
    from marshmallow import Schema

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_REFERENCES = "#/components/schemas/"


def json_schema(schema: Schema, *, title: str) -> dict[str, Any]:
    """Return what the schema takes as a JSON Schema; nested schemas stand under `$defs`."""
    marshmallow = MarshmallowPlugin()
    document = APISpec(title, "", "3.1.0", plugins=[marshmallow])
    converter: Any = marshmallow.converter  # most of its methods have no types
    converter.add_attribute_function(_strict)
    converter.add_attribute_function(_empty_default)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a field of somebody's own stands there without a type, which is true
        described: dict[str, Any] = _plain(converter.schema2jsonschema(schema))
    nested = _plain(document.components.schemas)
    return {"$schema": _DIALECT, "title": title, **described, **({"$defs": nested} if nested else {})}


def settings_file_schema() -> dict[str, Any]:
    """Return the JSON Schema of settings.json, defaults included; sections of plugins are open."""
    described = json_schema(ServerSchema(), title="settings.json")
    for name, value in msgspec.structs.asdict(ServerSettings(folder=Path())).items():
        if name in described["properties"] and isinstance(value, str | int | float | tuple | None):
            described["properties"][name]["default"] = list(value) if isinstance(value, tuple) else value
    described["additionalProperties"] = {"type": "object", "description": "The settings of a plugin, by its name."}
    return described


def _strict(_: object, field: object, **__: Any) -> dict[str, Any]:
    """Return the JSON Schema of a field of srv's own settings; nothing for any other field."""
    if not isinstance(field, Strict):
        return {}
    described = _kind(field)
    if field.nullable:
        return {"anyOf": [described, {"type": "null"}]}
    return described


def _kind(field: Strict) -> dict[str, Any]:
    match field:
        case Whole():
            most = {} if field.most is None else {"maximum": field.most}
            return {"type": "integer", "minimum": field.least, **most}
        case Seconds():
            return {"type": "number", "minimum" if field.zero else "exclusiveMinimum": 0}
        case Flag():
            return {"type": "boolean"}
        case Choice():
            return {"enum": list(field.words)}
        case Text():
            return {"type": "string"} if field.fits("") else {"type": "string", "minLength": 1}
        case ListOf():
            return {"type": "array", "items": _strict(None, field.item)}
        case TableOf():
            return {"type": "object", "additionalProperties": _strict(None, field.value)}
        case FreeObject():
            return {"type": "object"}
        case Plain():
            return {"type": ["string", "number", "boolean"]}
        case Size():
            return {"anyOf": [{"type": "integer", "minimum": 1}, {"type": "string", "minLength": 1}]}
        case Section():
            return _section(field)
        case _:
            return {}


def _section(field: Section) -> dict[str, Any]:
    parts = {
        name: {**_strict(None, part), "description": part.metadata["description"]}
        for name, part in field.schema.fields.items()
    }
    described = {"type": "object", "properties": parts, "additionalProperties": False}
    return {"anyOf": [{"type": "boolean"}, described]} if isinstance(field, SwitchedSection) else described


def _empty_default(_: object, field: Any, **__: Any) -> dict[str, Any]:
    """Return the default of a field whose default is made by a function and is empty."""
    default = getattr(field, "load_default", None)
    return {"default": default()} if default in (list, dict) else {}


def _plain(described: Any) -> Any:
    """Return the same as plain data, with references to where JSON Schema keeps its definitions."""
    if isinstance(described, Mapping):
        return {str(key): _plain(value) for key, value in described.items()}
    if isinstance(described, list | tuple | set):
        return [_plain(value) for value in described]
    if isinstance(described, str):
        return described.replace(_REFERENCES, "#/$defs/") if described.startswith(_REFERENCES) else described
    return described if isinstance(described, int | float | None) else str(described)

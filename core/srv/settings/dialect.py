"""Settings in MLServer's dialect: which files and variables are read so, and what they mean in srv's own keys."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec
from marshmallow import Schema

from srv.errors import listed
from srv.settings import mlserver_keys
from srv.settings.checks import Named, checked
from srv.settings.documents import Document, dotted
from srv.settings.environment import is_injected
from srv.settings.errors import WrongSetting
from srv.settings.fields import FreeObject, ListOf, NotThis, Section, Text
from srv.settings.given import GivenSettings
from srv.settings.lax_values import as_field, is_nothing
from srv.settings.mlserver_keys import Key, KeyChange
from srv.settings.schemas import CorsSchema, ModelSchema, ParametersSchema, ServerSchema
from srv.uris import scheme_of

#: The plugin whose presence lets files with MLServer's keys be read so.
PLUGIN = "mlserver"
#: The words of the setting `dialect`.
SRV, MLSERVER = "srv", "mlserver"
PREFIX, _MODEL = "MLSERVER_", "model_"
#: How sentences name the settings of a model that variables give alone.
ENVIRONMENT = "the environment (MLSERVER_MODEL_…)"

_TABLES: Mapping[type[Schema], Mapping[str, Key]] = {
    ServerSchema: mlserver_keys.SERVER,
    CorsSchema: mlserver_keys.CORS,
    ModelSchema: mlserver_keys.MODEL,
    ParametersSchema: mlserver_keys.PARAMETERS,
}


class Translation(msgspec.Struct):
    """What a file of MLServer's says in srv's own keys, and each key that is another one there or has no effect."""

    values: dict[str, Any] = msgspec.field(default_factory=dict)
    changes: list[KeyChange] = msgspec.field(default_factory=list)

    def put(self, path: tuple[str, ...], value: Any) -> None:
        """Put a value under its path, unless it is there."""
        node = self.values
        for key in path[:-1]:
            node = node.setdefault(key, {})
        node.setdefault(path[-1], value)


class Dialect(msgspec.Struct, frozen=True):
    """Which settings are read as MLServer's: `said` is the setting `dialect`, `installed` whether srv-mlserver is there."""

    said: str | None = None
    installed: bool = False

    @property
    def takes_variables(self) -> bool:
        """Return whether variables of MLServer's are read."""
        return self.said == MLSERVER or (self.said is None and self.installed)

    def is_of(self, values: Mapping[str, Any], schema: Schema) -> bool:
        """Return whether a file with these values is MLServer's: the setting says so, or it has keys only of MLServer's."""
        if self.said is not None or not self.installed:
            return self.said == MLSERVER
        return _has_foreign(values, schema)

    def model_document(self, document: Document) -> Document:
        """Return a model's settings in srv's keys. Raises WrongSetting for a value that means nothing."""
        if not self.is_of(document.values, ModelSchema()):
            return document
        translation = translated(document, ModelSchema())
        return Document(translation.values, document.text, document.place, tuple(translation.changes))


def dialect_of(document: Document | None, environ: Mapping[str, str], sections: Collection[str]) -> Dialect:
    """Return the dialect by settings.json, the environment and the plugins that are installed."""
    said = environ.get("SRV_DIALECT", None if document is None else document.values.get("dialect"))
    return Dialect(said if said in (SRV, MLSERVER) else None, installed=PLUGIN in sections)


def _has_foreign(values: Mapping[str, Any], schema: Schema) -> bool:
    table = _TABLES.get(type(schema), {})
    for key, value in values.items():
        field = schema.fields.get(key)
        if key in table or (
            isinstance(field, Section) and isinstance(value, Mapping) and _has_foreign(value, field.schema)
        ):
            return True
    return False


def translated(document: Document, schema: Schema, *, sections: Collection[str] = ()) -> Translation:
    """Return what a file of MLServer's means. Raises WrongSetting for a value of MLServer's key that means nothing.

    Values of keys that both have are made of the kind that srv takes, as far as MLServer would; what srv refuses in them it
    refuses later. Sections of plugins stay as they are.
    """
    translation = Translation()
    _translate(translation, document, schema, document.values, (), sections)
    return translation


def _translate(
    into: Translation,
    document: Document,
    schema: Schema,
    values: Mapping[str, Any],
    path: tuple[str, ...],
    sections: Collection[str] = (),
) -> None:
    table = _TABLES.get(type(schema), {})
    for key, value in values.items():
        here, field = (*path, key), schema.fields.get(key)
        if key in sections and field is None:
            into.put(here, value)
        elif field is None:
            _put_foreign(into, document, here, value, table.get(key))
        elif is_nothing(field, value):
            continue
        elif isinstance(field, Section) and type(field.schema) in _TABLES and isinstance(value, Mapping):
            into.values.setdefault(key, {})
            _translate(into, document, field.schema, value, here)
        else:
            into.put(here, _without_unknown(field, as_field(field, value)))


def _put_foreign(into: Translation, document: Document, path: tuple[str, ...], value: Any, key: Key | None) -> None:
    """Put what a key of MLServer's means under srv's own; a key that nobody knows has no effect, as with MLServer."""
    name = dotted(path)
    becomes = None
    if key is not None and key.to is not None and value is not None:
        try:
            becomes = key.value(value)
        except NotThis:
            raise WrongSetting(document.subject(path), "must be a value that MLServer takes", value) from None
    if key is None or key.to is None or becomes is None:
        into.changes.append(KeyChange(name, value, instead=None if key is None else key.instead))
        return
    into.put(key.to, becomes)
    into.changes.append(KeyChange(name, value, key.to, becomes))


def _without_unknown(field: object, value: Any) -> Any:
    """Return a list of objects without the keys that srv does not know, which MLServer ignores."""
    if isinstance(field, ListOf) and isinstance(field.item, Section) and isinstance(value, list):
        known = field.item.schema.fields
        return [
            {key: each for key, each in item.items() if key in known and each is not None}
            if isinstance(item, Mapping)
            else item
            for item in value
        ]
    return value


def note_on(place: str, changes: Iterable[KeyChange]) -> list[str]:
    """Return one sentence about the keys of a place that have no effect; none where all have one."""
    names = [change.without_effect for change in changes if change.to is None]
    if not names:
        return []
    have = "has" if len(names) == 1 else "have"
    return [f"{place}: of MLServer's settings {listed(names)} {have} no effect here."]


def notes_on_models(documents: Iterable[Document]) -> list[str]:
    """Return one sentence about the keys of all files of models that have no effect, each with the files that have it."""
    places: dict[str, list[str]] = {}
    for document in documents:
        for change in document.changes:
            if change.to is None:
                places.setdefault(change.without_effect, []).append(document.place)
    if not places:
        return []
    named = "; ".join(f"{key} in {listed(files)}" for key, files in places.items())
    return [f"These of MLServer's settings have no effect here: {named}."]


# -- variables ---------------------------------------------------------------------------------------------------------


class Variables(msgspec.Struct):
    """What variables `MLSERVER_…` give the server, with a note on those without effect, and what they give models."""

    server: GivenSettings = msgspec.field(default_factory=GivenSettings)
    model: GivenSettings = msgspec.field(default_factory=GivenSettings)
    #: The same as a file of a model would have it, name and uri included; empty where they name no model.
    document: dict[str, Any] = msgspec.field(default_factory=dict)

    def model_alone(self) -> dict[str, Any]:
        """Return the settings of the model that they name, if they do: by name, class or uri. The uri is absolute then.

        A relative one begins where the server is started, as with MLServer.
        """
        parameters = dict(self.document.get("parameters", {}))
        uri = parameters.get("uri")
        if not (self.document.get("name") or self.document.get("implementation") or uri):
            return {}
        if uri is not None and scheme_of(uri) is None:
            parameters["uri"] = str(Path(uri).absolute())
        return {**self.document, "parameters": parameters}


def read_variables(environ: Mapping[str, str]) -> Variables:
    """Return what variables `MLSERVER_…` say. Raises a SettingError for a value of a wrong type."""
    found = Variables()
    changes: list[KeyChange] = []
    for name in sorted(environ):
        if not name.upper().startswith(PREFIX) or is_injected(name, environ[name]):
            continue
        key, text = name[len(PREFIX) :].lower(), environ[name]
        if key in mlserver_keys.SERVER or key in mlserver_keys.IMAGE or not key.startswith(_MODEL):
            _take(found.server, ServerSchema(), name, (key,), text, changes)
        else:
            key = key.removeprefix(_MODEL)
            inside = key in ParametersSchema().fields or key in mlserver_keys.PARAMETERS
            path = ("parameters", key) if inside else (key,)
            _merge(found.document, _take(found.model, ModelSchema(), name, path, text, changes))
    found.server.notes += note_on("The environment", changes)
    return found


def _merge(into: dict[str, Any], values: Mapping[str, Any]) -> None:
    for key, value in values.items():
        if isinstance(value, Mapping) and isinstance(into.get(key), dict) and key != "extra":
            _merge(into[key], value)
        else:
            into[key] = value


def _take(
    given: GivenSettings, schema: Schema, name: str, path: tuple[str, ...], text: str, changes: list[KeyChange]
) -> dict[str, Any]:
    """Take in what one variable gives, and return it; what it gives without effect goes to `changes`."""
    foreign = mlserver_keys.IMAGE.get(path[0])
    value: Any = _meaning(schema, path, text)
    values: dict[str, Any] = {path[0]: value} if len(path) == 1 else {path[0]: {path[1]: value}}
    translation = Translation()
    document = Document(values, "", name)
    if foreign is not None:
        translation.put(foreign.to or path, value)
    else:
        _translate(translation, document, schema, values, ())
    changes += [KeyChange(name, each.value, instead=each.instead) for each in translation.changes if each.to is None]
    filled = {key: inner for key, inner in translation.values.items() if inner != {}}
    if filled:
        given.take(name, checked(schema, filled, Named(name, path)))
    return filled


def _meaning(schema: Schema, path: tuple[str, ...], text: str) -> Any:
    """Return the value of a variable: text where srv's field takes text, else JSON where it is some."""
    field = schema.fields.get(path[0])
    if len(path) == 2 and isinstance(field, Section):
        field = field.schema.fields.get(path[1])
    if isinstance(field, Text):
        return text
    if isinstance(field, ListOf | FreeObject | Section) or field is None:
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            return text
    return text

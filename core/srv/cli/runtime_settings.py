"""The settings of a registered runtime, which `parameters.extra` takes: found by name, read, printed."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from marshmallow import Schema

from srv.discovery import PluginKind, Plugins, UnknownPlugin
from srv.errors import SettingsError, listed, nearest, quoted

if TYPE_CHECKING:
    from srv.discovery import Plugin


class FolderAndRuntime(SettingsError):
    """A word on the command line is the name of a folder and of a runtime."""

    def __init__(self, word: str, runtime: Plugin) -> None:
        super().__init__(
            f"'{word}' is a folder here and an installed runtime. Write './{word}' for the folder, or "
            f"'{runtime.qualified}' for the runtime."
        )


class NeitherFolderNorRuntime(SettingsError):
    """A word on the command line is neither."""

    def __init__(self, word: str, runtimes: list[str]) -> None:
        folders = [path.name for path in Path().iterdir() if path.is_dir()]
        super().__init__(
            f"{quoted(word)} is neither a folder here nor an installed runtime; runtimes: {listed(runtimes)}."
            f"{nearest(word, [*runtimes, *folders])}"
        )


class NoSchema(SettingsError):
    """A runtime's `extra` is something that srv cannot read settings by."""

    def __init__(self, runtime: Plugin) -> None:
        super().__init__(f"The {runtime} has an 'extra' that is no marshmallow schema, so nobody knows its settings.")


class Setting(NamedTuple):
    """One setting of a runtime, nested ones by their dotted key. The default is JSON, None where there is none."""

    key: str
    takes: str
    default: str | None
    required: bool
    description: str


def runtime_meant(word: str, plugins: Plugins) -> Plugin | None:
    """Return the runtime that a word on the command line means, or None if it means a folder.

    What has a slash or begins with a dot is a path. Raises FolderAndRuntime, NeitherFolderNorRuntime, or the
    PluginError of a runtime that cannot be used.
    """
    if word.startswith((".", "~")) or os.sep in word:
        return None
    is_folder = Path(word).is_dir()
    try:
        runtime = plugins.find(PluginKind.RUNTIME, word)
    except UnknownPlugin:
        if is_folder:
            return None
        raise NeitherFolderNorRuntime(word, plugins.names(PluginKind.RUNTIME)) from None
    if is_folder:
        raise FolderAndRuntime(word, runtime)
    return runtime


def settings_schema(runtime: Plugin, plugins: Plugins) -> dict[str, Any] | None:
    """Return the JSON Schema of what the runtime takes under `parameters.extra`, or None if it takes nothing.

    Imports the runtime. Raises PluginBroken where that fails, and NoSchema.
    """
    from srv.settings.json_schema import json_schema  # it imports apispec, which nobody else needs

    found: Any = plugins.load_row(runtime)
    if found.extra is None:
        return None
    schema = found.extra() if callable(found.extra) else found.extra
    if not isinstance(schema, Schema):
        raise NoSchema(runtime)
    return json_schema(schema, title=f"parameters.extra of the runtime {runtime.name}")


def settings_in(schema: Mapping[str, Any]) -> list[Setting]:
    """Return every setting that a JSON Schema describes, those of nested objects after the object itself."""
    return list(_settings(schema, schema.get("$defs", {}), "", ()))


def aligned(settings: list[Setting]) -> Iterator[str]:
    """Return the settings as lines of columns: key, type, default, meaning."""
    cells = [(each.key, each.takes, "required" if each.required else each.default or "–") for each in settings]
    widths = [max(len(cell) for cell in column) for column in zip(*cells, strict=True)]
    for each, row in zip(settings, cells, strict=True):
        padded = [f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)]
        yield "  ".join([*padded, each.description]).rstrip()


def as_data(settings: list[Setting]) -> dict[str, dict[str, Any]]:
    """Return the settings for programs, by key; one without a default has none."""
    return {
        each.key: {
            "takes": each.takes,
            **({} if each.default is None else {"default": json.loads(each.default)}),
            "required": each.required,
            "description": each.description,
        }
        for each in settings
    }


def _settings(
    schema: Mapping[str, Any], definitions: Mapping[str, Any], above: str, inside: tuple[str, ...]
) -> Iterator[Setting]:
    required = schema.get("required", ())
    for name, described in schema.get("properties", {}).items():
        default = json.dumps(described["default"], ensure_ascii=False) if "default" in described else None
        key = f"{above}{name}"
        yield Setting(key, _takes(described), default, name in required, described.get("description", ""))
        reference = _reference(described)
        if reference is None:
            yield from _settings(described, definitions, f"{key}.", inside)
        elif reference not in inside:  # a schema may nest itself
            yield from _settings(definitions[reference], definitions, f"{key}.", (*inside, reference))


def _reference(described: Mapping[str, Any]) -> str | None:
    """Return the nested schema of a setting that is an object, or a list of objects."""
    for place in (described, described.get("items", {}), *described.get("allOf", ()), *described.get("anyOf", ())):
        if "$ref" in place:
            return str(place["$ref"]).rpartition("/")[2]
    return None


def _takes(described: Mapping[str, Any]) -> str:
    """Return what a setting takes, in a few words."""
    if "enum" in described:
        return " or ".join(json.dumps(word, ensure_ascii=False) for word in described["enum"])
    if "$ref" in described or "allOf" in described:
        return "object"
    if "anyOf" in described:
        return " or ".join(dict.fromkeys(_takes(choice) for choice in described["anyOf"]))
    kinds = described.get("type", "anything")
    words = [_word(kind, described) for kind in ([kinds] if isinstance(kinds, str) else kinds)]
    return " or ".join(words)


def _word(kind: str, described: Mapping[str, Any]) -> str:
    if kind == "array":
        return f"list of {_takes(described.get('items', {}))}"
    return f"{kind}{_range(described)}" if kind in ("integer", "number") else {"string": "text"}.get(kind, kind)


def _range(described: Mapping[str, Any]) -> str:
    limits = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    return "".join(f" {sign} {described[key]:g}" for key, sign in limits.items() if key in described)

"""`srv settings`: every setting in force and where it came from, or what a runtime takes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import click

from srv.cli import CommandLine, runtime_settings
from srv.cli.options import flags_alone, given_flags
from srv.cli.output import echo
from srv.discovery import Plugin, Plugins
from srv.settings import ServerSettings, read_server_settings
from srv.settings.fields import Section
from srv.settings.schemas import ServerSchema

EXAMPLES = """\b
Examples:
  srv settings models                    what `srv start models` would go by
  srv settings models --workers 4        the same with a flag of `srv start`
  SRV_HTTP_PORT=9000 srv settings        with a variable in force over the file
  srv settings models --json             for programs
  srv settings --json-schema             what settings.json may hold, for editors
  srv settings sklearn                   what the runtime takes under parameters.extra
  srv settings sklearn --json-schema     the same as JSON Schema
"""


#: In place of a value that may be a secret: only a plugin or a runtime knows which of its own are.
HIDDEN = "(hidden)"


class Row(NamedTuple):
    """A setting by its dotted key, its value, and the origin of the value."""

    key: str
    value: Any
    origin: str


@click.command(epilog=EXAMPLES)
@flags_alone
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object: each setting with what is known of it.")
@click.option("--json-schema", "as_schema", is_flag=True, help="Print what may be set, as JSON Schema.")
@click.argument("meant", metavar="[FOLDER|RUNTIME]", default=".")
def settings(meant: str, *, as_json: bool, as_schema: bool, **flags: Any) -> None:
    """Show every setting in force for FOLDER, its value, and where it came from.

    A flag is in force over a variable SRV_…, that over settings.json in FOLDER, and that over the default. Values in
    plugins' sections, such as API keys, are hidden.

    For RUNTIME, as it is registered or as DIST:NAME, show what a model's settings may say under `parameters.extra`:
    type, default and meaning. The runtime is imported. A word with a slash or a dot in front is always a folder.
    """
    plugins = click.get_current_context().find_root().ensure_object(CommandLine).plugins
    runtime = runtime_settings.runtime_meant(meant, plugins)
    if runtime is not None:
        if given_flags(flags):
            raise click.UsageError(f"'{meant}' is a runtime, and the flags are settings of a server.")
        _show_runtime(runtime, plugins, as_json=as_json, as_schema=as_schema)
    elif as_schema:
        from srv.settings.json_schema import settings_file_schema  # it imports apispec, which nobody else needs

        echo(json.dumps(settings_file_schema(), indent=2, ensure_ascii=False))
    else:
        found = read_server_settings(Path(meant), flags=given_flags(flags), plugin_sections=plugins.sections())
        _show(found, as_json=as_json)


def _show(found: ServerSettings, *, as_json: bool) -> None:
    rows = list(rows_of(found))
    if as_json:
        echo(json.dumps({row.key: {"value": row.value, "origin": row.origin} for row in rows}, indent=2))
    else:
        for line in aligned(rows):
            echo(line)
    for note in found.notes:
        echo(note, err=True)


def _show_runtime(runtime: Plugin, plugins: Plugins, *, as_json: bool, as_schema: bool) -> None:
    schema = runtime_settings.settings_schema(runtime, plugins)
    taken = runtime_settings.settings_in(schema or {})
    if as_schema:
        echo(json.dumps(schema or {"type": "object", "maxProperties": 0}, indent=2, ensure_ascii=False))
    elif as_json:
        echo(json.dumps(runtime_settings.as_data(taken), indent=2, ensure_ascii=False))
    elif taken:
        for line in runtime_settings.aligned(taken):
            echo(line)
    else:
        echo(f"The {runtime} has no settings of its own.")


def rows_of(found: ServerSettings) -> Iterator[Row]:
    """Return the settings in the order of the reference, then plugins' sections, then defaults for models."""
    for key, field in ServerSchema().fields.items():
        value = getattr(found, key)
        if isinstance(field, Section) and value is not None:
            for part in field.schema.fields:
                yield _row(found, f"{key}.{part}", getattr(value, part))
        else:
            yield _row(found, key, value)
    for name, section in found.sections.items():
        for part in section:
            yield _row(found, f"{name}.{part}", HIDDEN)
    for path, value in found.model_defaults.items():
        if path[-1] == "extra" and isinstance(value, Mapping):
            value = dict.fromkeys(value, HIDDEN)
        yield _row(found, ".".join(("model", *path)), value)


def aligned(rows: list[Row]) -> Iterator[str]:
    """Return the rows as lines of three columns; a text stands as it is, everything else as JSON."""
    shown = [(row.key, _shown(row.value), row.origin) for row in rows]
    keys = max(len(key) for key, _, _ in shown)
    values = min(40, max(len(value) for _, value, _ in shown))
    for key, value, origin in shown:
        yield f"{key:{keys}}  {value:{values}}  {origin}"


def _row(found: ServerSettings, key: str, value: Any) -> Row:
    return Row(key, _plain(value), found.origin(key))


def _plain(value: Any) -> Any:
    """Return the value as JSON has it."""
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return list(value) if isinstance(value, tuple) else value


def _shown(value: Any) -> str:
    return value if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False)

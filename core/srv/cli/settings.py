"""`srv settings`: every setting in force, and where it came from."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import click

from srv.cli import CommandLine
from srv.cli.options import given_flags, settings_flags
from srv.settings import ServerSettings, read_server_settings
from srv.settings.fields import Section
from srv.settings.schemas import ServerSchema

EXAMPLES = """\b
Examples:
  srv settings models                    what `srv start models` would go by
  srv settings models --workers 4        the same with a flag of `srv start`
  SRV_HTTP_PORT=9000 srv settings        with a variable in force over the file
  srv settings models --json             for programs
"""


class Row(NamedTuple):
    """A setting by its dotted key, its value, and where that came from."""

    key: str
    value: Any
    origin: str


@click.command(epilog=EXAMPLES)
@settings_flags
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object: each setting with value and origin.")
def settings(folder: str, *, as_json: bool, **flags: Any) -> None:
    """Show every setting in force for FOLDER, its value, and where it came from.

    A flag is in force over a variable SRV_…, that over settings.json in FOLDER, and that over the default.
    """
    plugins = click.get_current_context().find_root().ensure_object(CommandLine).plugins
    found = read_server_settings(Path(folder), flags=given_flags(flags), plugin_sections=plugins.sections())
    rows = list(rows_of(found))
    if as_json:
        click.echo(json.dumps({row.key: {"value": row.value, "origin": row.origin} for row in rows}, indent=2))
    else:
        for line in aligned(rows):
            click.echo(line)
    for note in found.notes:
        click.echo(note, err=True)


def rows_of(found: ServerSettings) -> Iterator[Row]:
    """The settings in the order of the reference, then plugins' sections, then defaults for models."""
    for key, field in ServerSchema().fields.items():
        value = getattr(found, key)
        if isinstance(field, Section) and value is not None:
            for part in field.schema.fields:
                yield _row(found, f"{key}.{part}", getattr(value, part))
        else:
            yield _row(found, key, value)
    for name, section in found.sections.items():
        for part, value in section.items():
            yield _row(found, f"{name}.{part}", value)
    for path, value in found.model_defaults.items():
        yield _row(found, ".".join(("model", *path)), value)


def aligned(rows: list[Row]) -> Iterator[str]:
    """The rows as lines of three columns; a text stands as it is, everything else as JSON."""
    shown = [(row.key, _shown(row.value), row.origin) for row in rows]
    keys = max(len(key) for key, _, _ in shown)
    values = min(40, max(len(value) for _, value, _ in shown))
    for key, value, origin in shown:
        yield f"{key:{keys}}  {value:{values}}  {origin}"


def _row(found: ServerSettings, key: str, value: Any) -> Row:
    return Row(key, _plain(value), found.origin(key))


def _plain(value: Any) -> Any:
    """The value as JSON has it."""
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return list(value) if isinstance(value, tuple) else value


def _shown(value: Any) -> str:
    return value if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False)

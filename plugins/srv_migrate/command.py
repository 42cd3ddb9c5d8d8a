"""The command line of `srv migrate`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
import msgspec

from srv.cli.output import echo
from srv_migrate.errors import NoFolder, NothingFound
from srv_migrate.migration import MigratedFile, Migration, Step, migration_of, text_of
from srv_migrate.writing import write

EXAMPLES = """\b
Examples:
  srv migrate models            what would change, and why
  srv migrate models --write    write it; MLServer's files stay as *.mlserver
  srv migrate models --json     the same for programs
"""


@click.command(epilog=EXAMPLES)
@click.argument("folder", default=".", type=click.Path(path_type=Path))
@click.option("--write", "writes", is_flag=True, help="Write the files, and keep MLServer's beside them.")
@click.option("--json", "as_json", is_flag=True, help="Print it for programs.")
def migrate(folder: Path, *, writes: bool, as_json: bool) -> int:
    """Turn a folder of MLServer's into srv's own settings.

    Prints the settings of each file, what changes and why, and what srv has nothing like. Nothing is written without
    --write. A folder need not be migrated to be served: srv-mlserver reads it as it is.
    """
    if not folder.is_dir():
        raise NoFolder(folder)
    found = migration_of(folder)
    if not found.files:
        raise NothingFound(folder)
    kept = write(folder, found.files) if writes else []
    if as_json:
        echo(json.dumps({**_plain(found), "written": writes, "kept": [str(path) for path in kept]}, indent=2))
    else:
        _print(found, kept, writes=writes)
    return 0


def _plain(found: Migration) -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.to_builtins(found)
    return plain


def _print(found: Migration, kept: list[Path], *, writes: bool) -> None:
    for number, each in enumerate(found.files):
        _print_file(each, first=number == 0)
    if found.packages:
        echo(f"\nInstall: pip install {' '.join(found.packages)}")
    if writes:
        echo(f"\nWritten. MLServer's: {', '.join(map(str, kept))}" if kept else "\nNothing had to be written.")
    elif any(each.changes for each in found.files):
        echo("\nNothing is written. --write does that.")


def _print_file(each: MigratedFile, *, first: bool) -> None:
    echo(f"{'' if first else chr(10)}{each.file}: {'as follows' if each.changes else 'stays as it is'}")
    for step in each.steps:
        echo(f"  {_said(step)}")
    for note in each.notes:
        echo(f"  note: {note}")
    if each.changes:
        echo("\n" + "".join(f"    {line}\n" for line in text_of(each.settings).splitlines()), nl=False)


def _said(step: Step) -> str:
    before = f"{step.key}: {_value(step.value)}" if step.value is not None else f"{step.key} is not given"
    if step.to is None:
        return f"- {before} goes: {step.why}"
    return f"- {before} becomes {step.to}: {_value(step.becomes)} ({step.why})"


def _value(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:59]}…"

"""`srv init`: writes a package or a folder of models that works at once."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from srv.discovery import discover
from srv_init.authors import author_of
from srv_init.kinds import SCAFFOLDS, Scaffold
from srv_init.name_check import check_free
from srv_init.names import Names, names_of

EXAMPLES = """\b
Examples:
  srv init runtime acme       a package srv-acme that brings the runtime 'acme'
  srv init codec money        a package srv-money that brings the content type 'money'
  srv init plugin audit       a package srv-audit with hooks, a route and settings
  srv init model flats        a folder flats-models with the model 'flats'
"""


@click.command(epilog=EXAMPLES)
@click.argument("kind", type=click.Choice(list(SCAFFOLDS)))
@click.argument("name")
@click.option(
    "--dir",
    "folder",
    type=click.Path(path_type=Path),
    help="The folder to write to, new or empty; ./srv-NAME, or ./NAME-models, if left out.",
)
@click.option("--author", help="Whose package it is; git's user.name if left out.")
@click.option("--email", help="Where to write to them; git's user.email if left out.")
def init(kind: str, name: str, folder: Path | None, author: str | None, email: str | None) -> None:
    """Write a package, or a folder of models, that installs, passes its tests and serves at once.

    KIND says what it brings. From NAME follow all other names: those of the package, its classes, what it registers.
    Nothing that is there is overwritten.
    """
    from srv_init.rendering import render, write  # it imports jinja2, which `srv init --help` need not

    scaffold = SCAFFOLDS[kind]
    names = names_of(name, scaffold)
    check_free(names, scaffold, discover())
    files = render(scaffold, names, author_of(author, email))
    target = folder or Path(names.distribution)
    write(files, target)
    click.echo(_closing(scaffold, names, target, len(files)))


def _closing(scaffold: Scaffold, names: Names, target: Path, files: int) -> str:
    """Return what was written, and what to type next."""
    shown = os.path.relpath(target)
    model = scaffold.model or names.plain
    request = f"{'models/' if scaffold.brings else ''}{model}/request.json"
    steps = [
        *([] if shown == "." else [f"cd {shown}"]),
        *([] if sys.prefix != sys.base_prefix else ["python3 -m venv .venv && . .venv/bin/activate"]),
        'pip install -e ".[test]"',
        "pytest",
        "srv check .",
        "srv start .",
        f"curl -s localhost:8080/v2/models/{model}/infer -d @{request}    (from another terminal)",
    ]
    lines = "\n".join(f"  {step}" for step in steps)
    return (
        f"Wrote {names.distribution} with the {scaffold.noun} '{names.plain}': {files} files in {shown}.\n\n"
        f"Next:\n{lines}\n\nIts README.md says where to go from there."
    )

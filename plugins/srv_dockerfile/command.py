"""`srv dockerfile`: write the Dockerfile of a folder, and what must lie beside it."""

from __future__ import annotations

import tempfile
from pathlib import Path

import click

from srv.cli import CommandLine
from srv.errors import listed

EXAMPLES = """\b
Examples:
  srv dockerfile models           write models/Dockerfile
  srv dockerfile models -i        and models/.dockerignore, where there is none
  srv dockerfile models -o -      print it
"""


@click.command(epilog=EXAMPLES)
@click.argument("folder", default=".", type=click.Path(path_type=Path))
@click.option("-i", "--ignore", is_flag=True, help="Write a .dockerignore too, unless there is one.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, allow_dash=True),
    metavar="FILE",
    help="Write to this file instead; - prints.",
)
@click.option("--force", is_flag=True, help="Overwrite a Dockerfile that is there.")
def dockerfile(folder: Path, *, ignore: bool, output: Path | None, force: bool) -> None:
    """Write a Dockerfile for FOLDER, and this folder where none is named: an image of it serves its models.

    Docker, BuildKit, Buildah, Podman and Kaniko take it, and `srv build` builds exactly this text. What the image
    needs and no index has, because it was installed from a checkout, is put into FOLDER/.srv/wheels.
    """
    from srv_dockerfile.context import lay_wheels
    from srv_dockerfile.planning import opened, plan_for
    from srv_dockerfile.text import WHEELS, render
    from srv_dockerfile.writing import check_free, check_seen, write, write_ignore

    path = folder / "Dockerfile" if output is None else output
    printed = str(path) == "-"
    if not (printed or force):
        check_free(path)
    command_line = click.get_current_context().find_root().ensure_object(CommandLine)
    plugins, hooks = opened(folder, command_line.plugins, no_plugin=command_line.no_plugin)
    with tempfile.TemporaryDirectory() as made:
        plan = plan_for(folder, plugins, hooks, wheels=Path(made))
        text = render(plan)
        check_seen(plan)
        lay_wheels(plan.wheels, folder)
    for note in plan.notes:
        click.echo(note, err=True)
    if printed:
        click.echo(text, nl=False)
    else:
        write(path, text)
        click.echo(f"Wrote {path}.", err=True)
    if plan.wheels:
        names = listed(wheel.name for wheel in plan.wheels)
        click.echo(f"What no index has lies in {folder / WHEELS}: {names}.", err=True)
    click.echo(write_ignore(folder, wanted=ignore), err=True)

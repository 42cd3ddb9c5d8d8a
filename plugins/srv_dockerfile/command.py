"""`srv dockerfile`: writes the Dockerfile of a folder, and the files that it needs."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import click

from srv.cli import CommandLine
from srv.errors import listed
from srv.images import ImagePlan

EXAMPLES = """\b
Examples:
  srv dockerfile models           write models/Dockerfile
  srv dockerfile models -i        and srv's lines into models/.dockerignore
  srv dockerfile models -o -      print it
  srv dockerfile models --list    print what goes into the image
"""


#: For each command that makes an image of a folder.
allow_option = click.option(
    "--allow",
    "allowed",
    metavar="NAME",
    multiple=True,
    help="Let this file into the image though it holds a secret; a pattern as in .dockerignore. Repeatable.",
)


@click.command(epilog=EXAMPLES)
@click.argument("folder", default=".", type=click.Path(path_type=Path))
@click.option("-i", "--ignore", is_flag=True, help="Write srv's lines into .dockerignore too, below your own.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, allow_dash=True),
    metavar="FILE",
    help="Write to this file instead; - prints.",
)
@click.option(
    "--secret",
    "secrets",
    metavar="ID",
    multiple=True,
    help="Mount the build's secret of this id while packages are installed, as BuildKit, Buildah and Podman can. Repeatable.",
)
@click.option("--cuda", metavar="VERSION", help="Take packages for NVIDIA's GPUs and this CUDA, such as 12.4.")
@allow_option
@click.option(
    "--list", "as_list", is_flag=True, help="Print what goes into the image and what stays out; write nothing."
)
@click.option("--json", "as_json", is_flag=True, help="With --list: print it as JSON.")
@click.option("--force", is_flag=True, help="Overwrite a Dockerfile that is there.")
def dockerfile(
    folder: Path,
    output: Path | None,
    secrets: tuple[str, ...],
    allowed: tuple[str, ...],
    cuda: str | None,
    *,
    ignore: bool,
    as_list: bool,
    as_json: bool,
    force: bool,
) -> None:
    """Write a Dockerfile for FOLDER, and this folder where none is named: an image of it serves its models.

    Docker, BuildKit, Buildah, Podman and Kaniko take it, and `srv build` builds exactly this text. What the image
    needs and no index has, because it was installed from a checkout, is put into FOLDER/.srv/wheels, and what pip reads
    of a lock into FOLDER/.srv/requirements.txt.
    """
    if as_list or as_json:
        _list(folder, allowed, as_json=as_json)
        return
    from srv_dockerfile.files import OURS, files_at_hand
    from srv_dockerfile.planning import open_folder, plan_for
    from srv_dockerfile.rendering import WHEELS, render
    from srv_dockerfile.secret_files import check_secrets
    from srv_dockerfile.writing import check_free, check_seen, write, write_ignore

    path = folder / "Dockerfile" if output is None else output
    printed = str(path) == "-"
    if not (printed or force):
        check_free(path)
    command_line = click.get_current_context().find_root().ensure_object(CommandLine)
    with files_at_hand():
        plugins, hooks = open_folder(folder, command_line.plugins)
    with tempfile.TemporaryDirectory() as made:
        with files_at_hand():
            plan = plan_for(folder, plugins, hooks, wheels=Path(made), secrets=secrets, cuda=cuda)
            check_secrets(plan, allowed)
            text = render(plan)
        check_seen(plan)
        laid = _lay(plan, folder, printed=printed)
    for note in plan.notes:
        click.echo(note, err=True)
    if printed:
        click.echo(text, nl=False)
    else:
        write(path, text)
        click.echo(f"Wrote {path}.", err=True)
    if not laid:
        click.echo(f"What it needs cannot be put into {folder / OURS}: srv build does without that.", err=True)
    if laid and plan.wheels:
        names = listed(wheel.name for wheel in plan.wheels)
        click.echo(f"What no index has lies in {folder / WHEELS}: {names}.", err=True)
    for name in plan.generated if laid else ():
        click.echo(f"What pip installs from a lock or a project lies in {folder / name}.", err=True)
    said = write_ignore(plan, wanted=ignore)
    if said:
        click.echo(said, err=True)


def _lay(plan: ImagePlan, folder: Path, *, printed: bool) -> bool:
    """Put what the Dockerfile needs into the folder; return whether it is there. Raises CannotWrite unless the text is printed."""
    from srv_dockerfile.context import lay_generated, lay_wheels
    from srv_dockerfile.errors import CannotWrite
    from srv_dockerfile.files import OURS

    try:
        lay_wheels(plan.wheels, folder)
        lay_generated(plan.generated, folder)
    except OSError as error:
        if not printed:
            raise CannotWrite(folder / OURS, error) from error
        return False
    return True


def _list(folder: Path, allowed: tuple[str, ...], *, as_json: bool) -> None:
    """Print what goes into the image; end as the other ways do where a secret is in it."""
    from srv_dockerfile.files import files_at_hand
    from srv_dockerfile.listing import as_document, as_lines, files_of, left_out_of
    from srv_dockerfile.planning import files_plan, open_folder
    from srv_dockerfile.secret_files import check_secrets

    with files_at_hand():
        plugins, hooks = open_folder(folder, click.get_current_context().find_root().ensure_object(CommandLine).plugins)
        plan = files_plan(folder, plugins, hooks)
        files, left_out = files_of(plan), left_out_of(plan)
    if as_json:
        click.echo(json.dumps(as_document(files, left_out)))
    else:
        click.echo("\n".join(as_lines(files, left_out)))
    check_secrets(plan, allowed)

"""`srv build`: an image that serves a folder, of exactly the text that `srv dockerfile` writes."""

from __future__ import annotations

import os
import re
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from srv.cli import CommandLine
from srv.images import Builder, BuildFailed, BuildOrder
from srv_build.choosing import chosen
from srv_build.errors import NoBuilder
from srv_build.progress import shown
from srv_build.tags import check_tag

EXAMPLES = """\b
Examples:
  srv build . -t forecasts:1                     with the first builder that answers
  srv build . -t forecasts:1 --builder buildah   without a daemon
  srv build . -t forecasts:1 --dry-run           the Dockerfile, and what would build it
  srv build . -t registry.example/forecasts:1 --push
"""
ARGUMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@click.command(epilog=EXAMPLES)
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("-t", "--tag", "tags", metavar="TAG", multiple=True, required=True, help="The image's name; repeatable.")
@click.option("--builder", metavar="NAME", help="docker, buildah, podman or a plugin's; else the first that answers.")
@click.option("--no-cache", is_flag=True, help="Run every step again.")
@click.option("--base-image", metavar="IMAGE", help="Start from this image instead.")
@click.option("--platform", metavar="PLATFORM", help="Build for this one, such as linux/arm64.")
@click.option(
    "--build-arg",
    "arguments",
    metavar="NAME[=VALUE]",
    multiple=True,
    callback=lambda _, __, words: build_arguments(words),
    help="A value for an ARG of the Dockerfile; from the environment where only its name is given. Repeatable.",
)
@click.option(
    "--label",
    "labels",
    metavar="NAME=VALUE",
    multiple=True,
    callback=lambda _, __, words: labels_of(words),
    help="A label beside those of the Dockerfile. Repeatable.",
)
@click.option("--push", is_flag=True, help="Send the image to its registry when it is built.")
@click.option("--dry-run", is_flag=True, help="Print the Dockerfile and what would build it; build nothing.")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing but the image's id.")
def build(
    folder: Path,
    tags: tuple[str, ...],
    builder: str | None,
    base_image: str | None,
    platform: str | None,
    arguments: Mapping[str, str],
    labels: Mapping[str, str],
    *,
    no_cache: bool,
    push: bool,
    dry_run: bool,
    quiet: bool,
) -> None:
    """Build an image that serves FOLDER.

    It is built of the text that `srv dockerfile FOLDER` writes, in a temporary folder: nothing is written to FOLDER.
    Progress goes to stderr.
    """
    from srv_dockerfile.context import prepared  # what plans an image is slow to import, and `--help` need not wait
    from srv_dockerfile.planning import opened, plan_for
    from srv_dockerfile.text import render

    _heed_termination()
    for tag in tags:
        check_tag(tag)
    command_line = click.get_current_context().find_root().ensure_object(CommandLine)
    plugins, hooks = opened(folder, command_line.plugins, no_plugin=command_line.no_plugin)
    makers = hooks.builders()
    maker = None if dry_run else chosen(makers, builder, folder=str(folder))
    with TemporaryDirectory(prefix="srv-wheels-", ignore_cleanup_errors=True) as wheels:
        plan = plan_for(folder, plugins, hooks, wheels=Path(wheels), base_image=base_image)
        text = render(plan)
        if not quiet:
            for note in plan.notes:
                click.echo(note, err=True)
            by = f"would be built {_by_whom(makers, builder, folder)}" if maker is None else f"by {maker.name}"
            click.echo(f"{', '.join(tags)} {by}", err=True)
        if maker is None:
            click.echo(text, nl=False)
            return
        with prepared(plan, text) as context:
            order = BuildOrder(
                context,
                context / "Dockerfile",
                tags,
                arguments,
                labels,
                platform=platform,
                no_cache=no_cache,
                push=push,
            )
            began = time.monotonic()
            image = _built(maker, order, quiet=quiet)
    if quiet:
        click.echo(image)
    else:
        done = "Built and pushed" if push else "Built"
        click.echo(f"{done} {', '.join(tags)} in {time.monotonic() - began:.1f} s: {image}")


def _by_whom(makers: Mapping[str, Builder], name: str | None, folder: Path) -> str:
    """Which builder it would be; that there is none here keeps nobody from reading the text."""
    try:
        return f"by {chosen(makers, name, folder=str(folder)).name} of:"
    except NoBuilder as error:
        return f"of the text below, but not here. {error}"


def _heed_termination() -> None:
    """Clear away on SIGTERM what Ctrl-C clears away: systems that run builds end them so."""
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))


def _built(maker: Builder, order: BuildOrder, *, quiet: bool) -> str:
    """Build; where that fails, the last lines of the step stand above the reason."""
    try:
        with shown(quiet=quiet) as progress:
            return maker.build(order, progress)
    except BuildFailed as error:
        for line in error.output:
            click.echo(f"  {line}", err=True)
        raise


def build_arguments(words: Sequence[str]) -> dict[str, str]:
    """NAME=VALUE pairs by name; a NAME alone takes its value from the environment, as a secret should."""
    values = {}
    for word in words:
        name, given, value = word.partition("=")
        if not ARGUMENT.fullmatch(name):
            raise click.BadParameter(f"'{word}' names no ARG.")
        if not given and name not in os.environ:
            raise click.BadParameter(f"'{name}' has no value, and the environment has none for it.")
        values[name] = value if given else os.environ[name]
    return values


def labels_of(words: Sequence[str]) -> dict[str, str]:
    """NAME=VALUE pairs by name."""
    for word in words:
        if not word.partition("=")[0] or "=" not in word:
            raise click.BadParameter(f"'{word}' is not NAME=VALUE.")
    return dict(word.split("=", 1) for word in words)

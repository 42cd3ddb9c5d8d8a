"""`srv build`: an image that serves a folder, of exactly the text that `srv dockerfile` writes."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from srv.cli import CommandLine
from srv.images import Builder, BuildFailed, BuildOrder, BuiltImage, ImagePlan, Secret
from srv_build.arguments import (
    build_arguments,
    caches_from,
    caches_to,
    epoch_of,
    labels_of,
    output_words,
    platforms_of,
    tags_of,
)
from srv_build.builders import Choice, choose
from srv_build.errors import CannotDo, NoBuilder, Refused
from srv_build.progress import shown
from srv_build.secrets import secrets_of
from srv_build.stamps import stamps
from srv_dockerfile import allow_option

EXAMPLES = """\b
Examples:
  srv build . -t forecasts:1                     with the first builder that can
  srv build . -t forecasts:1 --builder buildah   without a daemon
  srv build . -t forecasts:1 --dry-run           the Dockerfile, and what would build it
  srv build . -t forecasts:1 --file Dockerfile   a Dockerfile of your own
  srv build . -t forecasts:1 --output type=oci,dest=forecasts.tar
  srv build . -t registry.example/forecasts:1 --push
  srv build . -t registry.example/forecasts:1 --push \\
    --platform linux/amd64,linux/arm64 --sbom --provenance max
  srv build . -t registry.example/forecasts:1 --push \\
    --cache-from registry.example/cache \\
    --cache-to type=registry,ref=registry.example/cache,mode=max

Where SOURCE_DATE_EPOCH is set, everything in the image gets that time, so that
two builds of the same make the same image; docker alone cannot do that.
"""


@click.command(epilog=EXAMPLES)
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "-t",
    "--tag",
    "tags",
    metavar="TAG",
    multiple=True,
    required=True,
    callback=lambda _, __, words: tags_of(words),
    help="The image's name; repeatable.",
)
@click.option(
    "--builder",
    metavar="NAME",
    help="buildx, docker, buildah, podman, buildctl or a plugin's; else the first that can.",
)
@click.option(
    "--file",
    "dockerfile",
    metavar="DOCKERFILE",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Build this one, such as one that srv dockerfile wrote and you have changed.",
)
@click.option("--no-cache", is_flag=True, help="Run every step again.")
@click.option("--pull", is_flag=True, help="Ask the registries again for what the Dockerfile starts from.")
@click.option("--base-image", metavar="IMAGE", help="Start from this image instead.")
@click.option("--cuda", metavar="VERSION", help="Take packages for NVIDIA's GPUs and this CUDA, such as 12.4.")
@click.option(
    "--platform",
    "platforms",
    metavar="PLATFORM",
    multiple=True,
    callback=lambda _, __, words: platforms_of(words),
    help="Build for this one, such as linux/arm64; several with commas.",
)
@click.option(
    "--build-arg",
    "arguments",
    metavar="NAME[=VALUE]",
    multiple=True,
    callback=lambda _, __, words: build_arguments(words),
    help="A value for an ARG of the Dockerfile; from the environment where only its name is given. Repeatable.",
)
@click.option(
    "--secret",
    "secrets",
    metavar="id=ID[,src=FILE|,env=NAME]",
    multiple=True,
    callback=lambda _, __, words: secrets_of(words),
    help="What is read while packages are installed, and is in no layer: a file, or a variable. Repeatable.",
)
@click.option(
    "--label",
    "labels",
    metavar="NAME=VALUE",
    multiple=True,
    callback=lambda _, __, words: labels_of(words),
    help="A label beside those of the Dockerfile. Repeatable.",
)
@click.option(
    "--cache-from",
    metavar="PLACE",
    multiple=True,
    callback=lambda _, __, words: caches_from(words),
    help="Take steps of earlier builds from here: NAME in a registry, type=local,src=FOLDER, type=gha. Repeatable.",
)
@click.option(
    "--cache-to",
    metavar="PLACE",
    multiple=True,
    callback=lambda _, __, words: caches_to(words),
    help="Keep steps for later builds here: type=registry,ref=NAME, type=local,dest=FOLDER, type=inline, type=gha.",
)
@click.option("--sbom", is_flag=True, help="Send a list of what is in the image along with it.")
@click.option("--sbom-scanner", metavar="IMAGE", help="The image that makes that list, instead of BuildKit's.")
@click.option(
    "--provenance",
    type=click.Choice(["min", "max", "off"]),
    help="How much of how the image was built goes along with it.",
)
@allow_option
@click.option("--push", is_flag=True, help="Send the image to its registry when it is built.")
@click.option("--load", is_flag=True, help="Give the image to the engine, as is done without --push and --output.")
@click.option(
    "-o",
    "--output",
    metavar="PLACE",
    callback=lambda _, __, words: output_words(words),
    help="Write the image to type=oci,dest=FILE or type=docker,dest=FILE, or its files to a folder.",
)
@click.option("--dry-run", is_flag=True, help="Print the Dockerfile and what would build it; build nothing.")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing but the image's id.")
@click.option("--json", "as_json", is_flag=True, help="Print id, digest, tags, size and seconds as JSON.")
def build(
    folder: Path,
    tags: tuple[str, ...],
    builder: str | None,
    dockerfile: Path | None,
    base_image: str | None,
    cuda: str | None,
    platforms: tuple[str, ...],
    arguments: Mapping[str, str],
    secrets: tuple[Secret, ...],
    labels: Mapping[str, str],
    cache_from: tuple[str, ...],
    cache_to: tuple[str, ...],
    sbom_scanner: str | None,
    provenance: str | None,
    output: str | None,
    allowed: tuple[str, ...],
    *,
    no_cache: bool,
    pull: bool,
    sbom: bool,
    push: bool,
    load: bool,
    dry_run: bool,
    quiet: bool,
    as_json: bool,
) -> None:
    """Build an image that serves FOLDER.

    It is built of the text that `srv dockerfile FOLDER` writes, in a temporary folder: nothing is written to FOLDER.
    Progress goes to stderr.
    """
    from srv_dockerfile.build_secrets import check_stay
    from srv_dockerfile.context import prepared  # what plans an image is slow to import, and `--help` need not wait
    from srv_dockerfile.files import files_at_hand
    from srv_dockerfile.planning import open_folder, plan_for
    from srv_dockerfile.rendering import render
    from srv_dockerfile.secret_files import check_secrets

    _heed_termination()
    epoch = epoch_of(os.environ)
    order = BuildOrder(
        Path("CONTEXT"),
        Path("CONTEXT/Dockerfile"),
        tags,
        arguments if epoch is None else {"SOURCE_DATE_EPOCH": str(epoch), **arguments},
        {**stamps(folder, epoch), **labels},
        platforms=platforms,
        no_cache=no_cache,
        push=push,
        secrets=secrets,
        pull=pull,
        load=load,
        output=output,
        cache_from=cache_from,
        cache_to=cache_to,
        sbom=sbom_scanner or ("true" if sbom else None),
        provenance=provenance,
        epoch=epoch,
    )
    command_line = click.get_current_context().find_root().ensure_object(CommandLine)
    with files_at_hand():
        plugins, hooks = open_folder(folder, command_line.plugins)
    makers = hooks.builders()
    choice = None if dry_run else choose(makers, builder, order, folder=str(folder))
    with TemporaryDirectory(prefix="srv-wheels-", ignore_cleanup_errors=True) as wheels:
        with files_at_hand():
            ids = [secret.id for secret in secrets]
            plan = plan_for(folder, plugins, hooks, wheels=Path(wheels), base_image=base_image, secrets=ids, cuda=cuda)
            check_stay(plan, [secret.file for secret in secrets if secret.file is not None])
            check_secrets(plan, allowed)
            text = render(plan) if dockerfile is None else dockerfile.read_text(encoding="utf-8")
        if not quiet:
            _tell(plan, dockerfile, text)
        if choice is None:
            click.echo(f"{', '.join(tags)} would be built {_by_whom(makers, builder, order, folder)}", err=True)
            click.echo(text, nl=False)
            return
        if not quiet:
            click.echo(f"{', '.join(tags)} by {choice}", err=True)
            if epoch is not None and not choice.builder.reproducible:
                click.echo(f"SOURCE_DATE_EPOCH is set, and {choice.builder.name} cannot heed it.", err=True)
        with _prepared(prepared(plan, text)) as context:
            began = time.monotonic()
            image = _built(
                choice.builder, replace(order, context=context, dockerfile=context / "Dockerfile"), quiet=quiet
            )
    seconds = time.monotonic() - began
    if as_json:
        click.echo(json.dumps(_as_document(image, order, choice.builder.name, seconds)))
    elif quiet:
        click.echo(image.id)
    else:
        done = "Built and pushed" if push else "Built"
        digest = f", {image.digest} in the registry" if image.digest else ""
        click.echo(f"{done} {', '.join(tags)} in {seconds:.1f} s: {image.id}{digest}")


def _as_document(image: BuiltImage, order: BuildOrder, builder: str, seconds: float) -> dict[str, object]:
    return {
        "id": image.id,
        "digest": image.digest,
        "tags": list(order.tags),
        "size": image.size,
        "seconds": round(seconds, 1),
        "builder": builder,
        "pushed": order.push,
    }


def _tell(plan: ImagePlan, dockerfile: Path | None, text: str) -> None:
    """Tell the plan's notes, and that the folder has a Dockerfile which is not built."""
    for note in plan.notes:
        click.echo(note, err=True)
    own = plan.folder / "Dockerfile"
    if dockerfile is None and own.is_file() and own.read_text(encoding="utf-8", errors="replace") != text:
        click.echo(f"{own} is there and is not what is built; --file {own} builds it.", err=True)


def _by_whom(makers: Mapping[str, Builder], name: str | None, order: BuildOrder, folder: Path) -> str:
    """Return which builder would be used, and how; that none is available is no error of a dry run."""
    try:
        choice: Choice = choose(makers, name, order, folder=str(folder))
    except (NoBuilder, CannotDo, Refused) as error:
        return f"of the text below, but not here. {error}"
    command = choice.builder.command(order)
    return f"by {choice} of the text below." if command is None else f"by {choice} of the text below:\n{command}"


@contextmanager
def _prepared(context: AbstractContextManager[Path]) -> Iterator[Path]:
    """Enter a context of a build. Raises CannotPrepare where that cannot be written."""
    from srv_dockerfile.files import files_at_hand

    with ExitStack() as stack:
        with files_at_hand():
            place = stack.enter_context(context)
        yield place


def _heed_termination() -> None:
    """Clean up on SIGTERM as on Ctrl-C, because systems that run builds end them by SIGTERM."""
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))


def _built(maker: Builder, order: BuildOrder, *, quiet: bool) -> BuiltImage:
    """Build the image; if that fails, print the last lines of the step above the reason."""
    try:
        with shown(quiet=quiet) as progress:
            return maker.build(order, progress)
    except BuildFailed as error:
        for line in error.output:
            click.echo(f"  {line}", err=True)
        raise

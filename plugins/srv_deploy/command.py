"""`srv deploy`: prints what runs an image, from the settings of the folder that it was made of."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from srv.cli import CommandLine
from srv.cli.output import echo

if TYPE_CHECKING:
    from srv_deploy.served import Served
    from srv_deploy.wishes import Wishes
    from srv_deploy.yaml_text import Document

Command = TypeVar("Command", bound=Callable[..., Any])

EXAMPLES = """\b
Examples:
  srv deploy compose . --image scale:1 | docker compose -f - up
  srv deploy kubernetes . --image registry.example/scale:1 | kubectl apply -f -
  srv deploy kserve . --image registry.example/scale:1 -o scale.yaml
"""


@click.group(epilog=EXAMPLES)
def deploy() -> None:
    """Print what runs an image of a folder: for Docker Compose, Kubernetes or KServe.

    Ports, probes, the time to stop, mounts and rights follow from the settings that `srv start` has in the image:
    those of the folder, the image's own defaults, and --env. The image itself is not looked at; `srv build` makes it.
    """


def _options(*options: Callable[[Command], Command]) -> Callable[[Command], Command]:
    def add(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return add


_FIRST = _options(
    click.argument("folder", default=".", type=click.Path(path_type=Path)),
    click.option("--image", metavar="IMAGE", required=True, help="The image, as the engine is to find it."),
    click.option("--name", metavar="NAME", help="What it is called; as the folder is where it is left out."),
    click.option(
        "--env",
        "env",
        metavar="NAME[=VALUE]",
        multiple=True,
        help="A variable of the container. A NAME alone is secret: what is printed says where its value comes from. "
        "Repeatable.",
    ),
    click.option("--cpu", metavar="NUMBER", help="The processors that it may use: 2, 0.5 or 500m."),
    click.option("--memory", metavar="SIZE", help="The memory that it may use: 512Mi or 2Gi."),
    click.option("--gpu", "gpus", metavar="NUMBER", type=click.IntRange(min=0), default=0, help="NVIDIA's GPUs."),
    click.option("--shm", metavar="SIZE", help="How much /dev/shm may hold: 1Gi."),
)
_SETTINGS = click.option(
    "--settings",
    is_flag=True,
    help="Mount settings.json over that of the image, so that it can change without a build.",
)
_CLUSTER = _options(
    click.option("--namespace", metavar="NAME", help="The namespace; kubectl's own where it is left out."),
    click.option("--replicas", metavar="NUMBER", type=click.IntRange(min=1), default=1, help="How many servers."),
    click.option(
        "--max-replicas", metavar="NUMBER", type=click.IntRange(min=1), help="Add servers up to this number when busy."
    ),
    click.option("--secret", metavar="NAME", help="The Secret with the variables that --env names alone."),
)
_LAST = _options(
    click.option(
        "-o", "--output", type=click.Path(path_type=Path, allow_dash=True), metavar="FILE", help="Write to this file."
    ),
    click.option("--force", is_flag=True, help="Overwrite the file."),
    click.option("--json", "as_json", is_flag=True, help="Print JSON, without comments."),
)


@deploy.command()
@_FIRST
@click.option("--models", metavar="FOLDER|VOLUME", help="A folder of this machine, or a volume, that holds the models.")
@_SETTINGS
@_LAST
def compose(folder: Path, **options: Any) -> None:
    """Print a file for Docker Compose that runs an image of FOLDER.

    One service: nothing is writable but /tmp, no rights can be got, and it has time to finish when it is stopped.
    """
    from srv_deploy.compose import documents

    _print(folder, options, documents, by="docker compose -f FILE up", drains=False)


@deploy.command()
@_FIRST
@click.option("--models", metavar="CLAIM", help="The PersistentVolumeClaim that holds the models.")
@_SETTINGS
@_CLUSTER
@click.option("--tls", metavar="NAME", help="The Secret with the certificate of the setting `tls`.")
@click.option("--service-monitor", is_flag=True, help="Add a ServiceMonitor, for Prometheus's operator.")
@_LAST
def kubernetes(folder: Path, **options: Any) -> None:
    """Print manifests for Kubernetes that run an image of FOLDER.

    A Deployment and a Service; with several replicas a PodDisruptionBudget, with --max-replicas a
    HorizontalPodAutoscaler.
    """
    from srv_deploy.kubernetes import documents

    _print(folder, options, documents, by="kubectl apply -f FILE", drains=True)


@deploy.command()
@_FIRST
@click.option("--models", metavar="URI", help="Where KServe fetches the models from: s3://…, gs://…, pvc://…")
@_CLUSTER
@click.option("--serverless", is_flag=True, help="Let Knative run it, which takes one port and scales by requests.")
@_LAST
def kserve(folder: Path, **options: Any) -> None:
    """Print manifests for KServe that run an image of FOLDER.

    An InferenceService; with --models a ServingRuntime too, which serves what KServe fetches from there.
    """
    from srv_deploy.kserve import documents

    _print(folder, options, documents, by="kubectl apply -f FILE", drains=True)


def _print(
    folder: Path,
    options: Mapping[str, Any],
    documents: Callable[[Served], Iterable[Document]],
    *,
    by: str,
    drains: bool,
) -> None:
    """Print the documents, or write them to a file; sentences about them go to stderr."""
    from srv.version import __version__
    from srv_deploy.errors import FileThere
    from srv_deploy.served import served
    from srv_deploy.yaml_text import json_of, yaml_of
    from srv_dockerfile.planning import open_folder, serving_plan

    output: Path | None = options["output"]
    printed = output is None or str(output) == "-"
    if output is not None and not printed and not options["force"] and os.path.lexists(output):
        raise FileThere(output)
    wishes = _wishes(folder, options)
    command_line = click.get_current_context().find_root().ensure_object(CommandLine)
    plugins, hooks = open_folder(folder, command_line.plugins)
    found = served(folder, serving_plan(folder, plugins, hooks), plugins, wishes, drains=drains)
    made = list(documents(found))
    head = (
        f"Runs {wishes.image} by `{by}`. Written by srv {__version__}, `srv deploy`, from the settings of the "
        f"folder {folder.resolve().name}."
    )
    text = json_of(made) if options["as_json"] else yaml_of(made, head)
    for note in found.notes():
        echo(note, err=True)
    if output is None or printed:
        click.echo(text, nl=False)
    else:
        _write(output, text)
        echo(f"Wrote {output}.", err=True)


def _write(path: Path, text: str) -> None:
    from srv_deploy.errors import CannotWriteFile

    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise CannotWriteFile(path, error) from error


def _wishes(folder: Path, options: Mapping[str, Any]) -> Wishes:
    """Return what was asked, checked; a name that had to change is told."""
    from srv_deploy.amounts import bytes_of, cores_of
    from srv_deploy.errors import CannotScale, FewerAtMost
    from srv_deploy.images import check_image
    from srv_deploy.names import KSERVE_LONGEST, LONGEST, check_namespace, label_of
    from srv_deploy.settings_file import check_settings_file
    from srv_deploy.wishes import Wishes, variables

    check_image(options["image"])
    asked = options["name"] or folder.resolve().name
    name = label_of(asked, KSERVE_LONGEST if "serverless" in options else LONGEST)
    if name != asked:
        echo(f"'{asked}' is no name there, so it is called {name}; --name gives another.", err=True)
    cpu, memory, shm = options["cpu"], options["memory"], options["shm"]
    most = options.get("max_replicas")
    if most is not None and cpu is None and "serverless" not in options:  # KServe gives processors where nobody does
        raise CannotScale
    if most is not None and most < options["replicas"]:
        raise FewerAtMost(options["replicas"], most)
    if options.get("settings"):
        check_settings_file(folder, copied="replicas" in options)  # into a cluster; Compose mounts the file itself
    namespace = options.get("namespace")
    return Wishes(
        image=options["image"],
        name=name,
        env=variables(options["env"]),
        cpu=cpu,
        memory=memory,
        shm=shm,
        cores=None if cpu is None else cores_of(cpu, "--cpu"),
        memory_bytes=None if memory is None else bytes_of(memory, "--memory"),
        shm_bytes=None if shm is None else bytes_of(shm, "--shm"),
        gpus=options["gpus"],
        models=options["models"],
        settings_mounted=options.get("settings", False),
        namespace=None if namespace is None else check_namespace(namespace),
        replicas=options.get("replicas", 1),
        max_replicas=most,
        secret=options.get("secret"),
        tls=options.get("tls"),
        service_monitor=options.get("service_monitor", False),
        serverless=options.get("serverless", False),
    )

"""The image author's contract: the plan that becomes a Dockerfile, and the builders that make an image of it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from srv.errors import SrvError, closed
from srv.modelsettings import ModelSettings

#: Where the image has the folder, and where the environment.
APP, ENVIRONMENT = "/srv/app", "/opt/env"


@dataclass
class ImagePlan:
    """What becomes the Dockerfile of a folder. A plugin changes it in place; what it leaves alone stays as it is.

    Names of files are relative to `folder`, with `/`. Everything here is public in the image or in its Dockerfile:
    no secret belongs in any of it.
    """

    #: The folder that the image serves, on this machine.
    folder: Path
    #: What the image calls itself in its labels: the folder's name.
    title: str
    #: The models that are in the folder and travel in the image. Read it; changing it changes nothing.
    models: tuple[ModelSettings, ...] = ()
    #: The name of a model that is the folder itself and has no name of its own; None where there is none.
    root_name: str | None = None
    #: What the environment and the image start from; `--build-arg BASE_IMAGE=…` replaces it. Debian's or alike.
    base_image: str = "python:3.11-slim"
    #: What the stage starts from that makes an environment from a conda file, where there is one.
    conda_image: str = "mambaorg/micromamba:2-bookworm"
    #: The conda file that the environment is made from; None means a virtual environment of the base image's Python.
    conda_file: str | None = None
    #: Further specs for the environment of a conda file, such as `python=3.11` where the file names none.
    conda_specs: list[str] = field(default_factory=list)
    #: Requirements files that pip installs from.
    requirements_files: list[str] = field(default_factory=list)
    #: Files and folders that those files name and that pip must find beside them.
    requirements_needs: list[str] = field(default_factory=list)
    #: Whether those files tell pip by hashes what it may take; the further requirements are then installed after them.
    hashed: bool = False
    #: The distributions that those files and the conda file name, normalised. What the user says there holds, so a
    #: plugin adds no requirement of its own on one of them.
    named: frozenset[str] = frozenset()
    #: Further requirements for pip, as its command line takes them, such as `scikit-learn==1.5.2`.
    requirements: list[str] = field(default_factory=list)
    #: Wheels of this machine that pip installs; they travel in the folder's `.srv/wheels`.
    wheels: list[Path] = field(default_factory=list)
    #: Debian packages that the image has.
    system_packages: list[str] = field(default_factory=list)
    #: Debian packages that are there while pip installs, and not in the image.
    build_packages: list[str] = field(default_factory=list)
    #: Variables of the image; those of the container override them.
    env: dict[str, str] = field(default_factory=dict)
    #: Labels of the image.
    labels: dict[str, str] = field(default_factory=dict)
    #: Ports that the image says it listens on.
    ports: list[int] = field(default_factory=list)
    #: The user and group that the image runs as, as numbers.
    user: str = "1000:0"
    #: The program and its arguments.
    command: list[str] = field(default_factory=list)
    #: The program that says with its exit code whether the server is well; empty for no such check.
    health: list[str] = field(default_factory=list)
    #: Lines of .dockerignore: the user's own where the folder has that file, else srv's.
    ignore: list[str] = field(default_factory=list)
    #: Sentences that the person who makes the image is told.
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class BuildOrder:
    """What a builder is to make of a folder that was prepared for it."""

    #: The context: it holds what the image gets, and a .dockerignore that names the Dockerfile. Gone after the build.
    context: Path
    #: The Dockerfile, in the context.
    dockerfile: Path
    #: What the image is called: `name`, `name:tag`, `registry/name:tag`; never empty.
    tags: tuple[str, ...]
    #: Values for the Dockerfile's ARGs.
    build_args: Mapping[str, str] = field(default_factory=dict)
    #: Labels beside those of the Dockerfile.
    labels: Mapping[str, str] = field(default_factory=dict)
    #: Such as `linux/arm64`; None for the builder's own.
    platform: str | None = None
    #: Whether every step is run again.
    no_cache: bool = False
    #: Whether the image goes to its registry when it is built, under every tag.
    push: bool = False


@dataclass(frozen=True)
class BuildEvent:
    """Something that a builder has to tell while it builds."""

    #: One line, without its end.
    text: str
    #: Which step of the Dockerfile it belongs to, and of how many; None where the builder does not say.
    step: int | None = None
    steps: int | None = None
    #: Whether the line begins that step, and is its instruction.
    begins: bool = False
    #: Whether the step was taken from an earlier build.
    cached: bool = False


Progress = Callable[[BuildEvent], None]


class Builder(ABC):
    """Makes images: `docker`, `buildah`, `podman`, or somebody's own. Made without arguments, once for a command."""

    #: What --builder calls it; the name under which a plugin brings it.
    name: ClassVar[str]

    @abstractmethod
    def unavailable(self) -> str | None:
        """Why it cannot build here, as a sentence that says what is missing; None where it can. Quick."""

    @abstractmethod
    def build(self, order: BuildOrder, progress: Progress) -> str:
        """Build the image, tag it, and push it if that is asked; gives its id.

        `progress` takes every line that the build prints, as it comes. Raises BuildFailed, or any other SrvError that
        says what to do. KeyboardInterrupt may come at any time: end what was started, and let it through.
        """


class BuildFailed(SrvError):
    """A build ended without an image; `output` are the last lines of the step that failed."""

    def __init__(self, sentence: str, output: tuple[str, ...] = ()) -> None:
        super().__init__(closed(sentence))
        self.output = output

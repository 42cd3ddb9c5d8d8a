"""The image author's contract: the plan that becomes a Dockerfile, and the builders that make an image of it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from srv.errors import SrvError, closed
from srv.model_settings import ModelSettings

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
    #: Secrets of the build, by id: the steps that install the environment read them, and no layer holds them.
    secrets: list[str] = field(default_factory=list)
    #: The version of CUDA that packages are chosen for; None for processors alone.
    cuda: str | None = None
    #: Large files of the folder, by the layer in which they come before the code. What is not named here comes with it.
    artifacts: list[list[str]] = field(default_factory=list)
    #: Archives of the folder that are environments of models' own processes: the image has them extracted, in the place of
    #: each archive and in a layer of its own.
    model_environments: list[str] = field(default_factory=list)
    #: Further files that builders get beside the folder's own, by name, below `.srv`: requirements that are made of a
    #: lock, say. The image does not get them.
    generated: dict[str, str] = field(default_factory=dict)
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
    #: Lines of .dockerignore that hold: the user's own, srv's, and those of the user's again that name what srv's leave out.
    ignore: list[str] = field(default_factory=list)
    #: Files and folders that travel and hold secrets, each with what these are, such as `a private key`: no image is made
    #: while there is one that nobody allows.
    secret_files: dict[str, str] = field(default_factory=dict)
    #: Sentences that the person who makes the image is told.
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Secret:
    """What a build reads and no image holds, such as the password of an index: what is in a file, or in a variable."""

    #: What the Dockerfile calls it.
    id: str
    #: The file on this machine; None where a variable has it.
    file: Path | None = None
    #: The variable of this process; None where a file has it.
    variable: str | None = None


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
    #: Such as `linux/arm64`; empty for the builder's own. Several make one image for all of them.
    platforms: tuple[str, ...] = ()
    #: Whether every step is run again.
    no_cache: bool = False
    #: Whether the image goes to its registry when it is built, under every tag.
    push: bool = False
    #: What the Dockerfile's `RUN --mount=type=secret` asks for, and what no layer may hold.
    secrets: tuple[Secret, ...] = ()
    #: Whether images that the Dockerfile starts from are asked of their registries again.
    pull: bool = False
    #: Whether the engine gets the image also where it is pushed or written to a file.
    load: bool = False
    #: Where the image is written to, in Docker's words: `type=oci,dest=FILE`, `type=docker,dest=FILE`, or a folder.
    output: str | None = None
    #: Where steps of earlier builds come from, in Docker's words: `type=registry,ref=NAME` or NAME alone.
    cache_from: tuple[str, ...] = ()
    #: Where steps are kept for later builds, in Docker's words.
    cache_to: tuple[str, ...] = ()
    #: Whether a list of what is in the image goes with it: `true`, or the image of the scanner that makes it.
    sbom: str | None = None
    #: How much of how it was built goes with it: `min`, `max`, or `off`; None for the builder's own habit.
    provenance: str | None = None
    #: The time that everything in the image gets, in seconds since 1970, so that two builds are alike.
    epoch: int | None = None

    def options(self) -> frozenset[str]:
        """Return what is asked that not every builder can do, by the names of the command line's options."""
        asked = {
            "--platform with several": len(self.platforms) > 1,
            "--pull": self.pull,
            "--secret": bool(self.secrets),
            "--load": self.load,
            "--output": self.output is not None,
            "--cache-from": bool(self.cache_from),
            "--cache-to": bool(self.cache_to),
            "--sbom": self.sbom is not None,
            "--provenance": self.provenance is not None,
        }
        return frozenset(name for name, is_asked in asked.items() if is_asked)


@dataclass(frozen=True)
class BuiltImage:
    """What a builder has made."""

    #: The image's id, `sha256:` and 64 digits; for several platforms that of their index.
    id: str
    #: The digest under which the registry has it, where it was pushed and the builder knows it.
    digest: str | None = None
    #: Its size in bytes, where the builder keeps the image and knows it.
    size: int | None = None


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
    """Makes images: `buildx`, `docker`, `buildah`, or somebody's own. Made without arguments, once for a command."""

    #: What --builder calls it; the name under which a plugin brings it.
    name: ClassVar[str]
    #: Which of the options that `BuildOrder.options()` may name it heeds; an order with any other is not given to it.
    heeds: ClassVar[frozenset[str]] = frozenset()
    #: Whether it heeds `BuildOrder.epoch`; where it does not, the user is told.
    reproducible: ClassVar[bool] = False

    @abstractmethod
    def unavailable(self) -> str | None:
        """Why it cannot build here, as a sentence that says what is missing; None where it can. Quick."""

    def refusal(self, order: BuildOrder) -> str | None:  # noqa: ARG002 - for those that need it
        """Why it cannot do this order, whose options it heeds; None where it can. Asked before anything begins."""
        return None

    def command(self, order: BuildOrder) -> str | None:  # noqa: ARG002 - for those that need it
        """What it would run for the order, for --dry-run; None where it has nothing to show."""
        return None

    @abstractmethod
    def build(self, order: BuildOrder, progress: Progress) -> BuiltImage:
        """Build the image, tag it, and push it if that is asked.

        `progress` takes every line that the build prints, as it comes. Raises BuildFailed, or any other SrvError that
        says what to do. KeyboardInterrupt may come at any time: end what was started, and let it through.
        """


class BuildFailed(SrvError):
    """A build ended without an image; `output` are the last lines of the step that failed."""

    def __init__(self, sentence: str, output: tuple[str, ...] = ()) -> None:
        super().__init__(closed(sentence))
        self.output = output

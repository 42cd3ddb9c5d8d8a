"""The plan becomes the text of a Dockerfile: the same plan always the same text."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath

from srv.images import APP, ENVIRONMENT, ImagePlan
from srv.version import __version__
from srv_dockerfile.files import OURS

TEMPLATES = Path(__file__).parent / "templates"
#: Where the wheels lie in the folder.
WHEELS = f"{OURS}/wheels"


def render(plan: ImagePlan) -> str:
    """The Dockerfile of a plan, in words that Docker, BuildKit, Buildah, Podman and Kaniko all take."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    # Nothing here becomes HTML, so nothing is escaped as HTML; each filter quotes for where its word stands.
    environment = Environment(  # noqa: S701
        loader=FileSystemLoader(TEMPLATES),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"quoted": quoted, "array": array, "shell": shlex.quote, "words": _words}
    return environment.get_template("Dockerfile.jinja").render(
        plan=plan,
        version=__version__,
        apt=_apt,
        rights=lambda place: f"chmod -R g=u,o-w {place}",
        needed=list(_places(plan, [*([plan.conda_file] if plan.conda_file else []), *plan.requirements_needs])),
        copied=list(_places(plan, [*_own_files(plan), *([WHEELS] if plan.wheels else [])])),
        installs=list(_installs(plan)),
        APP=APP,
        ENVIRONMENT=ENVIRONMENT,
        OURS=OURS,
    )


def quoted(value: str) -> str:
    """A value of ENV or LABEL, in quotes, in which nothing is a variable; characters that no line holds are left out."""
    text = "".join(character for character in value if character.isprintable())
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$") + '"'


def array(words: Sequence[str]) -> str:
    """Program and arguments for CMD: run as they are, by no shell."""
    return json.dumps(list(words), ensure_ascii=False)


def _own_files(plan: ImagePlan) -> list[str]:
    """The requirements files that nothing else includes."""
    return [name for name in plan.requirements_files if name not in plan.requirements_needs]


def _places(plan: ImagePlan, names: Iterable[str]) -> Iterator[tuple[str, str]]:
    """What the environment's stage needs of the folder, each with the same place there."""
    for name in dict.fromkeys(names):
        is_folder = name == WHEELS or (plan.folder / name).is_dir()
        above = PurePosixPath(name) if is_folder else PurePosixPath(name).parent
        yield name, "./" if above == PurePosixPath() else f"./{above}/"


def _installs(plan: ImagePlan) -> Iterable[list[str]]:
    """The words of each `pip install`, one where that can be."""
    files = [f"-r {shlex.quote(name)}" for name in plan.requirements_files]
    found = (
        [f"--find-links {WHEELS}"] if plan.wheels else []
    )  # an option, because pip adds it to those of the base image
    further = [shlex.quote(word) for word in plan.requirements]
    runs = [files, further] if plan.hashed else [[*files, *further]]
    return [[*found, *run] for run in runs if run]


def _words(pair: tuple[str, str]) -> str:
    """A COPY's two words; as a list where one has a blank."""
    return json.dumps(list(pair)) if " " in "".join(pair) else " ".join(pair)


def _apt(packages: Iterable[str]) -> str:
    named = " ".join(shlex.quote(name) for name in dict.fromkeys(packages))
    return (
        "apt-get update \\\n"
        f"    && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends {named} \\\n"
        "    && rm -rf /var/lib/apt/lists/*"
    )

"""Rendering of Dockerfiles: the same plan gives the same text."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath

from srv.images import APP, ENVIRONMENT, ImagePlan
from srv.version import __version__
from srv_dockerfile.build_secrets import exports, mounts
from srv_dockerfile.cuda import stage_variables
from srv_dockerfile.files import OURS
from srv_dockerfile.installing import installs, script_words, strange_options
from srv_dockerfile.layers import by_folder

TEMPLATES = Path(__file__).parent / "templates"
#: Where the wheels lie in the folder.
WHEELS = f"{OURS}/wheels"
#: Where the environment's stage has what installs.
TOOLS = "/opt/tools"
#: The uv that knows all that the script asks of it.
UV = "uv>=0.7"
#: The time of all files: the first that a zip file can hold, because some tools put files into one.
TIME = "@315532800"


def render(plan: ImagePlan) -> str:
    """Return the Dockerfile of a plan, in words that Docker, BuildKit, Buildah, Podman and Kaniko all take."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    # Nothing here becomes HTML, so nothing is escaped as HTML; each filter quotes for where its word stands.
    environment = Environment(  # noqa: S701
        loader=FileSystemLoader(TEMPLATES),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"quoted": quoted, "array": array, "shell": shlex.quote, "words": _copy}
    pip_alone = strange_options(plan)
    return environment.get_template("Dockerfile.jinja").render(
        plan=plan,
        version=__version__,
        apt=_apt,
        tools=lambda: _tools(plan, pip_alone=bool(pip_alone)),
        pip_alone=pip_alone,
        installer=_installer(plan, pip_alone=bool(pip_alone)),
        finished=_finished(),
        settled=settled,
        needed=list(_places(plan, [*([plan.conda_file] if plan.conda_file else []), *plan.requirements_needs])),
        copied=list(_places(plan, [*_own_files(plan), *([WHEELS] if plan.wheels else [])])),
        secrets=_secrets(plan),
        stage_variables=stage_variables(plan),
        installs=list(installs(plan, WHEELS)),
        artifacts=list(_artifacts(plan)),
        model_environments=[(name, f"{APP}/{name}", _above(name)) for name in plan.model_environments],
        left_out=[shlex.quote(f"{name}") for name in _left_out(plan)],
        APP=APP,
        ENVIRONMENT=ENVIRONMENT,
        OURS=OURS,
    )


def quoted(value: str) -> str:
    """Quote a value of ENV or LABEL, so that nothing in it is a variable; characters that no line holds are dropped."""
    text = "".join(character for character in value if character.isprintable())
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$") + '"'


def array(words: Sequence[str]) -> str:
    """Return program and arguments for CMD, run without a shell."""
    return json.dumps(list(words), ensure_ascii=False)


def _own_files(plan: ImagePlan) -> list[str]:
    """Return the requirements files that no other one includes."""
    return [name for name in plan.requirements_files if name not in plan.requirements_needs]


def _places(plan: ImagePlan, names: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Return what the environment's stage needs of the folder, with its place there."""
    for name in dict.fromkeys(names):
        is_folder = name == WHEELS or (plan.folder / name).is_dir()
        above = PurePosixPath(name) if is_folder else PurePosixPath(name).parent
        yield name, "./" if above == PurePosixPath() else f"./{above}/"


def settled(place: str, below: str = "") -> str:
    """Return the command that gives files below a place the image's rights, and all in it one time for every build."""
    return f"chmod -R g=u,o-w {place}{below} \\\n    && find {place} -exec touch -h -d {TIME} {{}} +"


def _secrets(plan: ImagePlan) -> str:
    """Return how a RUN begins that reads the build's secrets, each on a line; empty without any."""
    flags = [f"{mount} \\\n    " for mount in mounts(plan.secrets)]
    return "".join([*flags, *(f"{export} \\\n    && " for export in exports(plan.secrets))])


def _tools(plan: ImagePlan, *, pip_alone: bool) -> str:
    """Return the command that makes what installs, in a place that the image does not get, and the environment."""
    python = f"{ENVIRONMENT}/bin/python" if plan.conda_file else f"{TOOLS}/bin/python"
    steps = [] if plan.conda_file else [f"python -m venv --without-pip {ENVIRONMENT}", f"python -m venv {TOOLS}"]
    if not pip_alone:
        target = f"--target {TOOLS} " if plan.conda_file else ""
        script = " \\\n        ".join(script_words())
        steps += [
            f"({python} -m pip install {target}{shlex.quote(UV)} || echo 'There is no uv, so pip installs.')",
            f"mkdir -p {TOOLS} && printf '%s\\n' \\\n        {script} > {TOOLS}/install.py",
        ]
    return " \\\n    && ".join(steps)


def _installer(plan: ImagePlan, *, pip_alone: bool) -> str:
    into = f"{ENVIRONMENT}/bin/python"
    python = into if plan.conda_file else f"{TOOLS}/bin/python"
    if not pip_alone:
        return f"{python} {TOOLS}/install.py {into}"
    return f"{python} -m pip{'' if plan.conda_file else f' --python {into}'} install"


def _finished() -> str:
    """Return the command that makes the environment slim; an srv of before, if the user's files name one, cannot."""
    python = f"{ENVIRONMENT}/bin/python"
    slim, plain = (
        f"{python} -P -m srv_dockerfile.slimming {ENVIRONMENT}",
        f"{python} -m compileall -q {ENVIRONMENT}/lib",
    )
    return f"({slim} \\\n        || {plain}) \\\n    && {settled(ENVIRONMENT)}"


def _artifacts(plan: ImagePlan) -> Iterator[str]:
    """Return the words of each COPY of large files: a layer is a folder, in which they stand as in the image."""
    for number, layer in enumerate(plan.artifacts, 1):
        for folder, names in by_folder(layer).items():
            place = f"{number}{APP}/" if folder == "." else f"{number}{APP}/{folder}/"
            yield from (_copy([name, place]) for name in names)


def _above(name: str) -> str:
    """Return the folder of the image in which a name of the folder stands."""
    return (PurePosixPath(APP) / name).parent.as_posix()


def _left_out(plan: ImagePlan) -> list[str]:
    """Return what the image has elsewhere, or not at all."""
    ours = [OURS] if plan.wheels or plan.generated else []
    return [*ours, *(name for layer in plan.artifacts for name in layer), *plan.model_environments]


def _copy(words: Sequence[str]) -> str:
    """Return a COPY's words; as a list if one has a blank."""
    return json.dumps(list(words)) if " " in "".join(words) else " ".join(words)


def _apt(packages: Iterable[str]) -> str:
    named = " ".join(shlex.quote(name) for name in dict.fromkeys(packages))
    return (
        "apt-get update \\\n"
        f"    && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends {named} \\\n"
        "    && rm -rf /var/lib/apt/lists/*"
    )

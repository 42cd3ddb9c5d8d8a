"""How packages come into the environment: by uv, or by pip where uv would understand the folder's files otherwise."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator
from pathlib import Path

from srv.images import ImagePlan
from srv_dockerfile.cuda import index_words

SCRIPT = Path(__file__).parent / "templates/install.py.txt"
#: Options in requirements files that mean the same to uv. An --index-url does not: for uv the one of the environment
#: counts, for pip the file's.
ALIKE = frozenset(
    [
        "-r",
        "--requirement",
        "-c",
        "--constraint",
        "-f",
        "--find-links",
        "--extra-index-url",
        "--no-binary",
        "--only-binary",
        "--hash",
    ]
)
_OPTION = re.compile(r"(?:^|\s)(-[a-zA-Z](?=[\s=])|--[a-z][a-z-]*)")


def strange_options(plan: ImagePlan) -> list[str]:
    """Return the options of the plan's requirements files which uv does not have, or understands otherwise than pip."""
    found: list[str] = []
    for name in dict.fromkeys([*plan.requirements_files, *plan.requirements_needs]):
        path = plan.folder / name
        if name in plan.generated:
            found += _options(plan.generated[name])
        elif path.is_file() and path.suffix != ".whl":
            found += _options(path.read_text(encoding="utf-8-sig", errors="replace"))
    return sorted({option for option in found if option not in ALIKE})


def _options(text: str) -> Iterator[str]:
    for line in text.replace("\\\n", " ").splitlines():
        yield from _OPTION.findall(re.sub(r"(^|\s)#.*$", "", line))


def script_words() -> list[str]:
    """Return the lines of the script that installs, quoted for a shell; the first says what it does."""
    lines = SCRIPT.read_text(encoding="utf-8").splitlines()
    return [shlex.quote(line) for line in lines if line]


def installs(plan: ImagePlan, wheels: str) -> Iterable[list[str]]:
    """Return the words of each installation, one if possible."""
    files = [f"-r {shlex.quote(name)}" for name in plan.requirements_files]
    # An option, because pip adds it to those of the base image.
    found = [f"--find-links {wheels}"] if plan.wheels else []
    found += index_words(plan)
    further = [shlex.quote(word) for word in plan.requirements]
    runs = [["--require-hashes", *files], further] if plan.hashed else [[*files, *further]]
    return [[*found, *run] for run in runs if run]

"""The Python of an image: this machine's, unless a file of the folder asks for another one."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from srv_dockerfile.environment.platforms import Grid
from srv_dockerfile.errors import NoPythonFits

#: Files that name one version, of pyenv and uv, and of hosts that run folders.
FILES = (".python-version", "runtime.txt")
#: The newest that base images of Python are taken of, where a file leaves the choice.
_NEWEST = 14


def minor_of_image(folder: Path, requires: tuple[str, str], notes: list[str]) -> int:
    """Return the minor version of Python 3 that the image starts from.

    `requires` is a specifier of Pythons, and the file that has it. Raises NoPythonFits; a note says where another
    Python than this machine's was taken, and why.
    """
    here = sys.version_info.minor
    file, asked = next(((file, minor) for file in FILES if (minor := _minor(folder / file)) is not None), ("", here))
    specifier, place = requires
    fitting = {each.python[0] for each in Grid("", specifier).all}
    if not fitting:
        raise NoPythonFits(place, specifier)
    chosen = asked if asked in fitting else min(fitting, key=lambda minor: (minor > _NEWEST, abs(minor - here)))
    if chosen != here:
        why = f"{file} names it" if chosen == asked else f"{place} asks for {specifier}"
        notes.append(f"The image starts from Python 3.{chosen}, because {why}; here runs 3.{here}.")
    return chosen


def _minor(file: Path) -> int | None:
    """Return the minor version that a file names, of those on which srv runs."""
    try:
        lines = file.read_text(encoding="utf-8").split()
    except (OSError, ValueError):
        return None
    found = re.fullmatch(r"(?:cpython[-@]?|python-)?3\.(\d+)(?:\.\d+)?", lines[0]) if lines else None
    return int(found[1]) if found is not None and int(found[1]) >= 11 else None

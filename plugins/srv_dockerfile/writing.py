"""Files are written where nobody else's are."""

from __future__ import annotations

import os
from pathlib import Path

from srv.images import ImagePlan
from srv_dockerfile.errors import CannotWrite, DockerfileThere, LeftOut
from srv_dockerfile.ignoring import FILE, LINES, Ignore
from srv_dockerfile.text import WHEELS


def check_free(path: Path) -> None:
    """Raise DockerfileThere where something is."""
    if os.path.lexists(path):
        raise DockerfileThere(path)


def check_seen(plan: ImagePlan) -> None:
    """Raise LeftOut where the user's .dockerignore hides the wheels from every builder."""
    ignore = Ignore(plan.ignore)
    for wheel in plan.wheels:
        if ignore.leaves_out(f"{WHEELS}/{wheel.name}"):
            raise LeftOut(WHEELS)


def write(path: Path, text: str) -> None:
    """Write the file whole. Raises CannotWrite."""
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise CannotWrite(path, error) from error


def write_ignore(folder: Path, *, wanted: bool) -> str:
    """Write srv's .dockerignore if that is wanted and there is none; the line that says what holds now."""
    path = folder / FILE
    if os.path.lexists(path):
        return f"{path} is your own and stays as it is."
    if not wanted:
        return f"There is no {path}, so builders send the whole folder; -i writes one."
    write(path, "\n".join(LINES) + "\n")
    return f"Wrote {path}."

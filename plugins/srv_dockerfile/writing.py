"""Writes files, and never over one that it did not write."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from srv.errors import listed
from srv.images import ImagePlan
from srv_dockerfile.dockerignore import FILE, Ignore
from srv_dockerfile.errors import CannotWrite, DockerfileThere, LeftOut
from srv_dockerfile.files import staying_out
from srv_dockerfile.ignore_lines import file_text, own_lines
from srv_dockerfile.rendering import WHEELS

#: What builders may have, though the image does not.
HARMLESS = (FILE, "Dockerfile")


def check_free(path: Path) -> None:
    """Raise DockerfileThere if the file exists."""
    if os.path.lexists(path):
        raise DockerfileThere(path)


def check_seen(plan: ImagePlan) -> None:
    """Raise LeftOut if the user's .dockerignore hides the wheels, or what was generated, from builders."""
    ignore = Ignore(plan.ignore)
    for wheel in plan.wheels:
        if ignore.leaves_out(f"{WHEELS}/{wheel.name}"):
            raise LeftOut(WHEELS)
    for name in plan.generated:
        if ignore.leaves_out(name):
            raise LeftOut(name)


def write(path: Path, text: str) -> None:
    """Write the file whole. Raises CannotWrite."""
    try:
        path.write_text(text, encoding="utf-8", errors="surrogateescape")
    except OSError as error:
        raise CannotWrite(path, error) from error


def write_ignore(plan: ImagePlan, *, wanted: bool) -> str | None:
    """Write the lines that hold into the folder's .dockerignore if that is wanted, below the user's own.

    Return a sentence for who makes the image: what was written, or what other builders would send; None where that is
    the same.
    """
    path, own = plan.folder / FILE, own_lines(plan.folder)
    there = os.path.lexists(path)
    text = file_text(own, plan.ignore)
    now = _text_of(path) if there else ""
    if wanted:
        if now == text:
            return f"{path} has srv's lines already."
        write(path, text)
        return f"Added srv's lines to {path}, below yours." if own else f"Wrote {path}."
    if not there:
        return f"There is no {path}, so other builders than srv build send the whole folder; -i writes one."
    more = _sent_without(plan, (now or "").splitlines())
    if not more:
        return None
    return f"Other builders than srv build would also send {listed(more, most=3)}; -i adds srv's lines to {path}."


def _sent_without(plan: ImagePlan, own: Sequence[str]) -> list[str]:
    """Return what stays out of the image and builders would send that follow these lines alone."""
    theirs, ours = Ignore(own), Ignore(plan.ignore)
    names = (entry.name for entry in staying_out(plan.folder, ours))
    return [name for name in names if name not in HARMLESS and not theirs.leaves_out(name)]


def _text_of(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return None

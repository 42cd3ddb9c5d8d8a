"""The context of a build: a temporary folder with what travels, so that a builder need know no rules."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from srv.images import ImagePlan
from srv_dockerfile.files import travelling
from srv_dockerfile.ignoring import FILE, Ignore
from srv_dockerfile.text import WHEELS

DOCKERFILE = "Dockerfile"
#: What a builder leaves out of the prepared folder.
_LEFT_OUT = f"{DOCKERFILE}\n{FILE}\n"


@contextmanager
def prepared(plan: ImagePlan, text: str) -> Iterator[Path]:
    """A temporary folder with what travels of the plan's folder, its wheels and the Dockerfile; gone at the end.

    Files are linked where the file system can, else copied, so nobody may write to them.
    """
    with tempfile.TemporaryDirectory(prefix="srv-image-", ignore_cleanup_errors=True) as made:
        context = Path(made)
        for entry in travelling(plan.folder, Ignore(plan.ignore)):
            place = context / entry.name
            if entry.is_folder:
                place.mkdir(parents=True)
                continue
            place.parent.mkdir(parents=True, exist_ok=True)
            if entry.target is not None:
                place.symlink_to(entry.target)
            else:
                _lay(entry.path, place)
        lay_wheels(plan.wheels, context)
        _write(context / DOCKERFILE, text)
        _write(context / FILE, _LEFT_OUT)
        yield context


def lay_wheels(wheels: Iterable[Path], folder: Path) -> None:
    """Put the wheels where the Dockerfile looks for them, and take away those that lay there before."""
    place = folder / WHEELS
    if place.is_dir():
        for old in place.glob("*.whl"):
            old.unlink()
    for wheel in wheels:
        place.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(wheel, place / wheel.name)


def _lay(file: Path, place: Path) -> None:
    try:
        os.link(file, place)
    except OSError:  # another file system, or somebody else's file
        shutil.copyfile(file, place)
        shutil.copymode(file, place)


def _write(path: Path, text: str) -> None:
    """Write over what may be a link to the user's own file, by another name."""
    path.unlink(missing_ok=True)
    path.write_text(text, encoding="utf-8")

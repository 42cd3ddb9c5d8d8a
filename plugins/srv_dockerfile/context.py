"""The context of a build: a temporary folder with the files of the image, so that builders need no rules."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from srv.images import ImagePlan
from srv_dockerfile.dockerignore import FILE, Ignore
from srv_dockerfile.files import OURS, travelling
from srv_dockerfile.rendering import WHEELS

DOCKERFILE = "Dockerfile"
#: What a builder leaves out of the prepared folder.
_LEFT_OUT = f"{DOCKERFILE}\n{FILE}\n"


@contextmanager
def prepared(plan: ImagePlan, text: str) -> Iterator[Path]:
    """Make a temporary folder with the plan's files, its wheels and the Dockerfile; it is removed at the end.

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
        lay_generated(plan.generated, context)
        _write(context / DOCKERFILE, text)
        _write(context / FILE, _LEFT_OUT)
        yield context


def lay_wheels(wheels: Iterable[Path], folder: Path) -> None:
    """Put the wheels where the Dockerfile looks for them, and remove those of before."""
    place = folder / WHEELS
    if place.is_dir():
        for old in place.glob("*.whl"):
            old.unlink()
    for wheel in wheels:
        place.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(wheel, place / wheel.name)


def lay_generated(files: Mapping[str, str], folder: Path) -> None:
    """Write the files that srv makes where the Dockerfile looks for them, and remove those of before."""
    for old in (folder / OURS).glob("*.txt"):
        old.unlink()
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        _write(folder / name, text)


def _lay(file: Path, place: Path) -> None:
    try:
        os.link(file, place)
    except OSError:  # another file system, or somebody else's file
        shutil.copyfile(file, place)
        shutil.copymode(file, place)


def _write(path: Path, text: str) -> None:
    """Replace a file, which may be a link to the user's own file."""
    path.unlink(missing_ok=True)
    path.write_text(text, encoding="utf-8")

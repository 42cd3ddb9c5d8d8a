"""What of a folder travels into the image."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from srv_dockerfile.errors import LinkLeaves
from srv_dockerfile.ignoring import Ignore

#: Where srv puts the wheels that travel with the folder; whatever lies there comes from the plan.
OURS = ".srv"


@dataclass(frozen=True)
class Entry:
    """A folder, file or link that travels; `name` is relative to the folder, with `/`."""

    name: str
    path: Path
    is_folder: bool
    #: Where a link leads, as written; None for what is no link.
    target: str | None = None


def travelling(folder: Path, ignore: Ignore) -> Iterator[Entry]:
    """All that travels, folders before what is in them, in the order of names. Raises LinkLeaves.

    Sockets and pipes stay behind. No link is followed.
    """
    yield from _in(folder.resolve(), folder.resolve(), "", ignore)


def _in(root: Path, folder: Path, above: str, ignore: Ignore) -> Iterator[Entry]:
    with os.scandir(folder) as found:
        entries = sorted(found, key=lambda entry: entry.name)
    for entry in entries:
        name, path = above + entry.name, Path(entry.path)
        out = ignore.leaves_out(name) or name == OURS
        if entry.is_symlink():
            if not out:
                yield Entry(name, path, is_folder=False, target=_target(root, name, path))
        elif entry.is_dir():
            if not out:
                yield Entry(name, path, is_folder=True)
            if name != OURS and not ignore.leaves_out_all_of(name):
                yield from _in(root, path, f"{name}/", ignore)
        elif entry.is_file() and not out:
            yield Entry(name, path, is_folder=False)


def _target(root: Path, name: str, path: Path) -> str:
    """Where a link leads, which is in the folder. Raises LinkLeaves."""
    target = str(path.readlink())
    if target.startswith("/"):
        raise LinkLeaves(name, target, "begins at the root of this machine")
    try:
        reached = path.resolve()
    except (OSError, RuntimeError):
        raise LinkLeaves(name, target, "leads in a circle") from None
    if reached != root and root not in reached.parents:
        raise LinkLeaves(name, target, "lies outside of the folder")
    return target

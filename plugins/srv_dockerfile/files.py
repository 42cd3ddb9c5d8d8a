"""Files of a folder that go into the image, and those that stay out."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from srv.errors import closed
from srv_dockerfile.dockerignore import Ignore
from srv_dockerfile.errors import CannotPrepare, CannotRead, LinkLeaves

#: Where srv puts the wheels that travel with the folder; whatever lies there comes from the plan.
OURS = ".srv"
_BY_EFFECTIVE_IDS = os.access in os.supports_effective_ids


@dataclass(frozen=True)
class Entry:
    """A folder, file or link of the folder; `name` is relative to it, with `/`."""

    name: str
    #: Where it is on this machine; as text, because folders may have 100,000 names and paths are slow to make.
    place: str
    is_folder: bool
    #: Where a link leads, as written; None for what is no link.
    target: str | None = None

    @property
    def path(self) -> Path:
        """Where it is on this machine."""
        return Path(self.place)


def travelling(folder: Path, ignore: Ignore) -> Iterator[Entry]:
    """Yield all that goes into the image, folders before what is in them, in the order of names.

    Sockets and pipes stay behind. No link is followed. Raises LinkLeaves, and CannotRead for what cannot be read.
    """
    for entry, stays_out in walk(folder, ignore):
        if not stays_out:
            if entry.target is None and not os.access(entry.place, os.R_OK, effective_ids=_BY_EFFECTIVE_IDS):
                raise CannotRead(entry.name, PermissionError(errno.EACCES, os.strerror(errno.EACCES)))
            yield entry if entry.target is None else replace(entry, target=_target(folder.resolve(), entry))


def staying_out(folder: Path, ignore: Ignore) -> Iterator[Entry]:
    """Yield all that stays out of the image; of a folder that stays out, the folder alone. Raises CannotRead."""
    return (entry for entry, stays_out in walk(folder, ignore) if stays_out)


def walk(folder: Path, ignore: Ignore) -> Iterator[tuple[Entry, bool]]:
    """Yield all in a folder, each with whether it stays out; what is below a folder that does only if it travels."""
    return _in(str(folder.resolve()), "", ignore, above_is_out=False)


def _in(folder: str, above: str, ignore: Ignore, *, above_is_out: bool) -> Iterator[tuple[Entry, bool]]:
    try:
        with os.scandir(folder) as found:
            entries = sorted(found, key=lambda entry: entry.name)
    except OSError as error:
        raise CannotRead(above.rstrip("/") or folder, error) from error
    for entry in entries:
        name, place = above + entry.name, entry.path
        if name == OURS:
            continue
        stays_out = ignore.leaves_out(name)
        said = not (stays_out and above_is_out)
        if entry.is_symlink():
            if said:
                yield Entry(name, place, is_folder=False, target=str(Path(place).readlink())), stays_out
        elif entry.is_dir():
            if said:
                yield Entry(name, place, is_folder=True), stays_out
            if not ignore.leaves_out_all_of(name):
                yield from _in(place, f"{name}/", ignore, above_is_out=stays_out)
        elif entry.is_file() and said:
            yield Entry(name, place, is_folder=False), stays_out


def _target(root: Path, entry: Entry) -> str:
    """Return where a link leads, which is in the folder. Raises LinkLeaves."""
    target = str(entry.target)
    if target.startswith("/"):
        raise LinkLeaves(entry.name, target, "begins at the root of this machine")
    if _leads_in_a_circle(entry.path):
        raise LinkLeaves(entry.name, target, "leads in a circle")
    reached = entry.path.resolve()
    if reached != root and root not in reached.parents:
        raise LinkLeaves(entry.name, target, "lies outside of the folder")
    return target


def _leads_in_a_circle(path: Path) -> bool:
    # Path.resolve() tells of a circle before Python 3.13 only.
    try:
        path.stat()
    except OSError as error:
        return error.errno == errno.ELOOP
    return False


@contextmanager
def files_at_hand() -> Iterator[None]:
    """Raise CannotPrepare for a file or folder that cannot be read or written."""
    try:
        yield
    except OSError as error:
        raise CannotPrepare(error) from error
    except UnicodeDecodeError as error:
        raise CannotPrepare(OSError(None, closed(f"a file is no UTF-8 text ({error.reason})"))) from error

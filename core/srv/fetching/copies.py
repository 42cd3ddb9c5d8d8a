"""Copies: what was downloaded of one version of an artifact, complete and described, or not there."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import msgspec

from srv.fetching.file_locks import FileLock, try_lock

#: The names in a copy's folder: its description, its lock, and what was downloaded.
_DESCRIPTION, _USE, CONTENT = "copy.json", "use", "content"
#: How the folders of downloads that are not complete begin.
PART = "part-"
#: Rights that no file of a copy has, because all workers and servers share it.
_WRITABLE = stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH


class CopyDescription(msgspec.Struct, frozen=True):
    """What a complete copy is. `artifact` and the names of `files` are relative to its content; sizes are in bytes."""

    uri: str
    etag: str | None
    artifact: str
    files: dict[str, int]
    made: float
    #: The bytes of further files, which may change and be gone.
    more: int = 0

    @property
    def size(self) -> int:
        """Return the bytes of all files."""
        return sum(self.files.values()) + self.more


class Copy:
    """A complete copy in the cache, by its folder. A lock that is shared by those who use it keeps it there."""

    def __init__(self, folder: Path, description: CopyDescription, use: FileLock | None = None) -> None:
        self.folder = folder
        self.description = description
        self._lock = use

    @property
    def path(self) -> Path:
        """Return the artifact: a file or a folder."""
        return self.folder / CONTENT / self.description.artifact

    def use(self) -> bool:
        """Keep the copy from being removed until `release`; False where it is being removed."""
        taken = try_lock(self.folder / _USE, shared=True)
        if taken is None:
            return False
        # Whoever removes a copy takes the description away first, so that this may be the lock of a new, empty file.
        if not (self.folder / _DESCRIPTION).exists():
            taken.release()
            return False
        self._lock = taken
        with suppress(OSError):  # of a cache that this user may only read
            os.utime(self.folder / _USE)
        return True

    def release(self) -> None:
        """Let the copy be removed, as far as this user of it is concerned."""
        if self._lock is not None:
            with suppress(OSError):
                os.utime(self.folder / _USE)
            self._lock.release()
            self._lock = None

    def last_used(self) -> float:
        """Return when somebody began to use it last."""
        try:
            return (self.folder / _USE).stat().st_mtime
        except OSError:
            return self.description.made

    def remove_unused(self) -> bool:
        """Remove the copy, unless a process uses it. Return whether it was removed."""
        taken = try_lock(self.folder / _USE)
        if taken is None:
            return False
        try:
            # First, because a copy without description is none, also where the process dies meanwhile.
            (self.folder / _DESCRIPTION).unlink(missing_ok=True)
            shutil.rmtree(self.folder, ignore_errors=True)
        finally:
            taken.release()
        return True

    def is_whole(self) -> bool:
        """Return whether all files are there in their sizes."""
        content = self.folder / CONTENT
        try:
            return all((content / name).stat().st_size == size for name, size in self.description.files.items())
        except OSError:
            return False


def folder_of(parent: Path, etag: str | None) -> Path:
    """Return the folder for the copy of a version; a new one where nobody knows the version."""
    name = f"{time.time_ns()} {os.getpid()}" if etag is None else f"etag {etag}"
    return parent / hashlib.sha256(name.encode()).hexdigest()[:32]


def read_copy(folder: Path) -> Copy | None:
    """Return the complete copy in a folder, or None where there is none."""
    try:
        return Copy(folder, msgspec.json.decode((folder / _DESCRIPTION).read_bytes(), type=CopyDescription))
    except (OSError, msgspec.DecodeError):
        return None


def copies_in(parent: Path) -> Iterator[Copy]:
    """Yield the complete copies of all versions of an artifact."""
    try:
        folders = [entry.path for entry in os.scandir(parent) if entry.is_dir() and not entry.name.startswith(PART)]
    except OSError:
        return
    for folder in folders:
        found = read_copy(Path(folder))
        if found is not None:
            yield found


def complete(part: Path, description: CopyDescription, folder: Path) -> Copy:
    """Make a copy of a download, in use: on the disk, described, and only then under its name."""
    (part / _DESCRIPTION).write_bytes(msgspec.json.encode(description))
    use = try_lock(part / _USE, shared=True)
    for name in description.files:
        file = part / CONTENT / name
        file.chmod(stat.S_IMODE(file.stat().st_mode) & ~_WRITABLE)
        _sync(file)
    for directory, _, _ in os.walk(part):
        _sync(Path(directory))
    _sync(part / _DESCRIPTION)
    shutil.rmtree(folder, ignore_errors=True)  # what is there is no complete copy
    part.rename(folder)
    _sync(folder.parent)
    return Copy(folder, description, use)


def describe(folder: Path, description: CopyDescription) -> Copy:
    """Make a copy, in use, of what stands in its place and on the disk already."""
    use = try_lock(folder / _USE, shared=True)
    draft = folder / f"{_DESCRIPTION}~"
    draft.write_bytes(msgspec.json.encode(description))
    _sync(draft)
    draft.rename(folder / _DESCRIPTION)
    _sync(folder)
    return Copy(folder, description, use)


def files_in(content: Path) -> dict[str, int]:
    """Return the sizes of the files in a folder, by their names relative to it, without links."""
    return {
        str(path.relative_to(content)): path.stat().st_size
        for directory, _, names in os.walk(content)
        for path in (Path(directory, name) for name in names)
        if not path.is_symlink()
    }


def _sync(path: Path) -> None:
    """Have the system write a file or a folder to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

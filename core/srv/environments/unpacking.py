"""Unpacked environments: an archive is extracted once into the cache, for all processes and servers that share it.

The folder of an archive is locked by whoever looks or extracts. Files are extracted into a `part-…` folder, links come last,
and only then does the folder get its name; conda-unpack runs there, because it writes that name into files. What has no
description, which is written at the end, is no complete environment, and the next one removes it.
"""

from __future__ import annotations

import ctypes
import hashlib
import logging
import os
import shutil
import tempfile
import time
from pathlib import Path

from srv.environments.errors import ArchiveBroken, TooLong
from srv.environments.extraction import conda_unpack, extract
from srv.environments.packed import PackedEnvironment, examine_archive
from srv.fetching.copies import (
    CONTENT,
    PART,
    Copy,
    CopyDescription,
    copies_in,
    describe,
    files_in,
    folder_of,
    read_copy,
)
from srv.fetching.errors import CacheUnusable, DiskFull
from srv.fetching.file_locks import lock
from srv.fetching.room import LOCK, make_room, remove_empty
from srv.fetching.sizes import shown_size
from srv.fetching.transfer import LinePace
from srv.storage import DISK_FULL

log = logging.getLogger(__name__)

_BYTECODE = "__pycache__"


class UnpackedEnvironments:
    """The environments below one folder of the cache. Safe to use from several threads and processes."""

    def __init__(self, folder: Path, limit: int | None = None) -> None:
        self._root = folder
        self._limit = limit

    def copy_of(self, archive: Path, *, title: str, seconds: float) -> Copy:
        """Return the environment of an archive, in use; it is extracted if that was not done yet.

        Raises EnvironmentUnusable, or a FetchFailed where the cache has no room.
        """
        job = _Unpacking(self._root, self._limit, archive, title, seconds)
        try:
            return job.copy()
        except OSError as error:
            if error.errno in DISK_FULL:
                raise DiskFull(str(archive), self._root) from None
            raise CacheUnusable(self._root, error.strerror or type(error).__name__) from None


class _Unpacking:
    """One call of `copy_of`."""

    def __init__(self, root: Path, limit: int | None, archive: Path, title: str, seconds: float) -> None:
        self._root = root
        self._limit = limit
        self._archive = archive
        self._title = title
        self._seconds = seconds
        self._until = time.monotonic() + seconds
        self._pace = LinePace()
        named = f"environment {archive.resolve()}"
        self._folder = root / hashlib.sha256(named.encode(errors="surrogatepass")).hexdigest()[:32]

    def copy(self) -> Copy:
        """Return the environment of the archive as it is now."""
        etag = self._etag()
        taken = lock(
            self._folder / LOCK, until=self._until, waiting=lambda _: self._tell("waiting for another process")
        )
        if taken is None:
            raise TooLong(str(self._archive), "The extraction by another process", self._seconds)
        try:
            found = read_copy(folder_of(self._folder, etag))
            return found if found is not None and found.is_whole() and found.use() else self._extracted(etag)
        finally:
            taken.release()
            remove_empty(self._folder)

    def _etag(self) -> str:
        try:
            with self._archive.open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise ArchiveBroken(str(self._archive), f"it cannot be read: {error.strerror}.") from None

    def _extracted(self, etag: str) -> Copy:
        packed = examine_archive(self._archive, lambda: self._tick("looking into"))
        for doubt in packed.doubts[:3]:
            log.warning("Model '%s': in the environment %s, %s.", self._title, self._archive, doubt)
        self._remove_leftovers()
        part = Path(tempfile.mkdtemp(prefix=PART, dir=self._folder))
        folder = folder_of(self._folder, etag)
        try:
            make_room(self._root, part, packed.size, limit=self._limit, shown=str(self._archive))
            extract(self._archive, packed, part / CONTENT, lambda: self._tick("extracting"))
            shutil.rmtree(folder, ignore_errors=True)
            part.rename(folder)
            copy = self._complete(packed, etag, folder)
        except BaseException:
            shutil.rmtree(part, ignore_errors=True)
            shutil.rmtree(folder, ignore_errors=True)
            raise
        for other in copies_in(self._folder):
            if other.folder != folder:
                other.remove_unused()
        log.info(
            "Model '%s': extracted the environment %s, %s, in %.2f s.",
            self._title, self._archive, shown_size(copy.description.size), self._pace.seconds(),
        )  # fmt: skip
        return copy

    def _complete(self, packed: PackedEnvironment, etag: str, folder: Path) -> Copy:
        """Make the environment know its place, have all of it on the disk, and describe it."""
        environment = folder / CONTENT / packed.top
        conda_unpack(environment, self._archive, max(1.0, self._until - time.monotonic()))
        files = files_in(folder / CONTENT)
        # Python may write its bytecode anew, and that is no damage.
        kept = {name: size for name, size in files.items() if _BYTECODE not in Path(name).parts}
        description = CopyDescription(
            str(self._archive),
            etag,
            packed.top.rstrip("/") or ".",
            kept,
            time.time(),
            sum(files.values()) - sum(kept.values()),
        )
        _sync_all(folder)
        return describe(folder, description)

    def _remove_leftovers(self) -> None:
        """Remove what processes have left that died: parts, and folders without a description."""
        for entry in self._folder.iterdir():
            if entry.is_dir() and (entry.name.startswith(PART) or read_copy(entry) is None):
                shutil.rmtree(entry, ignore_errors=True)

    def _tick(self, doing: str) -> None:
        """Write a line where one is due. Raises TooLong when the time for the load is over."""
        if time.monotonic() > self._until:
            raise TooLong(str(self._archive), "The extraction", self._seconds)
        self._tell(doing)

    def _tell(self, doing: str) -> None:
        if self._pace.is_due():
            log.info("Model '%s': %s the environment %s.", self._title, doing, self._archive)


def _sync_all(folder: Path) -> None:
    """Have the system write everything on the disk of a folder, which takes less than each of its many files would."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        if ctypes.CDLL(None).syncfs(descriptor) != 0:
            os.sync()
    except AttributeError:  # not Linux
        os.sync()
    finally:
        os.close(descriptor)

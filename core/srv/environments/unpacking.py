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
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from srv.environments.errors import ArchiveBroken, ArchiveLeaves, TooLong, UnpackFailed
from srv.environments.packed import BROKEN, PackedEnvironment, examine_archive, plain_name
from srv.errors import quoted
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

_CONDA_UNPACK = "bin/conda-unpack"
_BYTECODE = "__pycache__"
#: How many links the system follows.
_MOST_HOPS = 40


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
            self._extract(packed, part / CONTENT)
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

    def _extract(self, packed: PackedEnvironment, content: Path) -> None:
        content.mkdir()
        links: list[tuple[str, str]] = []
        try:
            with tarfile.open(self._archive) as opened:
                for member in opened:
                    self._tick("extracting")
                    if member.issym():
                        links.append((plain_name(member), member.linkname))
                    else:
                        opened.extract(member, content, filter="data")
        except BROKEN as error:
            if isinstance(error, OSError) and error.errno in DISK_FULL:
                raise
            raise ArchiveBroken(str(self._archive), f"{type(error).__name__}: {error}") from None
        for name, target in links:
            _link(content / name, target)
        self._check_links(packed, content)

    def _check_links(self, packed: PackedEnvironment, content: Path) -> None:
        """Raise ArchiveLeaves where a link leads out of the environment by way of other links."""
        inside = Path(os.path.realpath(content))
        bases = {content / name for name in packed.base_links}
        for path in _links_in(content):
            if bases.isdisjoint(_hops(path)) and not Path(os.path.realpath(path)).is_relative_to(inside):
                name = str(path.relative_to(content))
                raise ArchiveLeaves(str(self._archive), f"the link {quoted(name)}", "which leads out of its folder")

    def _complete(self, packed: PackedEnvironment, etag: str, folder: Path) -> Copy:
        """Make the environment know its place, have all of it on the disk, and describe it."""
        environment = folder / CONTENT / packed.top
        if (environment / _CONDA_UNPACK).is_file():
            self._conda_unpack(environment)
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

    def _conda_unpack(self, environment: Path) -> None:
        program = environment / "bin" / "python"
        left = max(1.0, self._until - time.monotonic())
        try:
            subprocess.run(  # noqa: S603 - the environment's own, by its own Python
                [program, "-s", "-E", environment / _CONDA_UNPACK],
                cwd=environment, check=True, timeout=left, stdin=subprocess.DEVNULL, capture_output=True,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            raise TooLong(str(self._archive), "conda-unpack", self._seconds) from None
        except subprocess.CalledProcessError as error:
            lines = error.stderr.decode(errors="replace").strip().splitlines()
            how = f"failed with exit code {error.returncode}{': ' + lines[-1][:200] if lines else ''}"
            raise UnpackFailed(str(self._archive), "conda-unpack", how) from None
        except OSError as error:
            raise UnpackFailed(str(self._archive), "conda-unpack", f"cannot be run: {error.strerror}") from None

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


def _link(path: Path, target: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    path.symlink_to(target)


def _hops(path: Path) -> Iterator[Path]:
    """Yield a link, and the links that it leads to."""
    for _ in range(_MOST_HOPS):
        if not path.is_symlink():
            return
        yield path
        path = Path(os.path.normpath(path.parent / path.readlink()))


def _links_in(content: Path) -> Iterator[Path]:
    for directory, folders, names in os.walk(content):
        yield from (path for name in (*folders, *names) if (path := Path(directory, name)).is_symlink())


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

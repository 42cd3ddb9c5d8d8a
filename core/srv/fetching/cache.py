"""The cache: one copy of each version of an artifact, downloaded once for all workers and servers.

An artifact has a folder, named by a hash of its URI, with a lock that one process has while it looks or downloads. A
download goes into a `part-…` folder there, which gets the name of its version when it is complete and on the disk. A
process that dies leaves a part, which the next one removes.
"""

from __future__ import annotations

import hashlib
import logging
import shutil
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

from srv.fetching.copies import (
    CONTENT,
    PART,
    Copy,
    CopyDescription,
    complete,
    copies_in,
    files_in,
    folder_of,
    read_copy,
)
from srv.fetching.errors import CacheUnusable, DiskFull, FetchTooLong
from srv.fetching.file_locks import FileLock, lock
from srv.fetching.room import LOCK, make_room, remove_empty
from srv.fetching.sizes import shown_size
from srv.fetching.transfer import LinePace, Transfer
from srv.storage import DISK_FULL, ContentChanged, Fetch, FetchFailed, Unreachable
from srv.uris import shown_uri

log = logging.getLogger(__name__)

#: How often the version is asked for again because it has changed during the download.
_TRIES = 3


class Cache:
    """The copies below one folder. Safe to use from several threads and processes."""

    def __init__(self, folder: Path, limit: int | None = None) -> None:
        self.folder = folder
        self._limit = limit

    def copy_of(self, uri: str, fetch: Fetch, *, title: str, seconds: float) -> Copy:
        """Return a copy of what is at the URI now, in use; it is downloaded if no copy is there.

        Where the storage cannot be asked, it is the newest complete copy, with a warning. Raises FetchFailed.
        """
        job = _Job(self.folder, self._limit, uri, fetch, title, seconds)
        try:
            for _ in range(_TRIES - 1):
                with suppress(ContentChanged):
                    return job.copy()
            return job.copy()
        except OSError as error:
            if error.errno in DISK_FULL:
                raise DiskFull(shown_uri(uri), self.folder) from None
            raise CacheUnusable(self.folder, error.strerror or type(error).__name__) from None


class _Job:
    """One call of `copy_of`."""

    def __init__(self, root: Path, limit: int | None, uri: str, fetch: Fetch, title: str, seconds: float) -> None:
        self._root = root
        self._limit = limit
        self._fetch = fetch
        self._title = title
        self._shown = shown_uri(uri)
        self._artifact = root / hashlib.sha256(uri.encode(errors="surrogatepass")).hexdigest()[:32]
        self._began = time.time()
        self._seconds = seconds
        self._until = time.monotonic() + seconds

    def copy(self) -> Copy:
        """Return the copy of what is there now. Raises ContentChanged where that changes meanwhile."""
        try:
            etag = self._fetch.etag()
        except Unreachable as error:
            newest = self._newest(lambda copy: True)  # noqa: ARG005
            if newest is None:
                raise
            log.warning(
                "Model '%s': %s The copy that was downloaded on %s is served.",
                self._title, error, time.strftime("%Y-%m-%d at %H:%M:%S", time.localtime(newest.description.made)),
            )  # fmt: skip
            return newest
        taken = self._locked()
        try:
            return self._found(etag) or self._downloaded(etag)
        finally:
            taken.release()
            remove_empty(self._artifact)

    def _found(self, etag: str | None) -> Copy | None:
        """Return the copy of a version; without a version, one that another process made since this job began."""
        if etag is None:
            return self._newest(lambda copy: copy.description.etag is None and copy.description.made >= self._began)
        found = read_copy(folder_of(self._artifact, etag))
        return found if found is not None and found.is_whole() and found.use() else None

    def _newest(self, fits: Callable[[Copy], bool]) -> Copy | None:
        for copy in sorted(copies_in(self._artifact), key=lambda copy: copy.description.made, reverse=True):
            if fits(copy) and copy.is_whole() and copy.use():
                return copy
        return None

    def _locked(self) -> FileLock:
        pace = LinePace()

        def waiting(seconds: float) -> None:
            if pace.is_due():
                log.info(
                    "Model '%s' has waited %.0f s for another load, which downloads %s.",
                    self._title, seconds, self._shown,
                )  # fmt: skip

        taken = lock(self._artifact / LOCK, until=self._until, waiting=waiting)
        if taken is None:
            raise FetchTooLong(f"The wait for another load, which downloads {self._shown},", self._seconds)
        return taken

    def _downloaded(self, etag: str | None) -> Copy:
        """Download a version, and return its copy; other versions that nobody uses are removed then."""
        for leftover in self._artifact.glob(f"{PART}*"):
            shutil.rmtree(leftover, ignore_errors=True)
        part = Path(tempfile.mkdtemp(prefix=PART, dir=self._artifact))
        try:
            copy = self._download(part, etag)
        finally:
            shutil.rmtree(part, ignore_errors=True)
        for other in copies_in(self._artifact):
            if other.folder != copy.folder:
                other.remove_unused()
        return copy

    def _download(self, part: Path, etag: str | None) -> Copy:
        pace = LinePace()
        room = partial(make_room, self._root, part, limit=self._limit, shown=self._shown)
        transfer = Transfer(self._title, self._shown, until=self._until, limit=self._seconds, room=room)
        content = part / CONTENT
        content.mkdir()
        try:
            artifact = self._fetch.download(content, transfer)
            _check(artifact, content, self._shown)
            files = files_in(content)
            size = sum(files.values())
            room(size)  # because a plugin may have told of less than it wrote
            name = str(artifact.relative_to(content))
            description = CopyDescription(self._shown, etag, name, files, time.time())
            copy = complete(part, description, folder_of(self._artifact, etag))
        except Exception:
            if transfer.ended is not None:
                raise transfer.ended from None
            raise
        seconds = pace.seconds()
        log.info("Model '%s': downloaded %s of %s in %.2f s.", self._title, shown_size(size), self._shown, seconds)
        return copy


def _check(artifact: object, content: Path, shown: str) -> None:
    """Raise FetchFailed where a plugin returned something else than what it wrote."""
    if not isinstance(artifact, Path) or not artifact.is_relative_to(content) or not artifact.exists():
        raise FetchFailed(f"The plugin that fetches {shown} returned no file or folder of what it downloaded")

"""Room in the cache: copies that no process uses are removed, the one that was used longest ago first."""

from __future__ import annotations

import logging
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from srv.fetching.copies import PART, Copy, copies_in
from srv.fetching.errors import CacheFull, DiskFull
from srv.fetching.file_locks import lock, try_lock
from srv.fetching.sizes import shown_size

log = logging.getLogger(__name__)

#: The lock of an artifact's folder, and the one of whoever makes room.
LOCK, _ROOM_LOCK = "lock", "room.lock"
#: How many bytes a download that runs will have, in its folder.
_ASKED = "bytes"
#: Seconds that whoever makes room waits for another process that does.
_WAIT = 10.0


def make_room(root: Path, part: Path, size: int, *, limit: int | None, shown: str) -> None:
    """Make sure that a download may have so many bytes in all. Raises CacheFull or DiskFull where that cannot be."""
    taken = lock(root / _ROOM_LOCK, until=time.monotonic() + _WAIT, waiting=lambda _: None)
    try:
        _remove_leftovers(root)
        copies = sorted((copy for folder in _artifacts(root) for copy in copies_in(folder)), key=Copy.last_used)
        here = _bytes_in(part)
        if limit is not None:
            kept = sum(copy.description.size for copy in copies) + _asked_elsewhere(root, part)
            kept -= _remove(copies, kept + size - limit)
            if kept + size > limit:
                raise CacheFull(shown, size, limit, kept)
        free = shutil.disk_usage(root).free
        if size - here > free:
            _remove(copies, size - here - free)
            free = shutil.disk_usage(root).free
        if size - here > free:
            raise DiskFull(shown, root, size - here, free)
        (part / _ASKED).write_text(str(size))
    finally:
        if taken is not None:
            taken.release()


def _remove(copies: list[Copy], size: int) -> int:
    """Remove copies that nobody uses until so many bytes are free, if that many can be. Return how many are."""
    freed = 0
    for copy in list(copies):
        if freed >= size:
            break
        if copy.remove_unused():
            freed += copy.description.size
            copies.remove(copy)
            log.info("Removed %s of %s from the cache.", shown_size(copy.description.size), copy.description.uri)
            remove_empty(copy.folder.parent)
    return freed


def remove_empty(artifact: Path) -> None:
    """Remove the folder of an artifact that has no copies and that nobody downloads."""
    if any(copies_in(artifact)):
        return
    taken = try_lock(artifact / LOCK)
    if taken is not None:
        if not any(copies_in(artifact)):
            shutil.rmtree(artifact, ignore_errors=True)
        taken.release()


def _remove_leftovers(root: Path) -> None:
    """Remove what downloads have left whose process has died: nobody has the lock of their artifact."""
    for artifact in _artifacts(root):
        leftovers = list(artifact.glob(f"{PART}*"))
        taken = try_lock(artifact / LOCK) if leftovers else None
        if taken is not None:
            for leftover in leftovers:
                shutil.rmtree(leftover, ignore_errors=True)
            taken.release()
            remove_empty(artifact)


def _asked_elsewhere(root: Path, part: Path) -> int:
    """Return how many bytes the other downloads that run will have."""
    asked = 0
    for artifact in _artifacts(root):
        for other in artifact.glob(f"{PART}*"):
            if other != part:
                with suppress(OSError, ValueError):
                    asked += int((other / _ASKED).read_text())
    return asked


def _artifacts(root: Path) -> Iterator[Path]:
    with os.scandir(root) as entries:
        yield from [Path(entry.path) for entry in entries if entry.is_dir()]


def _bytes_in(folder: Path) -> int:
    """Return the bytes of all files in a folder."""
    return sum((Path(directory) / name).lstat().st_size for directory, _, names in os.walk(folder) for name in names)

"""The folder of the cache: the one that settings name, else the user's cache, else one among temporary files."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Mapping
from pathlib import Path

from srv.fetching.errors import CacheUnusable


def cache_folder(chosen: Path | None, environ: Mapping[str, str] = os.environ) -> Path:
    """Return the folder, which is made if it is not there. Raises CacheUnusable.

    Without a choice it is srv's in `XDG_CACHE_HOME`, in `~/.cache`, or, where neither can be written, among temporary files.
    """
    if chosen is not None:
        try:
            chosen.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise CacheUnusable(chosen, error.strerror or "it cannot be made") from None
        if not os.access(chosen, os.W_OK | os.X_OK):
            raise CacheUnusable(chosen, "this user may not write there")
        return chosen
    for place in _usual(environ):
        try:
            place.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError:
            continue
        if _is_own(place):
            return place
    return _temporary()


def fault_of(chosen: Path) -> str | None:
    """Return why a folder could not be the cache, without making it; None where it could."""
    place = chosen
    while not place.exists() and place != place.parent:
        place = place.parent
    if not place.is_dir():
        return f"{place} is not a folder"
    return None if os.access(place, os.W_OK | os.X_OK) else f"this user may not write to {place}"


def _usual(environ: Mapping[str, str]) -> list[Path]:
    caches, home = environ.get("XDG_CACHE_HOME", ""), environ.get("HOME", "")
    places = [Path(caches, "srv")] if caches.startswith("/") else []
    return [*places, *([Path(home, ".cache", "srv")] if home.startswith("/") else [])]


def _temporary() -> Path:
    folder = Path(tempfile.gettempdir()) / f"srv-cache-{os.geteuid()}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise CacheUnusable(folder, error.strerror or "it cannot be made") from None
    if folder.is_symlink() or not _is_own(folder) or stat.S_IMODE(folder.lstat().st_mode) & 0o022:
        raise CacheUnusable(folder, "it is another user's, or others may write there")
    return folder


def _is_own(folder: Path) -> bool:
    found = folder.stat()
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and os.access(folder, os.W_OK | os.X_OK)

"""Watcher of files: which ones have changed since the last look, found by polling.

Polling, because it works where notifications do not come: in containers, on network drives and shared folders. A look
at a thousand files takes some milliseconds.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

#: A file is another one when any of these is.
Stamp = tuple[int, int, int]

#: Folders that hold nothing a person edits; and whatever has one of the marks is a virtual environment.
_NOISE = frozenset({"__pycache__", "node_modules"})
_ENVIRONMENT_MARKS = frozenset({"pyvenv.cfg", "conda-meta"})
#: Files that come and go beside those that a person edits.
_PASSING = ("~", ".pyc", ".pyo", ".swp", ".swx", ".tmp", ".log", ".part", ".crdownload")

#: How many looks a change may go on before what has settled is told all the same.
_PATIENCE = 10


@dataclass(frozen=True)
class Area:
    """A folder to look at with all below it, or down to a depth; or one file. With `suffixes` only files that end so."""

    path: Path
    depth: int | None = None
    suffixes: tuple[str, ...] = ()


class Watcher:
    """Compares files with their stamps at the last look. One thread calls `look` again and again.

    Hidden files and folders, virtual environments, caches and files of passing interest are not looked at.
    """

    def __init__(self, areas: Iterable[Area]) -> None:
        self._seen: dict[Area, dict[str, Stamp]] = {}
        self._moving: set[str] = set()
        self._looks = 0
        self.watch(areas)

    def watch(self, areas: Iterable[Area]) -> None:
        """Watch these areas from now on. The files of a new area count as unchanged."""
        self._seen = {area: self._seen[area] if area in self._seen else _stamps(area) for area in areas}

    def look(self) -> frozenset[Path]:
        """Return the files that came, went or changed and are at rest now; a file that is being written comes later.

        Where something never comes to rest, the rest is told after a while.
        """
        moved: set[str] = set()
        for area, before in self._seen.items():
            now = self._seen[area] = _stamps(area)
            moved |= _differences(before, now)
        self._looks = self._looks + 1 if self._moving else 0
        self._moving |= moved
        if moved and self._looks < _PATIENCE:
            return frozenset()
        settled = self._moving - moved
        self._moving &= moved
        self._looks = 0
        return frozenset(Path(path) for path in settled)

    def overlook(self, folder: Path, *, but: Collection[str]) -> None:
        """Ignore what has changed in a folder since the last look, except files with one of these endings."""
        inside = str(folder) + os.sep
        for area, before in self._seen.items():
            now = _stamps(area)
            for path in _differences(before, now):
                if path.startswith(inside) and not path.endswith(tuple(but)):
                    if path in now:
                        before[path] = now[path]
                    else:
                        del before[path]


def _differences(before: dict[str, Stamp], now: dict[str, Stamp]) -> set[str]:
    return {path for path in before.keys() | now.keys() if before.get(path) != now.get(path)}


def _stamps(area: Area) -> dict[str, Stamp]:
    path = os.fspath(area.path)
    try:
        status = os.stat(path)  # noqa: PTH116  texts all the way, because there are thousands
    except OSError:
        return {}
    if stat.S_ISREG(status.st_mode):
        return {path: _stamp(status)}
    return dict(_below(path, area, area.depth, set()))


def _below(folder: str, area: Area, depth: int | None, above: set[tuple[int, int]]) -> Iterator[tuple[str, Stamp]]:
    """Yield the files of a folder and of the folders in it; links are followed, but in no circle."""
    try:
        status = os.stat(folder)  # noqa: PTH116  as above
        with os.scandir(folder) as entries:
            found = list(entries)
    except OSError:
        return
    here = (status.st_dev, status.st_ino)
    if here in above or not _ENVIRONMENT_MARKS.isdisjoint(entry.name for entry in found):
        return
    for entry in found:
        if entry.name.startswith(".") or entry.name in _NOISE:
            continue
        try:
            status = entry.stat()
        except OSError:
            continue
        if stat.S_ISDIR(status.st_mode):
            if depth != 0:
                yield from _below(entry.path, area, None if depth is None else depth - 1, above | {here})
        elif stat.S_ISREG(status.st_mode) and _counts(entry.name, area.suffixes):
            yield entry.path, _stamp(status)


def _counts(name: str, suffixes: tuple[str, ...]) -> bool:
    return not name.endswith(_PASSING) and (not suffixes or name.endswith(suffixes))


def _stamp(status: os.stat_result) -> Stamp:
    return status.st_mtime_ns, status.st_size, status.st_ino

"""Files of rows, which outlive their worker: a mapped file of numbers, and one with a line of JSON for each row.

A line says where the row is and what it counts. A worker keeps its own file of lines locked while it lives. Files of dead
workers are folded into one, so that a server that replaces its workers again and again does not fill the memory.
"""

from __future__ import annotations

import fcntl
import json
import mmap
import os
import time
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Literal, NamedTuple

from srv.planes.shared_files import open_private

#: What a cell holds, as `struct` has it: a whole number or a floating-point number, both of 8 bytes.
Cell = Literal["q", "d"]
#: A map, its cells, and the number of a row's first cell there.
Place = tuple[mmap.mmap, Any, int]
SIZE = 8
#: How a folded file of lines ends while the files that it replaces may still be there.
_FOLDING = ".folding"
#: Held by those who read all files, and alone by one who folds some.
_LOCK = "lock"
#: Seconds that one waits for another, who reads or folds for milliseconds, and between two looks.
_PATIENCE, _BETWEEN_LOOKS = 1.0, 0.005


class OtherRow(NamedTuple):
    """A row of another worker as it is now, and the name of that worker."""

    worker: str
    words: list[Any]
    numbers: list[Any]


#: Returns the rows that stand for those of dead workers: words and numbers.
Fold = Callable[[Iterable[OtherRow]], Iterable[tuple[Sequence[object], Sequence[float]]]]


class RowFile:
    """The two files of one worker's rows. Making one raises OSError where the disk takes no more."""

    def __init__(self, folder: Path, name: str, cell: Cell, growth: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._cell = cell
        self._growth = growth
        self._segments: list[mmap.mmap] = []
        self._used = 0
        self._bytes_of_kinds = 0
        with nothing_folded(folder):  # so that the file is not taken for a dead worker's before it is locked
            while (folder / f"{name}.rows").exists():  # a dead worker had the same process id
                name += "+"
            self.names = folder / f"{name}.kinds"
            self._rows = open_private(self.names.with_suffix(".rows"), "x+b")
            self._kinds = open_private(self.names, "ab")
            _lock(self._kinds, fcntl.LOCK_EX)

    def __del__(self) -> None:
        for name in ("_rows", "_kinds"):
            if hasattr(self, name):
                getattr(self, name).close()

    def add(self, words: Sequence[object], width: int) -> Place:
        """Return the place of a new row. Raises OSError where the disk takes no more."""
        start = start_of(self._used, width, self._growth)
        if start + width > len(self._segments) * self._growth:
            self._segments.append(self._grown())
        self._write_kind(_line(start, width, words))
        self._used = start + width
        return place_in(self._segments[-1], self._cell, start % self._growth)

    def is_there(self) -> bool:
        """Return whether the file is still at its path, where other workers look for it."""
        try:
            return self.names.stat().st_ino == os.fstat(self._kinds.fileno()).st_ino
        except OSError:
            return False

    def _grown(self) -> mmap.mmap:
        size = self._growth * SIZE
        start = len(self._segments) * size
        _allocate(self._rows, start, size)
        return mmap.mmap(self._rows.fileno(), size, offset=start)

    def _write_kind(self, line: bytes) -> None:
        """Append a line whole or not at all."""
        written = 0
        try:
            written = self._kinds.write(line)
        finally:
            if written != len(line):
                os.truncate(self._kinds.fileno(), self._bytes_of_kinds)
        if written != len(line):
            raise OSError(f"{self.names} cannot grow")
        self._bytes_of_kinds += written


def start_of(used: int, width: int, growth: int) -> int:
    """Return the first free cell from which a row of that width is whole in one map."""
    return used if used % growth + width <= growth else (used // growth + 1) * growth


def place_in(mapped: mmap.mmap, cell: Cell, start: int) -> Place:
    """Return the place of a row in a map."""
    return mapped, memoryview(mapped).cast(cell), start


def rows_of_others(folder: Path, own: Path | None, cell: Cell) -> list[OtherRow]:
    """Return the rows of all workers, dead ones too, but for those whose file of lines is `own`."""
    rows: list[OtherRow] = []
    with nothing_folded(folder):
        for names in _in_force(folder):
            if names != own:
                with suppress(FileNotFoundError):
                    rows += _read(names, cell)
    return rows


def fold_dead(folder: Path, cell: Cell, fold: Fold) -> None:
    """Replace the files of dead workers by one, unless somebody reads. A worker that is killed meanwhile changes no sum."""
    with suppress(FileNotFoundError), open_private(folder / _LOCK, "ab") as everyone:
        if not _lock_soon(everyone, fcntl.LOCK_EX):
            return
        _remove_replaced(folder)
        dead = [names for names in _in_force(folder) if _is_dead(names)]
        if len(dead) > 1:
            rows = [row for names in dead for row in _read(names, cell)]
            _write_folded(folder, dead, cell, [*fold(rows)])
            _remove_replaced(folder)


def _write_folded(
    folder: Path, dead: Sequence[Path], cell: Cell, rows: Sequence[tuple[Sequence[object], Sequence[float]]]
) -> None:
    """Write rows that replace the files of dead workers from the moment that their file of lines ends with `.folding`.

    It ends with `.kinds` when those are removed, because another worker may have the name of a dead one then.
    """
    names = folder / f"folded-{os.getpid()}-{time.monotonic_ns()}{_FOLDING}"
    lines = [json.dumps({"replaces": [each.stem for each in dead]}).encode() + b"\n"]
    cells: array[Any] = array(cell)
    for words, numbers in rows:
        lines.append(_line(len(cells), len(numbers), words))
        cells.extend(numbers)
    part = names.with_suffix(".part")
    try:
        with open_private(names.with_suffix(".rows"), "xb") as file, open_private(part, "xb") as listing:
            _write(file, cells.tobytes())
            _write(listing, b"".join(lines))
        part.rename(names)
    except OSError:
        _remove(names)
        part.unlink(missing_ok=True)
        raise


@contextmanager
def nothing_folded(folder: Path) -> Iterator[None]:
    """Keep files from being folded; where somebody holds the lock for long, this goes on without."""
    with ExitStack() as files:
        with suppress(OSError):  # there is no folder, or no room in it
            file = files.enter_context(open_private(folder / _LOCK, "ab"))
            _lock_soon(file, fcntl.LOCK_SH)
        yield


def _lock_soon(file: IO[bytes], how: int) -> bool:
    """Wait a moment for a lock, and return whether it is there."""
    until = time.monotonic() + _PATIENCE
    while not _lock(file, how):
        if time.monotonic() > until:
            return False
        time.sleep(_BETWEEN_LOOKS)
    return True


def _lock(file: IO[bytes], how: int) -> bool:
    try:
        fcntl.flock(file, how | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _is_dead(names: Path) -> bool:
    with names.open("rb") as file:
        return _lock(file, fcntl.LOCK_EX)


def _in_force(folder: Path) -> list[Path]:
    """Return the files of lines, without those that a folded one replaces."""
    folding = sorted(folder.glob(f"*{_FOLDING}"))
    replaced = {stem for names in folding for stem in _replaced_by(names)}
    return [*(names for names in sorted(folder.glob("*.kinds")) if names.stem not in replaced), *folding]


def _remove_replaced(folder: Path) -> None:
    for names in folder.glob(f"*{_FOLDING}"):
        for stem in _replaced_by(names):
            _remove(folder / f"{stem}.kinds")
        names.rename(names.with_suffix(".kinds"))


def _replaced_by(names: Path) -> list[str]:
    """Return the names of the workers whose files a folded one replaces."""
    try:
        with names.open("rb") as file:
            replaced: list[str] = json.loads(file.readline())["replaces"]
    except FileNotFoundError:
        return []
    return replaced


def _read(names: Path, cell: Cell) -> list[OtherRow]:
    """Return the rows of another worker. A line that is being written counts the next time."""
    # Lines are read first, because the file of rows grows before a line is written.
    texts = [line for line in names.read_text().splitlines(keepends=True) if line.endswith("\n")]
    lines = [line for line in map(json.loads, texts) if isinstance(line, list)]
    if not lines:
        return []
    with (
        names.with_suffix(".rows").open("rb") as file,
        mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as rows,
        memoryview(rows) as view,
        view.cast(cell) as cells,
    ):
        return [OtherRow(names.stem, words, cells[start : start + width].tolist()) for start, width, *words in lines]


def _line(start: int, width: int, words: Sequence[object]) -> bytes:
    return json.dumps([start, width, *words]).encode() + b"\n"


def _write(file: IO[bytes], content: bytes) -> None:
    if file.write(content) != len(content):
        raise OSError(f"{file.name} cannot grow")


def _remove(names: Path) -> None:
    names.unlink(missing_ok=True)
    names.with_suffix(".rows").unlink(missing_ok=True)


def _allocate(file: IO[bytes], start: int, size: int) -> None:
    """Extend a file by bytes that the disk has reserved: writing to a map without them kills the process."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file.fileno(), start, size)
    else:
        file.truncate(start + size)

"""Files of prometheus_client: which count, and one that stands for those of processes that are gone.

The library makes files of 64 KiB and more for each process and never removes them. Gauges stay as they are, because their
modes say what becomes of them.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from prometheus_client.mmap_dict import MmapedDict

#: From how many files of processes that are gone on these are folded.
MANY = 16
_SUMMED = ("counter", "histogram", "summary")
#: The list of files that a folded one replaces, there while those may be there too.
_JOURNAL = "*.replaces"
#: Held by those who read all files, and alone by one who folds some.
_LOCK = "lock"
#: Seconds that one waits for another, who reads or folds for milliseconds, and between two looks.
_PATIENCE, _BETWEEN_LOOKS = 1.0, 0.005


@contextmanager
def files_in_force(folder: Path) -> Iterator[list[str]]:
    """Give the paths of all files that count, none of which is folded meanwhile. A folder that is not srv's has no lock."""
    with ExitStack() as files:
        with suppress(FileNotFoundError):
            _take(files.enter_context((folder / _LOCK).open("rb")).fileno(), fcntl.LOCK_SH)
        replaced = {name for journal in folder.glob(_JOURNAL) for name in _replaced_by(journal)}
        unfinished = [journal.with_suffix(".part") for journal in folder.glob(_JOURNAL)]
        there = [file for file in sorted(folder.glob("*.db")) if file.name not in replaced]
        # One that was just made has nothing in it for a moment, which the library does not read.
        yield [str(file) for file in (*there, *unfinished) if file.exists() and file.stat().st_size]


def fold_files_of_the_dead(folder: Path) -> None:
    """Let one file of each kind stand for those of processes that are gone, where these are many.

    A process that is killed meanwhile changes no sum: from the moment that a journal has its name, the new file counts.
    """
    (folder / _LOCK).touch()  # before anybody reads, because who finds none reads without it
    if len(_of_the_dead(folder)) < MANY:
        return
    with (folder / _LOCK).open("ab") as lock:
        if not _take(lock.fileno(), fcntl.LOCK_EX):
            return
        _finish(folder)
        for kind in _SUMMED:
            _fold(folder, kind, [file for file in _of_the_dead(folder) if file.name.startswith(f"{kind}_")])


def _fold(folder: Path, kind: str, dead: Sequence[Path]) -> None:
    if len(dead) < 2:
        return
    sums: dict[str, float] = {}
    for file in dead:
        for key, value, _, _ in MmapedDict.read_all_values_from_file(file):  # type: ignore[no-untyped-call]
            sums[key] = sums.get(key, 0.0) + value
    part = folder / f"{kind}_folded{time.monotonic_ns()}.part"
    values = MmapedDict(str(part))  # type: ignore[no-untyped-call]
    for key, value in sums.items():
        values.write_value(key, value, 0.0)  # type: ignore[no-untyped-call]
    values.close()  # type: ignore[no-untyped-call]
    written = part.with_suffix(".written")
    written.write_text(json.dumps([file.name for file in dead]))
    written.rename(part.with_suffix(".replaces"))
    _finish(folder)


def _finish(folder: Path) -> None:
    """Remove what is replaced, and give the new files their names."""
    for journal in folder.glob(_JOURNAL):
        for name in _replaced_by(journal):
            (folder / name).unlink(missing_ok=True)
        part = journal.with_suffix(".part")
        if part.exists():
            part.rename(journal.with_suffix(".db"))
        journal.unlink()


def _of_the_dead(folder: Path) -> list[Path]:
    """Return the files that can be summed, of processes that are gone; those that were folded before are among them."""
    found = []
    for file in sorted(folder.glob("*.db")):
        kind, _, owner = file.stem.partition("_")
        if kind in _SUMMED and (owner.startswith("folded") or (owner.isdecimal() and not _lives(int(owner)))):
            found.append(file)
    return found


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _replaced_by(journal: Path) -> list[str]:
    try:
        names: list[str] = json.loads(journal.read_text())
    except FileNotFoundError:
        return []
    return names


def _take(lock: int, how: int) -> bool:
    """Wait a moment for a lock, and return whether it is there."""
    until = time.monotonic() + _PATIENCE
    while True:
        try:
            fcntl.flock(lock, how | fcntl.LOCK_NB)
        except OSError:
            if time.monotonic() > until:
                return False
            time.sleep(_BETWEEN_LOOKS)
        else:
            return True

"""Several installations of one distribution: the one that counts, and those that are left over."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator, Sequence
from enum import IntEnum
from pathlib import Path
from typing import Any, NamedTuple

#: The most files that are compared with RECORD; more of them would not change the outcome.
_ENOUGH = 200


class Wholeness(IntEnum):
    """How many of an installation's files are where its metadata says, the least first."""

    NO_METADATA = 0
    NO_FILES = 1
    NOTHING_TO_HAVE = 2
    OTHER_FILES = 3
    WHOLE = 4


class _Recorded(NamedTuple):
    """A file of a distribution as RECORD lists it; hash and size are empty if RECORD lacks them."""

    path: Path
    hash: str
    size: str


def whole_one(places: Sequence[Any], modules: Sequence[Sequence[str]]) -> int:
    """Return the index of the installation that counts: the one with its files, else the first on the path.

    `modules` are, for each installation, the packages that its entry points name.
    """
    ranks = [wholeness(place, names) for place, names in zip(places, modules, strict=True)]
    best = max(min(rank, Wholeness.OTHER_FILES) for rank in ranks)
    if best is Wholeness.NO_FILES:  # no files are there, so entry points decide
        return max(range(len(places)), key=lambda index: (ranks[index], bool(modules[index])))
    first = next(index for index, rank in enumerate(ranks) if min(rank, Wholeness.OTHER_FILES) is best)
    # Python imports what is first on the path; of several in one folder the one whose files are there counts.
    folder = str(places[first].locate_file(""))
    beside = [index for index, place in enumerate(places) if str(place.locate_file("")) == folder]
    return max(beside, key=lambda index: (ranks[index], _version(places[index]), index == first))


def _version(place: Any) -> Any:
    from packaging.version import InvalidVersion, Version  # costs 15 ms, and hardly anything is installed twice

    try:
        return Version(str(place.version))
    except (InvalidVersion, KeyError, ValueError):
        return Version("0")


def wholeness(place: Any, modules: Sequence[str]) -> Wholeness:
    """Compare an installation with its RECORD. Reads the files that RECORD names."""
    if not _has_metadata(place):
        return Wholeness.NO_METADATA
    root = Path(place.locate_file(""))
    files = list(_recorded(place, root))
    if not files:
        return _by_modules(root, modules, has_record=_has_record(place))
    if not all(os.path.lexists(each.path) for each in files):
        return Wholeness.NO_FILES
    return Wholeness.WHOLE if all(_is_as_recorded(each) for each in files) else Wholeness.OTHER_FILES


def _by_modules(root: Path, modules: Sequence[str], *, has_record: bool) -> Wholeness:
    """Judge an installation whose RECORD names no code, such as a checkout, by the packages of its entry points."""
    if not modules:
        return Wholeness.NOTHING_TO_HAVE if has_record else Wholeness.NO_FILES
    there = all((root / name).is_dir() or any(root.glob(f"{name}.*")) for name in modules)
    return Wholeness.WHOLE if there else Wholeness.NO_FILES


def _has_metadata(place: Any) -> bool:
    try:
        return bool(place.read_text("METADATA") or place.read_text("PKG-INFO"))
    except Exception:  # noqa: BLE001 - whatever is unreadable about it, it is not whole
        return False


def _has_record(place: Any) -> bool:
    try:
        return place.read_text("RECORD") is not None
    except Exception:  # noqa: BLE001 - as above
        return False


def _recorded(place: Any, root: Path) -> Iterator[_Recorded]:
    """Return files of code that RECORD names, the first of them; none if RECORD cannot be read."""
    try:
        rows = list(csv.reader((place.read_text("RECORD") or "").splitlines()))
    except Exception:  # noqa: BLE001 - as above
        return
    code = (row for row in rows if row and row[0].endswith((".py", ".so", ".pyd", ".pth")))
    for row, _ in zip(code, range(_ENOUGH), strict=False):
        path, hashed, size = (*row, "", "")[:3]
        yield _Recorded(root / path, hashed, size)


def _is_as_recorded(recorded: _Recorded) -> bool:
    import hashlib  # as above
    from base64 import urlsafe_b64encode

    try:
        if recorded.size and recorded.path.stat().st_size != int(recorded.size):
            return False
        method, _, wanted = recorded.hash.partition("=")
        if method != "sha256":
            return True
        digest = hashlib.sha256(recorded.path.read_bytes()).digest()
    except (OSError, ValueError):
        return False
    return urlsafe_b64encode(digest).rstrip(b"=").decode() == wanted

"""The list of what goes into an image and what stays out, with sizes, the largest first."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from srv.images import ImagePlan
from srv_dockerfile.dockerignore import Ignore
from srv_dockerfile.files import staying_out, travelling

#: Lines of each part for people; the rest is counted.
MOST = 30


class Row(NamedTuple):
    """A file that travels, or a file or folder that stays out: its size in bytes, and why."""

    name: str
    size: int
    #: Of what travels, which secret it holds; of what stays out, the line that says so; None for nothing.
    why: str | None


def files_of(plan: ImagePlan) -> list[Row]:
    """Return the files that go into the image, the largest first."""
    entries = (entry for entry in travelling(plan.folder, Ignore(plan.ignore)) if not entry.is_folder)
    return _ordered(Row(entry.name, _size(entry.path), _secret(plan, entry.name)) for entry in entries)


def left_out_of(plan: ImagePlan) -> list[Row]:
    """Return the files and folders that stay out, the largest first, each with the line that leaves it out."""
    ignore = Ignore(plan.ignore)
    return _ordered(
        Row(f"{entry.name}/" if entry.is_folder else entry.name, _size(entry.path), ignore.line_for(entry.name))
        for entry in staying_out(plan.folder, ignore)
    )


def as_lines(files: list[Row], left_out: list[Row]) -> Iterator[str]:
    """Yield both lists as people read them."""
    count = f"{len(files)} file{'' if len(files) == 1 else 's'}"
    yield f"Goes into the image: {count}, {told(sum(row.size for row in files))}."
    yield from _table(files, "a secret: ")
    if left_out:
        yield f"Stays out: {told(sum(row.size for row in left_out))}."
        yield from _table(left_out, "by the line ")


def as_document(files: list[Row], left_out: list[Row]) -> dict[str, object]:
    """Return both lists as programs read them."""
    return {
        "size": sum(row.size for row in files),
        "files": [{"name": row.name, "size": row.size, "secret": row.why} for row in files],
        "left_out": [{"name": row.name, "size": row.size, "line": row.why} for row in left_out],
    }


def told(size: int) -> str:
    """Return a size in the unit that fits it, such as `1.2 MB`."""
    shown, units = float(size), iter(("kB", "MB", "GB", "TB"))
    if size < 1000:
        return f"{size} B"
    while shown >= 1000:
        shown, unit = shown / 1000, next(units)
    return f"{shown:.1f} {unit}"


def _table(rows: list[Row], before: str) -> Iterator[str]:
    for row in rows[:MOST]:
        name = "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in row.name)
        yield f"{told(row.size):>10}  {name}" + ("" if row.why is None else f"  ({before}{row.why})")
    if len(rows) > MOST:
        yield f"{told(sum(row.size for row in rows[MOST:])):>10}  in {len(rows) - MOST} more"


def _ordered(rows: Iterable[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: (-row.size, row.name))


def _secret(plan: ImagePlan, name: str) -> str | None:
    return next((kind for at, kind in plan.secret_files.items() if name == at or name.startswith(f"{at}/")), None)


def _size(path: Path) -> int:
    """Return the bytes of a file, or of all files in a folder; no link is followed."""
    try:
        if path.is_symlink() or not path.is_dir():
            return path.lstat().st_size
    except OSError:  # gone since the folder was read
        return 0
    found = 0
    for folder, _, names in os.walk(path):
        found += sum(_size(Path(folder, name)) for name in names)
    return found

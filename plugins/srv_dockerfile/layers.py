"""Layers of large files: what is copied before the code, so that a change of code makes no weights anew."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

from srv_dockerfile.dockerignore import Ignore
from srv_dockerfile.files import travelling

#: From this size on a file is worth naming in the Dockerfile.
LARGE = 4 << 20
#: How many files a Dockerfile names at most: the largest ones.
MOST_NAMES = 200
#: What a layer holds before another one begins, because a registry is sent several layers at once.
FULL = 256 << 20
#: Layers at most; above it each one holds more. An image of the classic builder has 127 of all kinds.
MOST_LAYERS = 16

#: Names that COPY takes as they stand, also among quotes: no pattern, no variable, no blank at an end.
_COPIED = re.compile(r"[\w.@+~,=-]+(?: [\w.@+~,=-]+)*", re.ASCII)


def artifact_layers(folder: Path, ignore: Ignore) -> list[list[str]]:
    """Return the large files of a folder by layer, in the order of their names."""
    sizes = {
        entry.name: entry.path.stat().st_size
        for entry in travelling(folder, ignore)
        if not entry.is_folder and entry.target is None and can_be_named(entry.name)
    }
    large = sorted((name for name, size in sizes.items() if size >= LARGE), key=lambda name: (-sizes[name], name))
    return list(_split({name: sizes[name] for name in sorted(large[:MOST_NAMES])}))


def by_folder(names: Iterable[str]) -> dict[str, list[str]]:
    """Return names by the folder in which they stand, because a COPY has one place for all that it names."""
    found: dict[str, list[str]] = {}
    for name in names:
        found.setdefault(PurePosixPath(name).parent.as_posix(), []).append(name)
    return found


def can_be_named(name: str) -> bool:
    """Return whether a COPY takes a name as it stands."""
    return all(_COPIED.fullmatch(part) for part in name.split("/"))


def _split(sizes: dict[str, int]) -> Iterator[list[str]]:
    """Yield layers. A file is never parted, so a layer of one file may be larger than the others."""
    full = max(FULL, 2 * sum(sizes.values()) // MOST_LAYERS)  # two layers in a row are then above half of it together
    layer, held = list[str](), 0
    for name, size in sizes.items():
        if layer and held + size > full:
            yield layer
            layer, held = [], 0
        layer.append(name)
        held += size
    if layer:
        yield layer

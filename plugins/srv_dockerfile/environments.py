"""Environments and caches in a folder, which are told by what is in them, whatever they are called."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from srv_dockerfile.dockerignore import Ignore

#: What a virtual environment is made of that begins in the folder itself.
_AT_ROOT = ("pyvenv.cfg", "bin", "include", "lib", "lib64", "Scripts", "Lib")
#: What caches of models keep; an image without its network needs them.
_MODELS = ("models--", "datasets--")


def environments_in(folder: Path, ignore: Ignore) -> Iterator[str]:
    """Yield the names of virtual environments, conda environments and caches that would travel.

    A link that leads to one counts as one. Folders that cannot be read are passed over.
    """
    root = folder.resolve()
    if (root / "pyvenv.cfg").is_file():
        yield from (name for name in _AT_ROOT if os.path.lexists(root / name))
    yield from _below(root, "", ignore)


def _below(folder: Path, above: str, ignore: Ignore) -> Iterator[str]:
    try:
        with os.scandir(folder) as found:
            folders = sorted((entry for entry in found if _is_folder(entry)), key=lambda entry: entry.name)
    except OSError:
        return
    for entry in folders:
        name = above + entry.name
        if ignore.leaves_out_all_of(name):
            continue
        if _is_environment(Path(entry.path)):
            yield name
        elif not entry.is_symlink():
            yield from _below(Path(entry.path), f"{name}/", ignore)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads in a circle
        return False


def _is_environment(folder: Path) -> bool:
    if (folder / "pyvenv.cfg").is_file() or (folder / "conda-meta" / "history").is_file():
        return True
    return (folder / "CACHEDIR.TAG").is_file() and not _holds_models(folder)


def _holds_models(folder: Path) -> bool:
    try:
        return any(path.name.startswith(_MODELS) for path in folder.iterdir())
    except OSError:
        return False

"""Pipfile.lock: what it pins for production."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from packaging.utils import canonicalize_name

from srv_dockerfile.environment.locked import Lock, Locked, git_source, in_order, relative
from srv_dockerfile.environment.platforms import Grid
from srv_dockerfile.errors import BadLock

FILE = "Pipfile.lock"


def read_pipfile_lock(document: Mapping[str, Any], text: str) -> Lock:
    """Return what the lock pins, without the packages for development. Raises BadLock."""
    packages, meta = document.get("default"), document.get("_meta", {})
    if not isinstance(packages, Mapping):
        raise BadLock(FILE, "it has no packages under 'default'")
    requires = meta.get("requires", {})
    wanted = requires.get("python_full_version") or requires.get("python_version")
    lock = Lock(
        requires_python=f"=={wanted}.*" if wanted and wanted.count(".") == 1 else f"=={wanted}" if wanted else ""
    )
    grid = Grid(text, lock.requires_python)
    for source in meta.get("sources", ()):
        lock.comes_from(source["url"])
    for name, said in packages.items():
        where = grid.where(str(said.get("markers", "")))
        if where:
            lock.packages.append(_locked(canonicalize_name(name), said, grid.marker(where)))
    lock.packages = in_order(lock.packages)
    return lock


def _locked(name: str, said: Mapping[str, Any], marker: str) -> Locked:
    hashes = tuple(said.get("hashes", ()))
    if "git" in said:
        return Locked(name, source=git_source(said["git"], said["ref"], said.get("subdirectory")), marker=marker)
    if "path" in said or "file" in said:
        source = str(said.get("path") or said["file"])
        return Locked(name, source=source if "://" in source else relative(source), marker=marker, hashes=hashes)
    version = str(said.get("version", ""))
    if not version.startswith("=="):
        raise BadLock(FILE, f"{name} has no version")
    return Locked(name, version.removeprefix("=="), marker=marker, hashes=hashes)

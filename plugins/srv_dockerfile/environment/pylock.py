"""pylock.toml, the lock of PEP 751: what it pins for production."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from packaging.utils import canonicalize_name

from srv_dockerfile.environment.locked import Lock, Locked, git_source, in_order, relative
from srv_dockerfile.environment.platforms import Grid
from srv_dockerfile.errors import BadLock

FILE = "pylock.toml"
#: `'dev' in dependency_groups`, which older versions of packaging do not read.
_CHOICE = re.compile(
    r"(?P<quote>['\"])(?P<name>[^'\"]*)(?P=quote)\s+(?P<not>not\s+)?in\s+(?P<of>extras|dependency_groups)"
)
_ALWAYS, _NEVER = "python_version >= '0'", "python_version < '0'"


def read_pylock(document: Mapping[str, Any], text: str) -> Lock:
    """Return what the lock pins with its default groups and no extra. Raises BadLock."""
    packages = document.get("packages")
    if not isinstance(packages, list):
        raise BadLock(FILE, "it has no packages")
    lock = Lock(requires_python=str(document.get("requires-python", "")))
    grid = Grid(text, lock.requires_python)
    chosen = set(document.get("default-groups", ()))
    for package in packages:
        where = grid.where(_decided(str(package.get("marker", "")), chosen))
        if where and package.get("directory", {}).get("path") != ".":
            lock.packages.append(_locked(package, grid.marker(where), lock))
    lock.packages = in_order(lock.packages)
    return lock


def _decided(marker: str, groups: set[str]) -> str:
    """Return the marker with each choice of a group or an extra decided."""

    def decide(choice: re.Match[str]) -> str:
        is_in = choice["of"] == "dependency_groups" and choice["name"] in groups
        return _ALWAYS if is_in != bool(choice["not"]) else _NEVER

    return _CHOICE.sub(decide, marker)


def _locked(package: Mapping[str, Any], marker: str, lock: Lock) -> Locked:
    name = canonicalize_name(package["name"])
    if "vcs" in package:
        vcs = package["vcs"]
        if vcs.get("type") != "git":
            raise BadLock(FILE, f"{name} comes from {vcs.get('type')}, and images have git alone")
        url = vcs.get("url") or relative(vcs["path"])
        return Locked(name, source=git_source(url, vcs["commit-id"], vcs.get("subdirectory")), marker=marker)
    if "directory" in package:
        folder = package["directory"]
        part = f"/{folder['subdirectory']}" if "subdirectory" in folder else ""
        return Locked(name, source=relative(folder["path"] + part), marker=marker)
    if "archive" in package:
        archive = package["archive"]
        part = f"#subdirectory={archive['subdirectory']}" if "subdirectory" in archive else ""
        source = archive["url"] + part if "url" in archive else relative(archive["path"])
        return Locked(name, source=source, marker=marker, hashes=_hashes([archive]))
    files = [*package.get("wheels", ()), *([package["sdist"]] if "sdist" in package else ())]
    if "index" in package:
        lock.comes_from(package["index"])
    else:
        lock.is_public = True
    return Locked(name, package.get("version"), marker=marker, hashes=_hashes(files))


def _hashes(files: list[Any]) -> tuple[str, ...]:
    """Return the hashes that pip knows."""
    found = (
        f"{kind}:{each['hashes'][kind]}"
        for each in files
        for kind in ("sha256", "sha384", "sha512")
        if kind in each.get("hashes", {})
    )
    return tuple(dict.fromkeys(found))

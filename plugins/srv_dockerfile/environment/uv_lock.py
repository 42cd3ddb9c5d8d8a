"""uv.lock: what it pins for production, found by walking from the project through what each package depends on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from os.path import relpath
from typing import Any
from urllib.parse import parse_qs, urlsplit, urlunsplit

from srv_dockerfile.environment.locked import Lock, Locked, git_source, in_order, relative
from srv_dockerfile.environment.platforms import Grid, Platforms, reached
from srv_dockerfile.errors import BadLock

FILE = "uv.lock"
#: Where the project itself stands in its lock.
_ROOT = "."
_LOCAL = ("editable", "directory", "path", "virtual")

#: A package by its place in the lock, and the extra of it that is asked for.
_Node = tuple[int, str | None]
_Edges = Iterator[tuple[_Node, Platforms]]


def read_uv_lock(document: Mapping[str, Any], text: str, root: str = _ROOT) -> Lock:
    """Return what the lock pins, without groups and extras of the project. Raises BadLock.

    `root` is the project's folder as the lock of a workspace calls it. Paths are relative to that folder.
    """
    packages = document.get("package")
    if not isinstance(packages, list):
        raise BadLock(FILE, "it has no packages")
    roots = [place for place, each in enumerate(packages) if _path(each) == root]
    if not roots:
        raise BadLock(FILE, "none of its packages is the project of this folder. Run 'uv lock' here")
    lock = Lock(requires_python=str(document.get("requires-python", "")))
    grid = Grid(text, lock.requires_python)
    graph = _Graph(packages, grid)
    start: _Node = (roots[0], None)
    found = reached([(start, grid.all)], graph.edges)
    for place, package in enumerate(packages):
        # An extra of a package is asked for where the package is.
        where = found.get((place, None), frozenset())
        if where and place != roots[0]:
            lock.packages.append(_locked(package, grid.marker(where), lock, root))
    lock.packages = in_order(lock.packages)
    return lock


def is_member(document: Mapping[str, Any], root: str) -> bool:
    """Whether the folder of that name is a project of the lock's workspace."""
    return any(_path(each) == root for each in document.get("package", ()))


def noted(document: Mapping[str, Any], root: str = _ROOT) -> list[Mapping[str, Any]]:
    """Return what the project depended on when the lock was made, extras included."""
    roots = (each for each in document["package"] if _path(each) == root)
    return [said for project in roots for said in project.get("metadata", {}).get("requires-dist", ())]


class _Graph:
    def __init__(self, packages: list[Any], grid: Grid) -> None:
        self._packages, self._grid = packages, grid
        self._places: dict[str, list[int]] = {}
        for place, package in enumerate(packages):
            self._places.setdefault(package["name"], []).append(place)

    def edges(self, node: _Node) -> _Edges:
        """Yield what a package, or an extra of it, leads to."""
        place, extra = node
        package = self._packages[place]
        if extra is None:
            named = package.get("dependencies", ())
        else:
            named = package.get("optional-dependencies", {}).get(extra, ())
        for each in named:
            where = self._grid.where(each.get("marker", ""))
            for target in self._targets(each):
                yield (target, None), where
                for wanted in each.get("extra", ()):
                    yield (target, wanted), where

    def _targets(self, dependency: Mapping[str, Any]) -> Iterable[int]:
        for place in self._places.get(dependency["name"], ()):
            package = self._packages[place]
            if all(package.get(key) == dependency[key] for key in ("version", "source") if key in dependency):
                yield place


def _path(package: Mapping[str, Any]) -> str | None:
    source = package.get("source", {})
    return next((str(source[kind]) for kind in _LOCAL if kind in source), None)


def _locked(package: Mapping[str, Any], marker: str, lock: Lock, root: str) -> Locked:
    name, source = package["name"], package.get("source", {})
    files = [*package.get("wheels", ()), *([package["sdist"]] if "sdist" in package else ())]
    hashes = tuple(dict.fromkeys(each["hash"] for each in files if "hash" in each))
    if "registry" in source:
        registry = source["registry"]
        if "://" in registry:
            lock.comes_from(registry)
        elif (folder := relative(relpath(registry, root))) not in lock.find_links:
            lock.find_links.append(folder)
        return Locked(name, package["version"], marker=marker, hashes=hashes)
    if "git" in source:
        url = urlsplit(source["git"])
        subdirectory = source.get("subdirectory") or next(iter(parse_qs(url.query).get("subdirectory", ())), None)
        address = urlunsplit((url.scheme, url.netloc, url.path, "", ""))
        return Locked(name, source=git_source(address, url.fragment, subdirectory), marker=marker)
    if "url" in source:
        part = f"#subdirectory={source['subdirectory']}" if "subdirectory" in source else ""
        return Locked(name, source=source["url"] + part, marker=marker, hashes=hashes)
    path = _path(package)
    if path is None:
        raise BadLock(FILE, f"nobody knows where {name} comes from")
    return Locked(name, source=relative(relpath(path, root)), marker=marker, hashes=hashes if "path" in source else ())

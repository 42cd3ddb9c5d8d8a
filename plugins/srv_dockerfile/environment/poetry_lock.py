"""poetry.lock: what it pins for production."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from hashlib import sha256
from typing import Any

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name

from srv_dockerfile.environment.constraints import python_marker, specifier
from srv_dockerfile.environment.locked import Lock, Locked, git_source, in_order, relative
from srv_dockerfile.environment.platforms import Grid, Platforms, reached
from srv_dockerfile.errors import BadConstraint, BadLock

FILE = "poetry.lock"
_PRODUCTION = "main"

_Node = tuple[int, str | None]
_Edges = Iterator[tuple[_Node, Platforms]]


def read_poetry_lock(document: Mapping[str, Any], text: str, wanted: Iterable[Mapping[str, Any]]) -> Lock:
    """Return what the lock pins, without groups and extras of the project. Raises BadLock.

    `wanted` are the project's dependencies, as poetry writes them: locks of Poetry 1 do not say which packages are for
    production, so they are walked from there.
    """
    packages = document.get("package")
    metadata = document.get("metadata", {})
    if not isinstance(packages, list):
        raise BadLock(FILE, "it has no packages")
    lock = Lock(requires_python=specifier(str(metadata.get("python-versions", "*"))))
    grid = Grid(text, lock.requires_python)
    if all("groups" in each for each in packages):
        where = {place: _of_group(each, grid) for place, each in enumerate(packages)}
    elif not (wanted := list(wanted)):
        raise BadLock(
            FILE, "it does not say what is for production, and there is no pyproject.toml. Put that beside it"
        )
    else:
        graph = _Graph(packages, grid)
        found = reached([edge for each in wanted for edge in graph.targets(each)], graph.edges)
        where = {place: found.get((place, None), frozenset()) for place in range(len(packages))}
    for place, package in enumerate(packages):
        if where[place]:
            lock.packages.append(_locked(package, grid.marker(where[place]), metadata, lock))
    lock.packages = in_order(lock.packages)
    return lock


def fits(document: Mapping[str, Any], project: Mapping[str, Any]) -> bool:
    """Whether the lock was made of this pyproject.toml, by the hash that Poetry notes in it."""
    noted = document.get("metadata", {}).get("content-hash")
    return noted is None or noted in {_hash(project, groups=groups) for groups in (True, False)}


def _hash(project: Mapping[str, Any], *, groups: bool) -> str:
    # As Poetry computes it; Poetry 1 and 2.0 knew no [dependency-groups].
    said, poetry = project.get("project", {}), project.get("tool", {}).get("poetry", {})
    keys = ("requires-python", "dependencies", "optional-dependencies")
    of_project = {key: said[key] for key in keys if said.get(key) is not None}
    of_groups = project.get("dependency-groups", {}) if groups else {}
    of_poetry = {}
    for key in ("dependencies", "source", "extras", "dev-dependencies", "group"):
        value = poetry.get(key)
        if value is not None or (key != "group" and not of_project and not of_groups):
            of_poetry[key] = value
    content: dict[str, Any] = {"project": of_project} if of_project else {}
    content |= {"dependency-groups": of_groups} if of_groups else {}
    content = {**content, "tool": {"poetry": of_poetry}} if content else of_poetry
    return sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()


def _of_group(package: Mapping[str, Any], grid: Grid) -> Platforms:
    if _PRODUCTION not in package["groups"] or package.get("optional"):
        return frozenset()
    markers = package.get("markers", "")
    if isinstance(markers, Mapping):
        markers = markers.get(_PRODUCTION, "")
    return grid.where(str(markers))


class _Graph:
    def __init__(self, packages: list[Any], grid: Grid) -> None:
        self._packages, self._grid = packages, grid
        self._places: dict[str, list[int]] = {}
        for place, package in enumerate(packages):
            self._places.setdefault(canonicalize_name(package["name"]), []).append(place)

    def edges(self, node: _Node) -> _Edges:
        """Yield what a package, or an extra of it, leads to."""
        place, extra = node
        package = self._packages[place]
        of_extra = {
            canonicalize_name(each.split()[0].split("[")[0]) for each in package.get("extras", {}).get(extra, ())
        }
        for name, said in package.get("dependencies", {}).items():
            for each in said if isinstance(said, list) else [said]:
                table = {"version": each} if isinstance(each, str) else each
                if (canonicalize_name(name) in of_extra) if table.get("optional") else extra is None:
                    yield from self.targets({**table, "name": name})

    def targets(self, said: Mapping[str, Any]) -> _Edges:
        """Yield the packages that a dependency means, and their extras, with where it holds."""
        if said.get("optional") and "name" not in said:
            return
        marker = _without_extra(str(said.get("markers", "")))
        where = self._grid.where(marker) & self._grid.where(python_marker(str(said.get("python", "*"))))
        for place in self._places.get(canonicalize_name(said["name"]), ()):
            package = self._packages[place]
            here = where & self._grid.where(python_marker(str(package.get("python-versions", "*"))))
            if _satisfies(package["version"], said.get("version")):
                yield (place, None), here
                for extra in said.get("extras", ()):
                    yield (place, extra), here


def _without_extra(marker: str) -> str:
    """Return a marker without its condition on an extra, which the walk has looked at."""
    kept = [part for part in marker.split(" and ") if "extra ==" not in part]
    return " and ".join(kept)


def _satisfies(version: str, constraint: Any) -> bool:
    try:
        return not isinstance(constraint, str) or SpecifierSet(specifier(constraint)).contains(
            version, prereleases=True
        )
    except (InvalidSpecifier, BadConstraint):
        return True  # a union, say: all that the lock has of that name


def _locked(package: Mapping[str, Any], marker: str, metadata: Mapping[str, Any], lock: Lock) -> Locked:
    name, source = canonicalize_name(package["name"]), package.get("source", {})
    files = package.get("files") or metadata.get("files", {}).get(package["name"], ())
    hashes = tuple(dict.fromkeys(each["hash"] for each in files))
    kind, url = source.get("type"), str(source.get("url", ""))
    if kind in (None, "legacy"):
        if kind is None:
            lock.is_public = True
        else:
            lock.comes_from(url)
        return Locked(name, package["version"], marker=marker, hashes=hashes)
    if kind == "git":
        revision = source["resolved_reference"]
        return Locked(name, source=git_source(url, revision, source.get("subdirectory")), marker=marker)
    if kind == "url":
        return Locked(name, source=url, marker=marker, hashes=hashes)
    if kind in ("file", "directory"):
        return Locked(name, source=relative(url), marker=marker, hashes=hashes if kind == "file" else ())
    raise BadLock(FILE, f"nobody knows where {name} comes from")

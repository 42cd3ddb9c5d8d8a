"""pyproject.toml: what the project depends on, and the Pythons that it is for."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from srv_dockerfile.environment.constraints import python_marker, specifier
from srv_dockerfile.environment.locked import Lock, git_source, relative
from srv_dockerfile.errors import BadConstraint, BadProject

FILE = "pyproject.toml"


@dataclass(frozen=True)
class Project:
    """A pyproject.toml."""

    document: Mapping[str, Any]
    _project: Mapping[str, Any] = field(default_factory=dict)
    _poetry: Mapping[str, Any] = field(default_factory=dict)
    _uv: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_environment(self) -> bool:
        """Whether it says what it depends on."""
        return "dependencies" in self._project or "dependencies" in self._poetry

    @property
    def requires_python(self) -> str:
        """The Pythons that it is for, as `requires-python` says it; empty for all."""
        said = self._project.get("requires-python")
        if isinstance(said, str):
            return said
        constraint = self._poetry.get("dependencies", {}).get("python", "*")
        try:
            return specifier(constraint) if isinstance(constraint, str) else ""
        except BadConstraint:
            return ""

    def tables(self) -> tuple[Mapping[str, Any], Mapping[str, Any], Mapping[str, Any]]:
        """Return the tables `project`, `tool.poetry` and `tool`; empty ones where there is none."""
        return self._project, self._poetry, self.document.get("tool", {})

    def poetry_dependencies(self) -> Iterator[dict[str, Any]]:
        """Yield what it depends on in production as Poetry writes it, each with its name."""
        for line in self._project.get("dependencies", ()):
            said = _requirement(line)
            marker = "" if said.marker is None else str(said.marker)
            yield {
                "name": said.name,
                "version": str(said.specifier) or "*",
                "markers": marker,
                "extras": [*said.extras],
            }
        for name, said in self._poetry.get("dependencies", {}).items():
            for each in said if isinstance(said, list) else [said]:
                table = {"version": each} if isinstance(each, str) else dict(each)
                if canonicalize_name(name) != "python" and not table.get("optional"):
                    yield {**table, "name": name}

    def requirements(self) -> Lock:
        """Return what it depends on in production, as a lock that pins nothing. Raises BadProject, BadConstraint."""
        lock = Lock(requires_python=self.requires_python)
        sources: dict[str, Any] = {canonicalize_name(name): said for name, said in self._uv.get("sources", {}).items()}
        lock.lines = [_line(line, sources) for line in self._project.get("dependencies", ())]
        if not lock.lines:
            lock.lines = [_of_poetry(said) for said in self.poetry_dependencies()]
        self._add_indexes(lock)
        return lock

    def _add_indexes(self, lock: Lock) -> None:
        lock.is_public = True
        for index in self._uv.get("index", ()):
            lock.is_public = lock.is_public and not index.get("default")
            lock.comes_from(index["url"])
        for source in self._poetry.get("source", ()):
            if "url" in source:
                lock.is_public = lock.is_public and source.get("priority") not in ("primary", "default")
                lock.comes_from(source["url"])

    def differs_from(self, locked: Iterable[Mapping[str, Any]]) -> str | None:
        """Return the name of a dependency that uv's lock has otherwise than the project; None if all are alike."""
        if "dependencies" in self._project.get("dynamic", ()):
            return None
        optional = self._project.get("optional-dependencies", {})
        mine = {_key(each) for each in map(_requirement, self._project.get("dependencies", ()))}
        of_extras = {_key(each) for lines in optional.values() for each in map(_requirement, lines)}
        noted = {_noted(each) for each in locked}
        odd = (mine - noted) or (noted - mine - of_extras)
        return min(odd)[0] if odd else None


def read_project(folder: Path) -> Project | None:
    """Return the folder's pyproject.toml, or None without one. Raises BadProject."""
    try:
        document = tomllib.loads((folder / FILE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise BadProject(f"it is no TOML ({error})") from None
    tool = document.get("tool", {})
    return Project(document, document.get("project", {}), tool.get("poetry", {}), tool.get("uv", {}))


def _line(line: Any, sources: Mapping[str, Any]) -> str:
    """Return a dependency from where uv's sources have it. Raises BadProject."""
    said = _requirement(line)
    source = sources.get(canonicalize_name(said.name))
    for each in source if isinstance(source, list) else [source]:
        if isinstance(each, Mapping) and each.get("workspace"):
            raise BadProject(f"{said.name} comes from the workspace. Run 'uv lock' here, or name where it lies")
        if isinstance(each, Mapping) and (place := _place(each)) is not None:
            return _direct(said.name, said.extras, place, "" if said.marker is None else str(said.marker))
    return str(said)


def _requirement(line: Any) -> Requirement:
    try:
        return Requirement(line)
    except (InvalidRequirement, TypeError):
        raise BadProject(f"the dependency '{line}' cannot be read") from None


def _key(said: Requirement) -> tuple[str, frozenset[str], frozenset[str]]:
    return canonicalize_name(said.name), frozenset(map(str, said.specifier)), frozenset(said.extras)


def _noted(said: Mapping[str, Any]) -> tuple[str, frozenset[str], frozenset[str]]:
    return (*_key(Requirement(said["name"] + said.get("specifier", "")))[:2], frozenset(said.get("extras", ())))


def _of_poetry(said: Mapping[str, Any]) -> str:
    """Return a dependency of Poetry's as pip reads it. Raises BadConstraint."""
    markers = [str(said["markers"])] if said.get("markers") else []
    if "python" in said:
        markers.append(python_marker(said["python"]))
    marker = " and ".join(f"({each})" if " or " in each else each for each in markers if each)
    place = _place(said)
    if place is not None:
        return _direct(said["name"], said.get("extras", ()), place, marker)
    extras = f"[{','.join(said['extras'])}]" if said.get("extras") else ""
    return f"{said['name']}{extras}{specifier(str(said.get('version', '*')))}" + (f" ; {marker}" if marker else "")


def _place(said: Mapping[str, Any]) -> str | None:
    """Return where a dependency comes from that no index has: an address, or a path that begins with `./`."""
    if "git" in said:
        revision = next((str(said[key]) for key in ("rev", "tag", "branch") if key in said), "HEAD")
        return git_source(said["git"], revision, said.get("subdirectory"))
    if "url" in said:
        return str(said["url"])
    path = said.get("path", said.get("file"))
    return None if path is None else relative(str(path))


def _direct(name: str, extras: Iterable[str], place: str, marker: str) -> str:
    chosen = f"[{','.join(sorted(extras))}]" if extras else ""
    said = f"{place}{chosen}" if place.startswith((".", "/")) else f"{name}{chosen} @ {place}"
    return f"{said} ; {marker}" if marker else said

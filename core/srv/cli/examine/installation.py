"""Examines the installation: Python, versions, files that two packages own, stale metadata, shadowed imports."""

from __future__ import annotations

import configparser
import json
import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import importlib_metadata
from packaging.requirements import InvalidRequirement, Requirement
from packaging.version import InvalidVersion, Version

import srv
from srv.cli.examine.finding import Finding, advice, problem
from srv.discovery import Plugins, normalised
from srv.discovery.files import overlapping
from srv.discovery.metadata import Distribution
from srv.discovery.plugin import GROUPS, OURS
from srv.errors import listed, nearest
from srv.version import __version__

OLDEST_PYTHON = (3, 11)

EntryPoints = dict[str, dict[str, str]]


def examine(found: Plugins) -> Iterator[Finding]:
    """Findings about what is installed, and how."""
    brings = sorted({normalised(row.distribution) for row in found.rows} | {OURS})
    yield from _python()
    yield from _own_metadata()
    for distribution in brings:
        yield from _requirements(distribution)
    for each in found.metadata.distributions:
        if not each.trouble:
            yield from _stale(each)
    yield from _misspelt_groups()
    yield from _hidden(found, brings)
    yield from _overlaps(brings)
    yield from _shadows(found)


def _python() -> Iterator[Finding]:
    if sys.version_info < OLDEST_PYTHON:
        yield problem(
            "Python",
            f"This is Python {sys.version.split()[0]}, and srv needs 3.11 or newer.",
            "Make a virtual environment with a newer Python and install srv there.",
        )


def _own_metadata() -> Iterator[Finding]:
    distribution = _distribution(OURS)
    if distribution is None:
        yield problem(
            OURS,
            f"srv is imported from {Path(srv.__file__).parent}, and no distribution {OURS} is installed, so its own "
            "plugins are not found.",
            "Install it: pip install srv-inference, or pip install -e . in a checkout.",
        )
    elif distribution.version != __version__:
        yield problem(
            OURS,
            f"srv is version {__version__}, and its metadata says {distribution.version}.",
            "Install it again: pip install --force-reinstall srv-inference, or pip install -e . in a checkout.",
        )


def _requirements(name: str) -> Iterator[Finding]:
    """Requirements of srv and of what brings plugins that the installed versions do not meet."""
    for line in _declared(_distribution(name)):
        try:
            requirement = Requirement(line)
        except InvalidRequirement:
            yield advice(name, f"{name} requires '{line}', which pip cannot read.", "Tell its author.")
            continue
        if normalised(requirement.name) == OURS:
            continue  # discovery refuses what shuts this srv out, and that is told as such
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        needed = _distribution(requirement.name)
        if needed is None:
            yield problem(
                name,
                f"{name} requires {requirement.name}, which is not installed.",
                f"pip install '{requirement}'",
            )
        elif not _admits(requirement, needed):
            yield problem(
                name,
                f"{name} requires {requirement.name} {requirement.specifier}, and {_version(needed)} is installed.",
                f"pip install '{requirement.name}{requirement.specifier}'",
            )


def _declared(distribution: Any) -> Iterable[str]:
    """What a distribution requires; nothing where its metadata cannot be read, which discovery tells."""
    try:
        return tuple(distribution.requires or ())
    except Exception:  # noqa: BLE001 - importlib_metadata raises a different error for each way to be broken
        return ()


def _version(distribution: Any) -> str:
    try:
        return str(distribution.version or "an unknown version")
    except Exception:  # noqa: BLE001 - as above
        return "an unknown version"


def _admits(requirement: Requirement, distribution: Any) -> bool:
    try:
        return requirement.specifier.contains(Version(_version(distribution)), prereleases=True)
    except InvalidVersion:
        return not requirement.specifier


def _stale(distribution: Distribution) -> Iterator[Finding]:
    """An editable installation whose entry points are not those of its source any more."""
    source = _editable_source(_distribution(distribution.name))
    written = _written_entry_points(source) if source is not None else None
    if written is None:
        return
    installed: EntryPoints = {}
    for entry in distribution.entries:
        installed.setdefault(entry.group, {})[entry.name] = entry.written
    changed = sorted(
        f"{group}: {entry}"
        for group in GROUPS
        for entry in {*installed.get(group, {}), *written.get(group, {})}
        if installed.get(group, {}).get(entry) != written.get(group, {}).get(entry)
    )
    if changed:
        yield problem(
            distribution.name,
            f"{distribution.name} is installed from {source}, and its entry points have changed since: "
            f"{', '.join(changed)}.",
            f"pip install -e {source}",
        )


def _editable_source(distribution: Any) -> Path | None:
    text = distribution.read_text("direct_url.json") if distribution is not None else None
    try:
        origin = json.loads(text) if text else {}
    except ValueError:
        return None
    if not origin.get("dir_info", {}).get("editable"):
        return None
    folder = Path(unquote(urlsplit(origin.get("url", "")).path))
    return folder if folder.is_dir() else None


def _written_entry_points(source: Path) -> EntryPoints | None:
    """The entry points of our groups as setup.cfg or pyproject.toml has them; None where neither has any."""
    try:
        if (source / "pyproject.toml").is_file():
            project = tomllib.loads((source / "pyproject.toml").read_text()).get("project", {})
            if "entry-points" in project:
                return _ours(project["entry-points"])
        parser = configparser.ConfigParser(interpolation=None, delimiters=("=",))
        parser.optionxform = str  # type: ignore[assignment,method-assign]  # configparser documents this very line
        parser.read(source / "setup.cfg")
        if parser.has_section("options.entry_points"):
            return _ours({group: _pairs(text) for group, text in parser.items("options.entry_points")})
    except (OSError, ValueError, configparser.Error):
        return None
    return None


def _misspelt_groups() -> Iterator[Finding]:
    """Entry points in a group that is nearly one of ours, which nobody reads."""
    for distribution in importlib_metadata.distributions():
        text = distribution.read_text("entry_points.txt") or ""
        groups = {line.strip()[1:-1].strip() for line in text.splitlines() if line.lstrip().startswith("[")}
        for group in sorted(groups.difference(GROUPS)):
            if group.partition(".")[0] == "srv":
                known = nearest(group, GROUPS) or f" srv reads {listed(GROUPS)}."
                yield advice(
                    distribution.name,
                    f"{distribution.name} has entry points in the group '{group}', which srv does not read.{known}",
                    f"Tell its author; or correct it and install it again, if {distribution.name} is yours.",
                )


def _pairs(text: str) -> dict[str, str]:
    pairs = (line.partition("=") for line in text.splitlines() if line.strip())
    return {name.strip(): value for name, _, value in pairs}


def _ours(groups: Mapping[str, Mapping[str, str]]) -> EntryPoints:
    return {
        group: {name: "".join(value.split()) for name, value in entries.items()}
        for group, entries in groups.items()
        if group in GROUPS and entries
    }


def _hidden(found: Plugins, brings: Iterable[str]) -> Iterator[Finding]:
    for hidden in found.metadata.shadowed:
        source = _editable_source(_distribution(hidden.name))
        if source is not None and Path(hidden.location).resolve().is_relative_to(source.resolve()):
            continue  # what the build left beside the source, which is on the path because it is installed editable
        if hidden.name in brings:
            yield advice(
                hidden.name,
                f"{hidden.name} is installed twice: {hidden.first} hides {hidden.location}.",
                "Uninstall one of them.",
            )


def _overlaps(brings: Iterable[str]) -> Iterator[Finding]:
    shared: dict[tuple[str, ...], list[str]] = {}
    for file, owners in overlapping(brings).items():
        shared.setdefault(tuple(owners), []).append(file)
    for together, files in shared.items():
        more = f" and {len(files) - 1} more" if len(files) > 1 else ""
        yield problem(
            together[0],
            f"{' and '.join(together)} both own {files[0]}{more}: the one that was installed last has overwritten it.",
            f"Uninstall one of them, and install the other again: pip install --force-reinstall {together[0]}",
        )


def _shadows(found: Plugins) -> Iterator[Finding]:
    """Folders and modules here that are imported, or could be, in place of srv or of a plugin of ours."""
    home = Path(srv.__file__).parent
    here = Path.cwd()
    packages = {"srv"} | {row.entry_point.partition(":")[0].partition(".")[0] for row in found.rows if row.ours}
    for package in sorted(packages):
        for place in (here / package, here / f"{package}.py"):
            if place.exists() and place != home and not _is_home_of(package, place):
                yield advice(
                    package,
                    f"{place} has the name of srv's own package '{package}', and `python -m srv` from here could "
                    "import it instead.",
                    "Rename it, or use `srv` or `python -P -m srv`.",
                )


def _is_home_of(package: str, place: Path) -> bool:
    """Whether a place is what the name means anyway."""
    try:
        spec = find_spec(package)
    except (ImportError, ValueError):
        return False
    return spec is not None and spec.origin is not None and Path(spec.origin).parent == place


def _distribution(name: str) -> Any:
    try:
        return importlib_metadata.distribution(name)
    except importlib_metadata.PackageNotFoundError:
        return None

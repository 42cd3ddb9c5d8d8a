"""Findings about the installation: Python, versions, files that two packages own, stale metadata, shadowed imports."""

from __future__ import annotations

import configparser
import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from packaging.requirements import InvalidRequirement, Requirement
from packaging.version import InvalidVersion, Version

import srv
from srv.cli.diagnostics.finding import Finding, advice, problem
from srv.discovery import Plugins, normalised
from srv.discovery.files import overlapping
from srv.discovery.metadata import Distribution, distribution_called, installed
from srv.discovery.origins import is_editable, origin
from srv.discovery.plugin import GROUPS, OURS
from srv.errors import listed, nearest
from srv.version import __version__

OLDEST_PYTHON = (3, 11)
#: Requirements that srv can do without; a function of their own gives advice.
DISPENSABLE = frozenset({"pysimdjson"})

EntryPoints = dict[str, dict[str, str]]


def examine(found: Plugins) -> Iterator[Finding]:
    """Yield findings about what is installed, and how."""
    brings = sorted({normalised(row.distribution) for row in found.rows} | {OURS})
    yield from _python()
    yield from _own_metadata()
    yield from _simdjson()
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
    distribution = distribution_called(OURS)
    if distribution is None:
        yield problem(
            OURS,
            f"srv is imported from {Path(srv.__file__).parent}, and no distribution {OURS} is installed, so its own "
            "plugins are not found.",
            "Install it: pip install srv-inference, or pip install -e . in a checkout.",
        )
    elif _version(distribution) != __version__:
        yield problem(
            OURS,
            f"srv is version {__version__}, and its metadata says {_version(distribution)}.",
            "Install it again: pip install --force-reinstall srv-inference, or pip install -e . in a checkout.",
        )


def _simdjson() -> Iterator[Finding]:
    if find_spec("simdjson") is None:
        yield advice(
            "pysimdjson",
            "pysimdjson is not installed: numbers in JSON are read by orjson, with the same answers, but large inputs "
            "take several times as long to read.",
            "pip install pysimdjson, if there is a wheel for this Python and platform; or send large inputs as binary "
            "data.",
        )


def _requirements(name: str) -> Iterator[Finding]:
    """Yield requirements of srv and of plugins' distributions that the installed versions do not meet."""
    for line in _declared(distribution_called(name)):
        try:
            requirement = Requirement(line)
        except InvalidRequirement:
            yield advice(name, f"{name} requires '{line}', which pip cannot read.", "Tell its author.")
            continue
        if normalised(requirement.name) == OURS:
            continue  # discovery refuses what shuts this srv out, and that is told as such
        if not _applies(requirement):
            continue
        needed = distribution_called(requirement.name)
        if needed is None and normalised(requirement.name) in DISPENSABLE:
            continue
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


def _applies(requirement: Requirement) -> bool:
    try:
        return requirement.marker is None or requirement.marker.evaluate({"extra": ""})
    except ValueError:  # a marker that packaging cannot evaluate
        return False


def _declared(distribution: Any) -> Iterable[str]:
    """Return what a distribution requires; nothing if its metadata cannot be read, which discovery reports."""
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
    """Yield editable installations whose entry points differ from those of their source."""
    source = _editable_source(distribution_called(distribution.name))
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
    direct = None if distribution is None else origin(distribution)
    if direct is None or not is_editable(direct):
        return None
    try:
        folder = Path(unquote(urlsplit(direct["url"]).path))
        return folder if folder.is_dir() else None
    except (ValueError, OSError):  # no address
        return None


def _written_entry_points(source: Path) -> EntryPoints | None:
    """Return the entry points of our groups in setup.cfg or pyproject.toml; None if neither has any."""
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
    except (OSError, ValueError, AttributeError, TypeError, configparser.Error):
        return None
    return None


def _misspelt_groups() -> Iterator[Finding]:
    """Yield entry points in a group that is nearly one of ours, which nothing reads."""
    for distribution in installed():
        try:
            text = distribution.read_text("entry_points.txt") or ""
            name = str(distribution.name)
        except Exception:  # noqa: BLE001, S112 - discovery tells of what it could not read
            continue
        groups = {line.strip()[1:-1].strip() for line in text.splitlines() if line.lstrip().startswith("[")}
        for group in sorted(groups.difference(GROUPS)):
            if group.partition(".")[0] == "srv":
                known = nearest(group, GROUPS) or f" srv reads {listed(GROUPS)}."
                yield advice(
                    name,
                    f"{name} has entry points in the group '{group}', which srv does not read.{known}",
                    f"Tell its author; or correct it and install it again, if {name} is yours.",
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
        source = _editable_source(distribution_called(hidden.name))
        if source is not None and Path(hidden.location).resolve().is_relative_to(source.resolve()):
            continue  # what the build left beside the source, which is on the path because it is installed editable
        if not (hidden.brings or hidden.name in brings):
            continue
        if hidden.metadata == hidden.metadata_of_first:
            yield advice(
                hidden.name,
                f"pip was stopped while it replaced or removed {hidden.name[1:]}, and left {hidden.metadata}.",
                f"Delete {hidden.metadata}.",
            )
        elif hidden.left_over:
            yield advice(
                hidden.name,
                f"{hidden.name} is installed twice: {hidden.metadata_of_first} counts, and {hidden.metadata} is left "
                "over, without files of its own.",
                f"Delete {hidden.metadata}.",
            )
        else:
            yield advice(
                hidden.name,
                f"{hidden.name} is installed twice: {hidden.first} hides {hidden.location}.",
                f"Uninstall one of them; their metadata is {hidden.metadata_of_first} and {hidden.metadata}.",
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
    """Yield folders and modules here that are imported, or could be, in place of srv or of a plugin of ours."""
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
    """Whether a place is where the module is imported from anyway."""
    try:
        spec = find_spec(package)
    except (ImportError, ValueError):
        return False
    return spec is not None and spec.origin is not None and Path(spec.origin).parent == place

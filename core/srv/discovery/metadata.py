"""What installed distributions say of themselves, read in one pass and without importing any of them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import importlib_metadata

from srv.discovery.plugin import GROUPS, OURS, normalised

_VALUE = re.compile(r"(?P<target>[\w.]+(\s*:\s*[\w.]+)?)\s*(\[(?P<extras>[^\]]*)\])?\s*$")
_REQUIRED_NAME = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)")


class _Malformed(ValueError):
    """A line of entry_points.txt that says nothing."""


class Entry(NamedTuple):
    """One line of entry_points.txt; its extras are the files that a runtime recognises."""

    group: str
    name: str
    value: str
    extras: tuple[str, ...]

    @property
    def written(self) -> str:
        """Value and extras as one text without blanks."""
        return f"{self.value}[{','.join(self.extras)}]" if self.extras else self.value


class Distribution(NamedTuple):
    """An installed distribution that brings plugins; `trouble` says why its metadata could not be read."""

    name: str
    version: str
    location: str
    entries: tuple[Entry, ...] = ()
    #: Its requirements on srv-inference, as written.
    requires: tuple[str, ...] = ()
    trouble: str = ""


class Shadowed(NamedTuple):
    """A second distribution of a name: Python imports the first on its path, so its metadata counts alone."""

    name: str
    location: str
    first: str


class Metadata(NamedTuple):
    """All that was read: who brings plugins, sorted by name, and who is hidden behind a namesake."""

    distributions: tuple[Distribution, ...]
    shadowed: tuple[Shadowed, ...] = ()


def read_metadata(path: list[str] | None = None) -> Metadata:
    """Read the entry points of every distribution on the path (`sys.path` if none), each for itself."""
    first_of: dict[str, tuple[str, str]] = {}
    found: list[Distribution] = []
    shadowed: list[Shadowed] = []
    for place in installed(path):
        name = _name_of(place)
        location = str(place.locate_file(""))
        metadata = str(getattr(place, "_path", location))
        if name in first_of:
            first, of_first = first_of[name]
            if first != location:
                shadowed.append(Shadowed(name, location, first))
            elif of_first != metadata:  # what a broken upgrade leaves: two versions' metadata side by side
                shadowed.append(Shadowed(name, metadata, of_first))
            continue
        first_of[name] = location, metadata
        read = _read(place, name, location)
        if read is not None:
            found.append(read)
    found.sort(key=lambda distribution: normalised(distribution.name))
    return Metadata(tuple(found), tuple(dict.fromkeys(shadowed)))  # a folder may be on the path twice


def installed(path: list[str] | None = None) -> Iterable[Any]:
    """All distributions on the path, namesakes too; Any because importlib_metadata's types change with its versions."""
    return importlib_metadata.distributions() if path is None else importlib_metadata.distributions(path=path)


def _name_of(place: Any) -> str:
    """The name from the folder's, where it says one, because parsing every METADATA would double the time."""
    try:
        return normalised(str(place._normalized_name))
    except Exception:  # noqa: BLE001 - a distribution without a readable name must not hide the others
        return ""


def _read(place: Any, name: str, location: str) -> Distribution | None:
    """What a distribution brings, or None where it brings nothing to srv."""
    try:
        text = place.read_text("entry_points.txt")
        if not text or not ("srv." in text or _starts_badly(text)):
            return None
        entries = tuple(_entries(text))
    except Exception as error:  # noqa: BLE001 - whatever one distribution holds, the others are still read
        return Distribution(name, _version_of(place), location, trouble=_as_sentence(error))
    if not entries:
        return None
    try:
        head = _head_of(place)
    except Exception as error:  # noqa: BLE001 - as above
        return Distribution(name, "unknown", location, trouble=_as_sentence(error))
    return Distribution(
        name=next(iter(head.get("name", ())), name) or name,
        version=next(iter(head.get("version", ())), "unknown"),
        location=location,
        entries=entries,
        requires=tuple(line for line in head.get("requires-dist", ()) if _is_on_us(line)),
    )


def _starts_badly(text: str) -> bool:
    """Whether something stands before the first section, so that nobody can know what it means."""
    for line in text.splitlines():
        stripped = line.strip()
        if stripped and not stripped.startswith(("#", ";")):
            return not stripped.startswith("[")
    return False


def _entries(text: str) -> Iterator[Entry]:
    """The lines of our groups; raises where any line is not one that packaging knows."""
    group = ""
    seen: set[tuple[str, str]] = set()
    for number, line in enumerate(text.splitlines(), start=1):
        stripped = line.strip()
        if not stripped or stripped.startswith(("#", ";")):
            continue
        if stripped.startswith("["):
            if not stripped.endswith("]"):
                raise _Malformed(f"line {number} opens a section and does not close it")
            group = stripped[1:-1].strip()
            continue
        name, equals, value = (part.strip() for part in stripped.partition("="))
        if not group:
            raise _Malformed(f"line {number} stands in no section")
        if not equals or not name:
            raise _Malformed(f"line {number} is not 'name = module:object'")
        if group not in GROUPS:
            continue
        match = _VALUE.match(value)
        if match is None:
            raise _Malformed(f"line {number} is not 'name = module:object'")
        if (group, name) in seen:
            raise _Malformed(f"line {number} names '{name}' a second time")
        seen.add((group, name))
        extras = tuple(extra.strip() for extra in (match["extras"] or "").split(",") if extra.strip())
        yield Entry(group, name, re.sub(r"\s", "", match["target"]), extras)


def _head_of(place: Any) -> dict[str, list[str]]:
    """The headers of METADATA, read by hand because the email parser costs ten times as much."""
    text = place.read_text("METADATA") or place.read_text("PKG-INFO")  # which is what a checkout has
    if not text:
        parsed = place.metadata
        return {
            "name": [parsed["Name"] or ""],
            "version": [parsed["Version"] or "unknown"],
            "requires-dist": list(place.requires or ()),
        }
    head: dict[str, list[str]] = {}
    key = ""
    for line in text.splitlines():
        if not line.strip():
            break
        if line[0] in " \t":
            if key:
                head[key][-1] += " " + line.strip()
            continue
        key, _, value = line.partition(":")
        key = key.strip().lower()
        head.setdefault(key, []).append(value.strip())
    return head


def _is_on_us(requirement: str) -> bool:
    match = _REQUIRED_NAME.match(requirement)
    return match is not None and normalised(match[1]) == OURS


def _version_of(place: Any) -> str:
    try:
        return next(iter(_head_of(place).get("version", ())), "unknown")
    except Exception:  # noqa: BLE001 - the row says already that the metadata cannot be read
        return "unknown"


def _as_sentence(error: Exception) -> str:
    if isinstance(error, _Malformed):
        return f"entry_points.txt is unreadable: {error}"
    return f"its metadata is unreadable: {type(error).__name__}"

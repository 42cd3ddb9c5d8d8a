"""Metadata of installed distributions, read in one pass and without importing any of them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePath
from types import MappingProxyType
from typing import Any, NamedTuple

import importlib_metadata

from srv.discovery.extras import missing_of_extras
from srv.discovery.installations import Wholeness, whole_one, wholeness
from srv.discovery.plugin import GROUPS, OURS, normalised

_VALUE = re.compile(r"(?P<target>[\w.]+(\s*:\s*[\w.]+)?)\s*(\[(?P<extras>[^\]]*)\])?\s*$")
_REQUIRED_NAME = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)")


class _Malformed(ValueError):
    """A line of entry_points.txt that cannot be read."""


class Entry(NamedTuple):
    """One line of entry_points.txt; what stands in brackets are extras, or files that a runtime recognises."""

    group: str
    name: str
    value: str
    extras: tuple[str, ...]

    @property
    def written(self) -> str:
        """Return value and extras as one text without blanks."""
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
    #: The extras that its entry points name, each with what of it is not installed; empty where all is there.
    extras: Mapping[str, str] = MappingProxyType({})


class Shadowed(NamedTuple):
    """A second installation of a distribution, whose metadata does not count, and the first, whose metadata counts.

    `location` and `first` are folders of the path, or of the metadata where both lie in one folder. A `left_over`
    installation lacks its own files and can be deleted; otherwise the other one counts because it is first on the path.
    `brings` says whether either of the two brings plugins.
    """

    name: str
    location: str
    first: str
    metadata: str = ""
    metadata_of_first: str = ""
    left_over: bool = False
    brings: bool = True


class Metadata(NamedTuple):
    """The distributions that bring plugins, sorted by name, and second installations of distributions."""

    distributions: tuple[Distribution, ...]
    shadowed: tuple[Shadowed, ...] = ()


def read_metadata(path: list[str] | None = None) -> Metadata:
    """Read the entry points of every distribution on the path (`sys.path` if none), each in a try of its own.

    Of several installations of one distribution the one counts that has its files, else the first on the path.
    """
    named: dict[str, list[Any]] = {}
    for place in installed(path):
        named.setdefault(_name_of(place) or _metadata_of(place), []).append(place)
    found: list[Distribution] = []
    shadowed: list[Shadowed] = []
    for name, namesakes in named.items():
        places = namesakes if len(namesakes) == 1 else _apart(namesakes)
        counts = 0 if len(places) == 1 else whole_one(places, [_packages(place) for place in places])
        if not _is_remnant(name):
            read = _read(places[counts], name)
            if read is not None:
                found.append(read)
        for index, place in enumerate(places):
            if index != counts or _is_remnant(name):
                shadowed.append(_shadowed(name, place, places[counts]))
    found.sort(key=lambda distribution: normalised(distribution.name))
    return Metadata(tuple(found), tuple(shadowed))


def _apart(places: Iterable[Any]) -> list[Any]:
    """Leave out a folder that is on the path twice."""
    apart: dict[str, Any] = {}
    for place in places:
        apart.setdefault(_metadata_of(place), place)
    return list(apart.values())


def distribution_called(name: str) -> Any:
    """Return the installed distribution of that name, the one that counts if there are several; None without one."""
    places = _apart(importlib_metadata.distributions(name=name)) if name else []
    if len(places) < 2:
        return places[0] if places else None
    return places[whole_one(places, [_packages(place) for place in places])]


def _is_remnant(name: str) -> bool:
    """Whether pip was stopped while it removed or replaced the distribution, which pip renames with a leading ~."""
    return name.startswith("~")


def _shadowed(name: str, place: Any, first: Any) -> Shadowed:
    location, of_first = str(place.locate_file("")), str(first.locate_file(""))
    metadata, metadata_of_first = _metadata_of(place), _metadata_of(first)
    packages, of_both = _packages(place), [*_packages(place), *_packages(first)]
    side_by_side = location == of_first
    left_over = _is_remnant(name) or side_by_side or wholeness(place, packages) < Wholeness.OTHER_FILES
    return Shadowed(
        name,
        metadata if side_by_side else location,
        metadata_of_first if side_by_side else of_first,
        metadata,
        metadata_of_first,
        left_over,
        bool(of_both),
    )


def _metadata_of(place: Any) -> str:
    return str(getattr(place, "_path", place.locate_file("")))


def _packages(place: Any) -> list[str]:
    """Return the packages that entry points of our groups name; none if they cannot be read."""
    try:
        entries = list(_entries(place.read_text("entry_points.txt") or ""))
    except Exception:  # noqa: BLE001 - whatever one distribution holds, the others are still read
        return []
    return sorted({entry.value.partition(":")[0].partition(".")[0] for entry in entries})


def installed(path: list[str] | None = None) -> Iterable[Any]:
    """Return all distributions on the path, also several of one name; Any, as importlib_metadata's types vary."""
    return importlib_metadata.distributions() if path is None else importlib_metadata.distributions(path=path)


def _name_of(place: Any) -> str:
    """Return the name from the folder's name if it says one, because parsing every METADATA would double the time."""
    try:
        return normalised(str(place._normalized_name))
    except Exception:  # noqa: BLE001 - a distribution without a readable name must not hide the others
        return ""


def _read(place: Any, name: str) -> Distribution | None:
    """Return what a distribution brings, or None if it brings nothing to srv."""
    location = str(place.locate_file(""))
    try:
        text = _text(place, "entry_points.txt")
        if not text or not ("srv." in text or _starts_badly(text)):
            return None
        entries = tuple(_entries(text))
    except Exception as error:  # noqa: BLE001 - whatever one distribution holds, the others are still read
        return Distribution(name, _version_of(place), location, trouble=_as_sentence(error))
    if not entries:
        return None
    try:
        head = _head_of(place)
        written = _written_name(head, name)
        extras = missing_of_extras(written, [extra for entry in entries for extra in entry.extras], head)
    except Exception as error:  # noqa: BLE001 - as above
        return Distribution(name, "unknown", location, trouble=_as_sentence(error))
    return Distribution(
        name=written,
        version=next(iter(head.get("version", ())), "unknown"),
        location=location,
        entries=entries,
        requires=tuple(line for line in head.get("requires-dist", ()) if _is_on_us(line)),
        extras=extras,
    )


def _written_name(head: dict[str, list[str]], name: str) -> str:
    """Return the name as its author writes it; the folder's if METADATA has none, or another distribution's."""
    written = next(iter(head.get("name", ())), "")
    return written if written and normalised(written) == normalised(name) else name or written


def _text(place: Any, file: str) -> str | None:
    """Return a file of the metadata, or None if there is none. Raises OSError for one that cannot be read."""
    folder = getattr(place, "_path", None)
    if not isinstance(folder, Path):  # a zip file, for example
        text: str | None = place.read_text(file)
        return text
    path = f"{folder}/{file}"
    try:
        with open(path, encoding="utf-8") as opened:  # noqa: PTH123 - half the time, for each installed distribution
            return opened.read()
    except (FileNotFoundError, NotADirectoryError):
        if os.path.islink(path):  # noqa: PTH114 - as above
            raise
        return None


def _starts_badly(text: str) -> bool:
    """Whether text stands before the first section, so that its meaning is unknown."""
    for line in text.splitlines():
        stripped = line.strip()
        if stripped and not stripped.startswith(("#", ";")):
            return not stripped.startswith("[")
    return False


def _entries(text: str) -> Iterator[Entry]:
    """Return the lines of our groups. Raises _Malformed for a line that packaging does not know."""
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
    """Return the headers of METADATA, read by hand because the email parser costs ten times as much."""
    text = _text(place, "METADATA") or _text(place, "PKG-INFO")  # which is what a checkout has
    if not text:
        parsed = place.metadata
        return {
            "name": [parsed["Name"] or ""],
            "version": [parsed["Version"] or "unknown"],
            "requires-dist": list(place.requires or ()),
            "provides-extra": list(parsed.get_all("Provides-Extra") or ()),
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
    if isinstance(error, OSError):
        file = PurePath(error.filename or "a file").name
        return f"its metadata is unreadable: {file}: {error.strerror or type(error).__name__}"
    return f"its metadata is unreadable: {type(error).__name__}"

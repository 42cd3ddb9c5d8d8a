"""The interpreters and machines that an image may have, and for which of them a marker holds."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple, TypeVar

from packaging.markers import InvalidMarker, Marker, UndefinedComparison, UndefinedEnvironmentName
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion

MACHINES = ("x86_64", "aarch64")
#: srv's oldest Python, and the newest that there is; what holds for the newest is taken to hold for those after it.
OLDEST, NEWEST = 11, 15

#: A version of Python in a marker or in requires-python; nothing between two of them makes a difference.
_BOUND = re.compile(r"(?:python_full_version|python_version|requires)[^'\"]*['\"](?P<said>[^'\"]*)['\"]")
_VERSION = re.compile(r"\b3\.(\d+)(?:\.(\d+))?")

Node = TypeVar("Node")
Version = tuple[int, int]


class Platform(NamedTuple):
    """The first Python of a range in which no marker tells one from another, and a machine."""

    python: Version
    machine: str

    def environment(self) -> dict[str, str]:
        """Return what markers are evaluated with."""
        minor, micro = self.python
        full = f"3.{minor}.{micro}"
        return {
            "implementation_name": "cpython",
            "implementation_version": full,
            "os_name": "posix",
            "platform_machine": self.machine,
            "platform_python_implementation": "CPython",
            "platform_release": "",
            "platform_system": "Linux",
            "platform_version": "",
            "python_full_version": full,
            "python_version": f"3.{minor}",
            "sys_platform": "linux",
            "extra": "",
        }


Platforms = frozenset[Platform]


class Grid:
    """All platforms that a file can tell apart, of those that it is for."""

    def __init__(self, text: str, requires_python: str = "") -> None:
        """Look for the versions of Python at which a marker in the text, or the requirement, changes its answer."""
        pythons = {(minor, 0) for minor in range(OLDEST, NEWEST + 1)}
        for bound in _BOUND.finditer(f"{text}\nrequires '{requires_python}'"):
            for minor, micro in _VERSION.findall(bound["said"]):
                first = int(micro or 0)
                pythons |= {(int(minor), first), (int(minor), first + 1), (int(minor) + 1, 0)}
        self._pythons = sorted(python for python in pythons if python >= (OLDEST, 0))
        self.all: Platforms = frozenset(
            Platform(python, machine)
            for python in self._pythons
            if is_for(requires_python, python)
            for machine in MACHINES
        )

    def where(self, marker: str) -> Platforms:
        """Return the platforms for which a marker holds; an empty one holds for all, and one that is none for none."""
        if not marker:
            return self.all
        try:
            said = Marker(marker)
        except InvalidMarker:
            return frozenset()
        return frozenset(platform for platform in self.all if _holds(said, platform))

    def marker(self, platforms: Platforms) -> str:
        """Return a marker that holds for these platforms and for no other of the grid; empty for all of them."""
        by_machine = {machine: {each.python for each in platforms if each.machine == machine} for machine in MACHINES}
        first, second = by_machine.values()
        if first == second:
            return self._of_pythons(first)
        parts = []
        for machine, pythons in by_machine.items():
            if pythons:
                said = self._of_pythons(pythons)
                named = f"platform_machine == '{machine}'"
                parts.append(f"({said}) and {named}" if " or " in said else f"{said} and {named}" if said else named)
        return " or ".join(parts)

    def _of_pythons(self, wanted: set[Version]) -> str:
        known = sorted({each.python for each in self.all})
        if wanted == set(known):
            return ""
        parts, begun = [], None
        for place, python in enumerate([*known, None]):
            if python in wanted and begun is None:
                begun = place
            if python not in wanted and begun is not None:
                least = _compared(">=", known[begun]) if begun else ""
                below = _compared("<", python) if python is not None else ""
                parts.append(" and ".join(filter(None, (least, below))))
                begun = None
        return " or ".join(parts)


def is_for(requires_python: str, python: Version) -> bool:
    """Whether a file with this `requires-python` is for that Python; one that nobody can read is for all."""
    try:
        return f"3.{python[0]}.{python[1]}" in SpecifierSet(requires_python)
    except InvalidSpecifier:
        return True


def reached(
    roots: Iterable[tuple[Node, Platforms]], edges: Callable[[Node], Iterable[tuple[Node, Platforms]]]
) -> Mapping[Node, Platforms]:
    """Return for each node of a graph the platforms on which the roots lead to it."""
    found: dict[Node, Platforms] = {}
    waiting = list(roots)
    while waiting:
        node, platforms = waiting.pop()
        new = platforms - found.get(node, frozenset())
        if new:
            found[node] = found.get(node, frozenset()) | new
            waiting += [(further, new & there) for further, there in edges(node)]
    return found


def _holds(marker: Marker, platform: Platform) -> bool:
    try:
        return marker.evaluate(platform.environment())
    except (UndefinedComparison, UndefinedEnvironmentName, InvalidVersion):
        return True  # pip decides, in the image


def _compared(how: str, python: Version) -> str:
    minor, micro = python
    if micro:
        return f"python_full_version {how} '3.{minor}.{micro}'"
    return f"python_version {how} '3.{minor}'"

"""Changes of an environment: what an installer would install, and what is installed instead of it now."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from srv.discovery.metadata import distribution_called
from srv.discovery.origins import pinned
from srv.discovery.plugin import OURS, normalised

#: A line of uv's dry run: `+ name==1.0`, `~ name==1.0`, `+ name @ file:///…`.
_OF_UV = re.compile(r"^\s*[+~]\s(?P<name>[A-Za-z0-9._-]+)(==(?P<version>\S+)| @ (?P<address>\S+))")
#: What the two resolvers say of a distribution that was made for another srv.
_CONFLICT_OF_PIP = re.compile(
    rf"^\s*(?P<name>\S+) (?P<version>\S+) depends on (?P<requirement>{OURS}\b.*)$", re.MULTILINE
)
_CONFLICT_OF_UV = re.compile(
    r"(?P<name>[A-Za-z0-9._-]+?)([=><~!]=(?P<version>[^\s,]+))? depends? on "
    rf"(?P<requirement>{OURS}[<>=!~]\S*)"
)

#: A distribution, its version where that is known, and its requirement on srv.
Conflict = tuple[str, str, str]


class Change(NamedTuple):
    """A distribution that would be installed."""

    name: str
    version: str
    #: The version that is installed now, and the requirement line that installs it again; None where none is.
    before: str | None
    pinned: str | None
    #: Whether the command line asks for it, rather than another distribution.
    requested: bool
    #: What it requires, as its metadata says; empty where the installer does not tell.
    requires: tuple[str, ...] = ()

    def __str__(self) -> str:
        version = f" {self.version}" if self.version else ""
        was = f" instead of {self.before}" if self.before not in (None, self.version) else ""
        return f"{self.name}{version}{was}"


def changes_of_pip(report: str, names: Iterable[str]) -> list[Change]:
    """Read pip's report of a dry run. Raises ValueError for what is none."""
    said = json.loads(report)
    return [_of_item(item, set(names)) for item in said["install"]]


def _of_item(item: dict[str, Any], names: set[str]) -> Change:
    head = item["metadata"]
    requested = bool(item.get("requested")) or normalised(head["name"]) in names
    return _change(head["name"], head["version"], requested, tuple(head.get("requires_dist") or ()))


def changes_of_uv(output: str, names: Iterable[str]) -> list[Change]:
    """Read the lines of uv's dry run."""
    asked = set(names)
    found = filter(None, map(_OF_UV.match, output.splitlines()))
    return [_of_line(each["name"], each["version"], each["address"], asked) for each in found]


def _of_line(name: str, version: str | None, address: str | None, names: set[str]) -> Change:
    if address is not None:
        version = next(iter(re.findall(r"/[^/]+-([^-/]+)-[^-/]+-[^-/]+-[^-/]+\.whl", address)), "")
    return _change(name, version or "", normalised(name) in names or address is not None)


def _change(name: str, version: str, requested: bool, requires: tuple[str, ...] = ()) -> Change:  # noqa: FBT001
    there = distribution_called(name)
    if there is None:
        return Change(name, version, None, None, requested, requires)
    return Change(name, version, str(there.version), pinned(there), requested, requires)


def conflicts_of_pip(output: str) -> list[Conflict]:
    """Return which distributions require another srv, as pip's resolver says."""
    return _newest(_CONFLICT_OF_PIP.finditer(output))


def conflicts_of_uv(output: str) -> list[Conflict]:
    """Return which distributions require another srv, as uv's resolver says."""
    return _newest(_CONFLICT_OF_UV.finditer(" ".join(output.split())))


def _newest(found: Iterable[re.Match[str]]) -> list[Conflict]:
    """Return each distribution once: a resolver begins with the newest version."""
    conflicts: dict[str, Conflict] = {}
    for each in found:
        # pip says `<2 and >=1`, which is no requirement that anybody could type.
        requirement = each["requirement"].strip().rstrip(".,").replace(" and ", ",")
        conflicts.setdefault(each["name"], (each["name"], each["version"] or "", requirement))
    return list(conflicts.values())


def undo_words(changes: Sequence[Change]) -> tuple[list[str], list[str]]:
    """Return which distributions an undo would uninstall, and the words that install again what was there before."""
    new = [each.name for each in changes if each.before is None]
    old = [word for each in changes if each.pinned is not None for word in words_of(each.pinned)]
    return new, old


def words_of(line: str) -> list[str]:
    """Return a requirement line as words of a command."""
    return ["-e", line.removeprefix("-e ")] if line.startswith("-e ") else [line]

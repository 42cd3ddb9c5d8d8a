"""After a change: what a fresh srv finds and can use, asked in a child process, which sees the changed environment."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from srv.discovery import Plugin, PluginKind, normalised
from srv.errors import listed
from srv.probe.messages import from_wire
from srv_install.errors import ChildFailed
from srv_install.running import run


class Checked(NamedTuple):
    """What `srv plugins check` says of several packages."""

    rows: Sequence[Plugin]
    #: Files that another package owns too, with all their owners.
    overlapping: Mapping[str, Sequence[str]]

    @property
    def faults(self) -> int:
        """How many faults there are; 0 means that all can be used."""
        return sum(row.faulty for row in self.rows) + len(self.overlapping)


def bringing(python: str, undo: Sequence[str]) -> dict[str, str]:
    """Return the distributions that bring plugins now, normalised, each as its author writes it."""
    rows: list[dict[str, Any]] = _asked(python, ["plugins", "--json"], "Looking at what is installed now", undo)
    return {normalised(row["distribution"]): row["distribution"] for row in rows}


def checked(python: str, names: Iterable[str], undo: Sequence[str]) -> Checked:
    """Import what distributions bring, in child processes, and return how that went."""
    words = ["plugins", "check", *names, "--json"]
    said: dict[str, Any] = _asked(python, words, f"Checking {listed(names)}", undo)
    return Checked([from_wire(row) for row in said["plugins"]], said["overlapping"])


def _asked(python: str, words: Sequence[str], doing: str, undo: Sequence[str]) -> Any:
    ended = run([python, "-P", "-m", "srv", *words], doing)
    try:
        return json.loads(ended.stdout)
    except ValueError:
        raise ChildFailed(ended.last_lines(), undo) from None


def lines_of(row: Plugin) -> Iterator[str]:
    """Return how a plugin is asked for, or why it cannot be used."""
    if row.usable:
        yield f"  {row.kind.noun} '{row.name}'{_asked_for(row)}"
    else:
        yield f"  {row.kind.noun} '{row.name}': {row.state.value}"
    missing_extra = "" if row.awaits_extra else row.missing_extra
    for remark in filter(None, (row.reason, missing_extra, row.warning, *row.deprecations)):
        yield f"    {remark}"


def _asked_for(row: Plugin) -> str:
    """Return how somebody asks for it, behind its name."""
    name = row.qualified if row.name_taken or row.reason else row.name
    if row.kind is PluginKind.RUNTIME:
        files = f", or a folder with {listed(row.files)}" if row.files else ""
        return f': {{"runtime": "{name}"}} in model-settings.json{files}'
    if row.kind is PluginKind.CODEC:
        return f': the content type "{name}"'
    return f": srv {name}" if row.kind is PluginKind.COMMAND else ""

"""Files and distributions: which files a runtime recognises, and which files two distributions both own."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Mapping
from pathlib import PurePath

from srv.discovery.metadata import installed
from srv.discovery.plugin import Plugin, PluginKind, normalised

#: Reading one of these runs code that is in it.
CODE_SUFFIXES = frozenset(
    {".pkl", ".pickle", ".joblib", ".pt", ".pt2", ".pth", ".ckpt", ".dill", ".cloudpickle", ".py"}
)


def recognised(rows: Iterable[Plugin], names: Iterable[str], prefer: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """Return each file that usable runtimes recognise by its name, with these runtimes: one, or several that `prefer` leaves."""
    usable = set(names)
    claims: dict[str, list[Plugin]] = {}
    for row in rows:
        if row.kind is PluginKind.RUNTIME and row.usable:
            for file in row.files:
                claims.setdefault(file, []).append(row)
    return {
        file: tuple(row.name if row.name in usable else row.qualified for row in _preferred(file, claimants, prefer))
        for file, claimants in claims.items()
    }


def is_code(file: str) -> bool:
    """Whether reading a file of this name runs code from it, as every kind of pickle does."""
    return PurePath(file).suffix.lower() in CODE_SUFFIXES


def _preferred(file: str, claimants: list[Plugin], prefer: Mapping[str, str]) -> list[Plugin]:
    """Return the runtime that `prefer` chooses for the file or for the runtime's name; else all that claim the file."""
    chosen = prefer.get(f"file:{file}")
    for row in claimants:
        mine = normalised(row.distribution)
        wanted = chosen or prefer.get(f"runtime:{row.name}")
        if wanted is not None and normalised(wanted) == mine:
            return [row]
    return claimants


def overlapping(distributions: Iterable[str], path: list[str] | None = None) -> dict[str, list[str]]:
    """Return Python files that several distributions own, if one of those named is among them. Reads every RECORD."""
    asked = {normalised(name) for name in distributions}
    owners: dict[str, set[str]] = {}
    for distribution in installed(path):
        try:
            name = normalised(distribution.name)
            root = str(distribution.locate_file(""))
            rows = list(csv.reader((distribution.read_text("RECORD") or "").splitlines()))
        except Exception:  # noqa: BLE001, S112 - an unreadable RECORD hides its own files, not the others'
            continue
        for row in rows:
            if row and row[0].endswith(".py"):
                owners.setdefault(os.path.join(root, row[0]), set()).add(name)  # noqa: PTH118 - many thousand of them
    return {file: sorted(names) for file, names in owners.items() if len(names) > 1 and names & asked}

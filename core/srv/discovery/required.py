"""Required hook modules: the server does not serve without them, because settings or the modules say so."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

from srv.discovery.errors import RequiredPluginUnusable
from srv.discovery.plugin import Plugin, PluginKind, PluginState
from srv.discovery.plugin_states import PluginChoice

#: The attribute that a hook module sets to True where the server must not serve without it.
ATTRIBUTE = "srv_required"
#: The same, as an extra of the entry point, `guard = guard.hooks [required]`, where no source can be read.
EXTRA = "required"


def declares_itself(row: Plugin) -> bool:
    """Whether a hook module declares itself required: by its attribute, its entry point, or its source where it is broken."""
    if row.loaded is not None:
        return bool(getattr(row.loaded, ATTRIBUTE, False)) or EXTRA in row.files
    return EXTRA in row.files or (
        row.state in (PluginState.REFUSED, PluginState.QUARANTINED) and _source_declares_it(row)
    )


def check(rows: Iterable[Plugin], choice: PluginChoice) -> None:
    """Raise RequiredPluginUnusable for the first hook module that is required and cannot be used, or not as a whole."""
    faulty = unusable(rows, choice)
    if faulty:
        first = faulty[0]
        owner = first.computed_by or first
        raise RequiredPluginUnusable(owner, [_reason(row) for row in faulty if (row.computed_by or row) is owner])


def unusable(rows: Iterable[Plugin], choice: PluginChoice) -> list[Plugin]:
    """Return the rows that keep the server from serving: required hook modules and what they brought, where broken.

    A hook module that `disable` or --no-plugin names is not among them, because it was turned off on purpose.
    """
    return [row for row in rows if _is_unusable(row, choice)]


def _is_unusable(row: Plugin, choice: PluginChoice) -> bool:
    if row.computed_by is not None:
        return bool(row.computed_by.required) and row.state is PluginState.QUARANTINED
    if not row.required or row.kind is not PluginKind.HOOKS:
        return False
    if row.state is PluginState.DISABLED:
        return not choice.disabled_by(row)
    return not row.usable


def _reason(row: Plugin) -> str:
    return row.reason if row.computed_by is None else f"its {row.kind.noun} {row.name}: {row.reason}"


def _source_declares_it(row: Plugin) -> bool:
    """Whether the source of a module that cannot be imported has `srv_required = True` anywhere."""
    source = _source(row.entry_point.partition(":")[0].split("."))
    if ATTRIBUTE not in source:
        return False
    import ast  # here, because only broken modules need it

    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError):
        return True  # it cannot be known, and a stopped server is safer than an open one
    return any(
        any(_name_of(target) == ATTRIBUTE for target in getattr(node, "targets", [getattr(node, "target", None)]))
        and not (isinstance(node.value, ast.Constant) and not node.value.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign | ast.AnnAssign)
    )


def _name_of(target: object) -> str | None:
    """Return the name that an assignment gives, of a variable or of an attribute."""
    return getattr(target, "id", getattr(target, "attr", None))


def _source(names: Sequence[str]) -> str:
    """Return a module's source without importing it or its packages; empty if there is none."""
    path: Any = None
    spec: ModuleSpec | None = None
    try:
        for place in range(len(names)):
            spec = _spec(".".join(names[: place + 1]), path)
            if spec is None:
                return ""
            path = spec.submodule_search_locations
        return Path(spec.origin).read_text(encoding="utf-8", errors="replace") if spec and spec.origin else ""
    except Exception:  # noqa: BLE001 - a finder of the environment may raise anything, and a file may be unreadable
        return ""


def _spec(name: str, path: Any) -> ModuleSpec | None:
    for finder in sys.meta_path:
        spec: ModuleSpec | None = finder.find_spec(name, path)
        if spec is not None:
            return spec
    return None

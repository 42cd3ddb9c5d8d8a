"""Messages between the host and the child process: a job, and rows of plugins, as JSON lines."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from srv.discovery.plugin import Plugin, PluginKind, PluginState
from srv.discovery.plugin_states import PluginChoice


@dataclass(frozen=True)
class Job:
    """A job of the child: import all usable plugins, or only the hook modules whose sections are to be checked.

    A task of a plugin of srv's own is `module:function`, and gets what is `given`.

    `broken` holds those that ended or held up an earlier child, which this one must leave alone.
    """

    task: str
    choice: PluginChoice = field(default_factory=PluginChoice)
    sections: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    broken: Mapping[str, str] = field(default_factory=dict)
    given: Mapping[str, Any] = field(default_factory=dict)
    path: tuple[str, ...] = field(default_factory=lambda: tuple(sys.path))

    def to_json(self) -> str:
        """Write the job as one line."""
        return json.dumps(asdict(self), default=dict)

    @classmethod
    def from_json(cls, text: str) -> Job:
        """Read the job that `to_json` wrote."""
        given = json.loads(text)
        return cls(**given | {"choice": PluginChoice(**given["choice"]), "path": tuple(given["path"])})


def key_of(row: Plugin) -> str:
    """Return a row's name that is the same in host and child."""
    return f"{row.kind.value}:{row.qualified}"


def to_wire(row: Plugin) -> dict[str, Any]:
    """Write a row as plain data: what `srv plugins --json` prints, and what the child sends."""
    return {
        "kind": row.kind.value,
        "name": row.name,
        "distribution": row.distribution,
        "version": row.version,
        "entry_point": row.entry_point,
        "state": row.state.value,
        "reason": row.reason or None,
        "warning": row.warning or None,
        "deprecations": list(row.deprecations),
        "import_seconds": row.import_seconds,
        "ours": row.ours,
        "name_taken": row.name_taken,
        "missing_extra": row.missing_extra or None,
        "files": list(row.files),
        "recognises": row.recognises,
        "required": row.required or None,
        "computed_by": row.computed_by.name if row.computed_by else None,
        "traceback": row.traceback or None,
    }


def from_wire(given: Mapping[str, Any]) -> Plugin:
    """Read the row that `to_wire` wrote."""
    row = Plugin(
        kind=PluginKind(given["kind"]),
        name=given["name"],
        distribution=given["distribution"],
        version=given["version"],
        entry_point=given["entry_point"],
        state=PluginState(given["state"]),
        reason=given["reason"] or "",
        warning=given["warning"] or "",
        deprecations=tuple(given["deprecations"]),
        import_seconds=given["import_seconds"],
        ours=given["ours"],
        name_taken=given["name_taken"],
        files=tuple(given["files"]),
        recognises=given["recognises"],
        missing_extra=given["missing_extra"] or "",
        required=given["required"] or "",
        traceback=given["traceback"] or "",
    )
    if given["computed_by"]:
        row.computed_by = Plugin(
            PluginKind.HOOKS, given["computed_by"], row.distribution, row.version, row.entry_point.rpartition(":")[0]
        )
    return row

"""What is asked of the child process, and what it tells: plain data, as JSON lines."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from srv.discovery.decision import Choice
from srv.discovery.plugin import Kind, Plugin, State


@dataclass(frozen=True)
class Job:
    """Import these plugins: all that may be used, or only the hook modules whose sections are to be checked.

    `broken` holds those that ended or held up an earlier child, which this one must leave alone.
    """

    task: str
    choice: Choice = field(default_factory=Choice)
    sections: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    broken: Mapping[str, str] = field(default_factory=dict)
    path: tuple[str, ...] = field(default_factory=lambda: tuple(sys.path))

    def to_json(self) -> str:
        """One line."""
        return json.dumps(asdict(self), default=dict)

    @classmethod
    def from_json(cls, text: str) -> Job:
        """The job that `to_json` wrote."""
        given = json.loads(text)
        return cls(**given | {"choice": Choice(**given["choice"]), "path": tuple(given["path"])})


def key_of(row: Plugin) -> str:
    """A row's name that is the same in parent and child."""
    return f"{row.kind.value}:{row.qualified}"


def told(row: Plugin) -> dict[str, Any]:
    """A row as plain data: what `srv plugins --json` prints, and what the child tells of it."""
    return {
        "kind": row.kind.value,
        "name": row.name,
        "distribution": row.distribution,
        "version": row.version,
        "entry_point": row.entry_point,
        "state": row.state.value,
        "reason": row.reason or None,
        "warning": row.warning or None,
        "import_seconds": row.import_seconds,
        "ours": row.ours,
        "name_taken": row.name_taken,
        "files": list(row.files),
        "computed_by": row.computed_by.name if row.computed_by else None,
        "traceback": row.traceback or None,
    }


def heard(given: Mapping[str, Any]) -> Plugin:
    """The row that `told` told of."""
    row = Plugin(
        kind=Kind(given["kind"]),
        name=given["name"],
        distribution=given["distribution"],
        version=given["version"],
        entry_point=given["entry_point"],
        state=State(given["state"]),
        reason=given["reason"] or "",
        warning=given["warning"] or "",
        import_seconds=given["import_seconds"],
        ours=given["ours"],
        name_taken=given["name_taken"],
        files=tuple(given["files"]),
        traceback=given["traceback"] or "",
    )
    if given["computed_by"]:
        row.computed_by = Plugin(
            Kind.HOOKS, given["computed_by"], row.distribution, row.version, row.entry_point.rpartition(":")[0]
        )
    return row

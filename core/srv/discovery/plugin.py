"""What an entry point registers, as a row: kind, name, who brings it, its state and why."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from threading import RLock

OURS = "srv-inference"


def normalised(distribution: str) -> str:
    """A distribution's name as packaging compares it: `Srv_Sklearn` is `srv-sklearn`."""
    return re.sub(r"[-_.]+", "-", distribution).lower()


class Kind(StrEnum):
    """What a plugin is. ROUTE and BUILDER come from hooks only; UNKNOWN is unreadable metadata of a distribution."""

    RUNTIME = "runtime"
    CODEC = "codec"
    COMMAND = "command"
    HOOKS = "hooks"
    ROUTE = "route"
    BUILDER = "builder"
    UNKNOWN = "unknown"


#: The four entry-point groups, and what each brings.
GROUPS = {
    "srv.runtimes": Kind.RUNTIME,
    "srv.codecs": Kind.CODEC,
    "srv.commands": Kind.COMMAND,
    "srv.plugins": Kind.HOOKS,
}


class State(StrEnum):
    """How far a plugin came: metadata says found, disabled or refused; an import says loaded or quarantined."""

    FOUND = "found"
    LOADED = "loaded"
    DISABLED = "disabled"
    REFUSED = "refused"
    QUARANTINED = "quarantined"


@dataclass(eq=False)
class Plugin:
    """One row of `srv plugins`. Its state changes once it is imported; all else stands."""

    kind: Kind
    name: str
    distribution: str
    version: str
    entry_point: str
    state: State = State.FOUND
    reason: str = ""
    warning: str = ""
    import_seconds: float | None = None
    ours: bool = False
    #: Well-known files that a runtime recognises: the extras of its entry point.
    files: tuple[str, ...] = ()
    #: Refused only because the plain name is another's; `distribution:name` still reaches it.
    name_taken: bool = False
    #: Brought by a hook of this plugin rather than by an entry point.
    computed_by: Plugin | None = field(default=None, repr=False)
    traceback: str = field(default="", repr=False)
    loaded: object = field(default=None, repr=False)
    lock: RLock = field(default_factory=RLock, repr=False)

    @property
    def qualified(self) -> str:
        """The name that always works: `distribution:name`."""
        return f"{self.distribution}:{self.name}"

    @property
    def usable(self) -> bool:
        """Whether it runs, or will when it is first asked for."""
        return self.state in (State.FOUND, State.LOADED)

    def __str__(self) -> str:
        return f"{self.kind.value} '{self.name}' of {self.distribution} {self.version} ({self.entry_point})"

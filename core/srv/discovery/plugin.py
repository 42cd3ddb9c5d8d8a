"""A plugin as a row: what an entry point registers, its distribution, its state and the reason."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from threading import RLock

OURS = "srv-inference"


def normalised(distribution: str) -> str:
    """Return a distribution's name as packaging compares it: `Srv_Sklearn` is `srv-sklearn`."""
    return re.sub(r"[-_.]+", "-", distribution).lower()


class PluginKind(StrEnum):
    """The kind of a plugin. ROUTE and BUILDER come from hooks only; UNKNOWN is a distribution's unreadable metadata."""

    RUNTIME = "runtime"
    CODEC = "codec"
    COMMAND = "command"
    HOOKS = "hooks"
    ROUTE = "route"
    BUILDER = "builder"
    UNKNOWN = "unknown"

    @property
    def noun(self) -> str:
        """The kind, in a sentence about one plugin."""
        return {PluginKind.HOOKS: "hook module", PluginKind.UNKNOWN: "plugin"}.get(self, self.value)


#: Words in the brackets of a runtime's entry point that say something of all its files: reading one runs code that it holds
#: or names, whatever it is called; and one of them describes the whole folder, whose other files are parts of its model.
CODE, FOLDER = "code", "folder"

#: The four entry-point groups, and what each brings.
GROUPS = {
    "srv.runtimes": PluginKind.RUNTIME,
    "srv.codecs": PluginKind.CODEC,
    "srv.commands": PluginKind.COMMAND,
    "srv.plugins": PluginKind.HOOKS,
}


class PluginState(StrEnum):
    """The state of a plugin: metadata decides found, disabled or refused; an import makes it loaded or quarantined."""

    FOUND = "found"
    LOADED = "loaded"
    DISABLED = "disabled"
    REFUSED = "refused"
    QUARANTINED = "quarantined"


@dataclass(eq=False)
class Plugin:
    """One row of `srv plugins`. Its state changes when it is imported; its name and origin do not."""

    kind: PluginKind
    name: str
    distribution: str
    version: str
    entry_point: str
    state: PluginState = PluginState.FOUND
    reason: str = ""
    warning: str = ""
    #: Sentences about hooks and arguments that it uses and that a version to come refuses.
    deprecations: tuple[str, ...] = ()
    import_seconds: float | None = None
    ours: bool = False
    #: The extras of its distribution that its entry point names.
    extras: tuple[str, ...] = ()
    #: What of the extras that its entry point names is not installed, and how to install it.
    missing_extra: str = ""
    #: Well-known files that a runtime recognises: what else stands in the brackets of its entry point.
    files: tuple[str, ...] = ()
    #: Whether a runtime has a `recognise` of its own, which tells its files from others of the same names; known when loaded.
    recognises: bool = False
    #: The words in the brackets of a runtime that are none of its files: `code` and `folder`.
    marks: frozenset[str] = frozenset()
    #: Why the server does not serve without it; empty where it is not required. For hook modules only.
    required: str = ""
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
        """Whether the plugin is loaded, or will be loaded when it is first asked for."""
        return self.state in (PluginState.FOUND, PluginState.LOADED)

    @property
    def awaits_extra(self) -> bool:
        """Whether its import failed only because its extra is not installed, which is no fault of the package."""
        return (
            bool(self.missing_extra)
            and self.state is PluginState.QUARANTINED
            and self.reason.endswith(self.missing_extra)
        )

    @property
    def faulty(self) -> bool:
        """Whether the plugin needs attention: it is refused, or quarantined for more than a missing extra."""
        return self.state in (PluginState.REFUSED, PluginState.QUARANTINED) and not self.awaits_extra

    def __str__(self) -> str:
        return f"{self.kind.noun} '{self.name}' of {self.distribution} {self.version} ({self.entry_point})"

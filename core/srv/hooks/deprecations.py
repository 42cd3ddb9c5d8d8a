"""Deprecations: hooks and arguments that will be removed. srv warns of them for a minor version, then refuses them."""

from __future__ import annotations

import msgspec

from srv.hooks.errors import BadHooks
from srv.version import __version__


class Deprecation(msgspec.Struct, frozen=True):
    """A hook, or one of its arguments, that will be removed."""

    hook: str
    #: The minor version that warns first, such as "0.2", and the one that refuses first.
    since: str
    removed_in: str
    #: What a plugin does in its place, as the end of a sentence: "read request.headers".
    instead: str
    argument: str | None = None

    @property
    def subject(self) -> str:
        """The hook or the argument, in a sentence about a plugin that uses it."""
        return f"'{self.hook}'" if self.argument is None else f"the argument '{self.argument}' of '{self.hook}'"

    def warning(self) -> str:
        """Return the sentence for a plugin that uses it."""
        return f"it uses {self.subject}, which srv {self.removed_in} refuses; {self.instead}"

    def is_refused(self, running: str = __version__) -> bool:
        """Whether the running version, or a pre-release of it, refuses plugins that use it."""
        # Costs 15 ms, and most servers have no plugin that uses what goes.
        from packaging.version import Version

        return Version(running).release[:2] >= Version(self.removed_in).release[:2]


#: Everything that goes, and what went: an entry stays as long as somebody may upgrade from a version that had it.
DEPRECATIONS: tuple[Deprecation, ...] = ()


class RemovedFromHooks(BadHooks):
    """A plugin uses a hook, or an argument of one, that this version of srv no longer has."""

    def __init__(self, gone: Deprecation) -> None:
        super().__init__(f"it uses {gone.subject}, which is gone since srv {gone.removed_in}; {gone.instead}")


def deprecation_of(hook: str, argument: str | None = None) -> Deprecation | None:
    """Return the deprecation of a hook or of its argument; None if it stays."""
    return next((each for each in DEPRECATIONS if (each.hook, each.argument) == (hook, argument)), None)


def check(hook: str, argument: str | None = None) -> tuple[Deprecation, ...]:
    """Return the deprecation to warn a plugin of, if any. Raises RemovedFromHooks for what is refused."""
    entry = deprecation_of(hook, argument)
    if entry is None:
        return ()
    if entry.is_refused():
        raise RemovedFromHooks(entry)
    return (entry,)

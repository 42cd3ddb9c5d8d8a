"""Change locks: one load or unload of a model at a time, and an unload that need not wait for a load that hangs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager

from srv.errors import LoadFailed


class Overtaken(LoadFailed):
    """A load ended after its model was unloaded or loaded anew, so what it loaded does not serve."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"Model '{name}' could not be loaded: it was unloaded or loaded anew before its load had ended."
        )


class StillChanging(LoadFailed):
    """Another load or unload of the model has not ended in time."""

    def __init__(self, name: str, doing: str, seconds: float) -> None:
        super().__init__(
            f"Model '{name}' could not be loaded: it has been {doing} for {seconds:.0f} s already, and that has not ended."
        )


def _nothing() -> None:
    """Do nothing where a change is overtaken."""


class Change:
    """One load or unload of a model, while it goes on."""

    def __init__(self, name: str, doing: str, overtaken: Callable[[], object]) -> None:
        self.name = name
        self.doing = doing
        self.began = time.monotonic()
        self._tell_overtaken = overtaken
        self._is_overtaken = False

    def overtake(self) -> None:
        """Make `check` raise from now on."""
        self._is_overtaken = True
        self._tell_overtaken()

    def check(self) -> None:
        """Raise Overtaken where an unload, or a newer load, did not wait for this load."""
        if self._is_overtaken:
            raise Overtaken(self.name)


class ChangeLocks:
    """A lock for each model by name. Safe to call from any thread.

    `overtaken` is called with the name of a model whose load is not waited for.
    """

    def __init__(self, overtaken: Callable[[str], object]) -> None:
        self._overtaken = overtaken
        self._guard = threading.Condition()
        self._changes: dict[str, Change] = {}

    @contextmanager
    def loading(
        self,
        name: str,
        *,
        seconds: float | None = None,
        overtakes: bool = False,
        overtaken: Callable[[], object] = _nothing,
    ) -> Iterator[Change]:
        """Hold a model's lock for a load. Raises StillChanging where another change lasts that many seconds.

        With `overtakes` the lock is taken away from that change. `overtaken` is called when it is taken away from this.
        """
        change = Change(name, "loading", overtaken)
        with self._guard:
            is_free = self._guard.wait_for(lambda: name not in self._changes, seconds)
            other = self._changes.get(name)
            if other is not None and not (is_free or overtakes):
                raise StillChanging(name, other.doing, time.monotonic() - other.began)
            self._changes[name] = change
        self._overtake(other)
        try:
            yield change
        finally:
            self._release(change)

    @contextmanager
    def loading_several(self, names: Iterable[str], *, seconds: float | None = None) -> Iterator[dict[str, Change]]:
        """Hold the locks of several models for their loads; taken in order, so that no two of such loads block each other."""
        with ExitStack() as stack:
            yield {name: stack.enter_context(self.loading(name, seconds=seconds)) for name in sorted(set(names))}

    @contextmanager
    def unloading(self, name: str, *, seconds: float) -> Iterator[bool]:
        """Hold a model's lock for an unload; True where a change has held it for that many seconds and is overtaken."""
        change = Change(name, "unloading", _nothing)
        with self._guard:
            is_free = self._guard.wait_for(lambda: name not in self._changes, seconds)
            other = self._changes.get(name)
            self._changes[name] = change
        self._overtake(other)
        try:
            yield not is_free
        finally:
            self._release(change)

    def _overtake(self, other: Change | None) -> None:
        if other is not None:
            other.overtake()
            self._overtaken(other.name)

    def _release(self, change: Change) -> None:
        with self._guard:
            if self._changes.get(change.name) is change:
                del self._changes[change.name]
            self._guard.notify_all()

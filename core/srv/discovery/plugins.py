"""Everything that was found: asked for by kind and name, imported on first use, quarantined where that fails."""

from __future__ import annotations

import functools
import importlib
import logging
import time
import traceback
from collections.abc import Collection, Iterable, Mapping, Sequence
from threading import Lock

from srv.discovery.decision import Choice, covers, decide, rows_of, sort_key
from srv.discovery.errors import (
    PluginBroken,
    PluginContested,
    PluginDisabled,
    PluginRefused,
    PluginsNotWhole,
    RuntimeContested,
    UnknownPlugin,
    UnknownRuntime,
)
from srv.discovery.files import recognised, unchosen
from srv.discovery.kinds import wrong
from srv.discovery.metadata import Metadata, read_metadata
from srv.discovery.plugin import Kind, Plugin, State, normalised
from srv.errors import nearest
from srv.version import __version__

log = logging.getLogger("srv.plugins")

SLOW_IMPORT_SECONDS = 1.0


def discover(
    *,
    disable: Sequence[str] = (),
    only: Sequence[str] | None = None,
    prefer: Mapping[str, str] | None = None,
    path: list[str] | None = None,
    running: str = __version__,
) -> Plugins:
    """Read what installed distributions say of themselves, and decide what may be used. Imports none of it."""
    return Plugins(read_metadata(path), Choice(disable, only, prefer or {}), running)


class Plugins:
    """The outcome of discovery. Reading is free of locks; each plugin is imported once, whoever asks first."""

    def __init__(self, metadata: Metadata, choice: Choice, running: str = __version__) -> None:
        self.metadata = metadata
        self.choice = choice
        self._running = running
        self._requires = {normalised(each.name): each.requires for each in metadata.distributions}
        self._rows = rows_of(metadata.distributions)
        self._changing = Lock()
        self._owners = decide(self._rows, self._requires, choice, running)

    @property
    def rows(self) -> Sequence[Plugin]:
        """Every plugin, sorted by distribution and name."""
        return tuple(self._rows)

    def under(
        self, *, disable: Sequence[str] = (), only: Sequence[str] | None = None, prefer: Mapping[str, str] | None = None
    ) -> Plugins:
        """The same metadata judged by other settings, without reading it again; nothing in it is loaded."""
        return Plugins(self.metadata, Choice(disable, only, prefer or {}), self._running)

    def names(self, kind: Kind) -> list[str]:
        """The names that work for this kind: plain ones, and `distribution:name` where the plain one is not theirs."""
        return sorted(
            row.name if self.has_name(row) else row.qualified for row in self._rows if row.kind is kind and row.usable
        )

    def has_name(self, row: Plugin) -> bool:
        """Whether the plain name is this plugin's alone."""
        return self._owners.get((row.kind, row.name)) == [row]

    def sections(self) -> Collection[str]:
        """The names that may stand as sections in settings.json: those of all hook modules, usable or not."""
        return frozenset(name for row in self._rows if row.kind is Kind.HOOKS for name in (row.name, row.qualified))

    def find(self, kind: Kind, name: str) -> Plugin:
        """The plugin of that kind and name, plain or `distribution:name`. Raises a PluginError that says why not."""
        distribution, colon, plain = name.partition(":")
        if colon:
            candidates = [
                row
                for row in self._rows
                if row.kind is kind and row.name == plain and normalised(row.distribution) == normalised(distribution)
            ]
        else:
            candidates = self._owners.get((kind, name)) or self._disabled(kind, name)
        if not candidates:
            error = UnknownRuntime if kind is Kind.RUNTIME else UnknownPlugin
            raise error(kind, name, self.names(kind))
        if len(candidates) > 1:
            contested = RuntimeContested if kind is Kind.RUNTIME else PluginContested
            raise contested(kind, name, [row.distribution for row in candidates])
        row = candidates[0]
        if not (colon and row.name_taken):
            _check_usable(row)
        return row

    def load(self, kind: Kind, name: str) -> object:
        """What the plugin's entry point gives, imported on first use. Raises a PluginError where that is not to be."""
        return self.load_row(self.find(kind, name))

    def load_row(self, row: Plugin) -> object:
        """The same for a row at hand; a failure quarantines it, and the error names it."""
        with row.lock:
            if row.state is State.QUARANTINED:
                raise PluginBroken(row)
            if row.state is not State.LOADED:
                self._import(row)
            return row.loaded

    def hook_modules(self) -> list[Plugin]:
        """The hook modules that may run, in the order in which their hooks are called."""
        return [row for row in self._rows if row.kind is Kind.HOOKS and row.usable]

    def quarantine(self, row: Plugin, reason: str, error: BaseException | None = None) -> None:
        """Take a plugin out of use, with everything it computed, and tell the log."""
        with self._changing:
            row.state, row.reason, row.loaded = State.QUARANTINED, reason, None
            if error is not None:
                row.traceback = "".join(traceback.format_exception(error))
        self.take_back(row)
        log.error("%s Everything else goes on without it.", PluginBroken(row), exc_info=error)

    def take_back(self, row: Plugin) -> None:
        """Remove what a plugin's hooks computed, and decide anew who has which name."""
        with self._changing:
            self._rows = [other for other in self._rows if other.computed_by is not row]
            self._owners = decide(self._rows, self._requires, self.choice, self._running)

    def add_computed(self, rows: Iterable[Plugin]) -> None:
        """Add what a hook computed; names are decided anew, by the same rules as those of entry points."""
        with self._changing:
            self._rows = sorted([*self._rows, *rows], key=sort_key)
            self._owners = decide(self._rows, self._requires, self.choice, self._running)

    def brings(self, distribution: str, kind: Kind, name: str) -> bool:
        """Whether a distribution brings a plugin of that kind and name already."""
        return any(
            row.kind is kind and row.name == name and normalised(row.distribution) == normalised(distribution)
            for row in self._rows
        )

    def recognised_files(self) -> dict[str, tuple[str, bool]]:
        """For each well-known file the runtime that serves it, and whether the file is code. Imports no runtime."""
        return recognised(self._rows, self.names(Kind.RUNTIME), self.choice.prefer)

    def contested_files(self) -> dict[str, tuple[str, ...]]:
        """Files that several runtimes recognise, so that a model's settings must say which one is meant."""
        return unchosen(self._rows, self.names(Kind.RUNTIME), self.choice.prefer)

    def failures(self) -> list[Plugin]:
        """The rows that somebody should do something about: refused and quarantined ones."""
        return [row for row in self._rows if row.state in (State.REFUSED, State.QUARANTINED)]

    def check_strict(self) -> None:
        """Raise PluginsNotWhole if any plugin is refused or quarantined; for plugins.strict."""
        failures = self.failures()
        if failures:
            raise PluginsNotWhole(failures)

    def unmatched(self) -> list[str]:
        """A sentence for each word of disable, only and prefer that means no installed plugin."""
        return [*self._unmatched_words(), *self._unmatched_preferences()]

    def _unmatched_words(self) -> Iterable[str]:
        known = {row.name for row in self._rows} | {row.distribution for row in self._rows}
        for key, words in (("disable", self.choice.disable), ("only", self.choice.only or ())):
            for word in words:
                if not any(covers(word, row) for row in self._rows):
                    yield f"plugins.{key} names '{word}', which no installed plugin is called.{nearest(word, known)}"

    def _unmatched_preferences(self) -> Iterable[str]:
        for key, distribution in self.choice.prefer.items():
            if key.startswith("file:"):
                continue
            claims = [(f"{row.kind.value}:{row.name}", row.distribution) for row in self._rows]
            mine = [word for word, owner in claims if normalised(owner) == normalised(distribution)]
            if key not in mine:
                near = nearest(key, mine) if mine else nearest(distribution, {owner for _, owner in claims})
                yield f"plugins.prefer gives '{key}' to {distribution}, which brings no such plugin.{near}"

    def _disabled(self, kind: Kind, name: str) -> list[Plugin]:
        """A row of that plain name that nobody may use, so that the error can say why."""
        return [row for row in self._rows if row.kind is kind and row.name == name][:1]

    def _import(self, row: Plugin) -> None:
        started = time.perf_counter()
        try:
            loaded = row.loaded if row.computed_by else _resolve(row.entry_point)
            fault = wrong(row.kind, row.name, loaded)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            row.import_seconds = time.perf_counter() - started
            self.quarantine(row, failure(error), error)
            raise PluginBroken(row) from error
        row.import_seconds = time.perf_counter() - started
        if fault:
            self.quarantine(row, fault)
            raise PluginBroken(row)
        row.loaded, row.state = loaded, State.LOADED
        if row.import_seconds > SLOW_IMPORT_SECONDS:
            log.warning("Importing the %s took %.1f s.", row, row.import_seconds)


def _resolve(entry_point: str) -> object:
    module, _, attributes = entry_point.partition(":")
    return functools.reduce(getattr, attributes.split(".") if attributes else (), importlib.import_module(module))


def failure(error: BaseException) -> str:
    """An exception as a reason: class and message on one line, 300 characters."""
    said = " ".join(str(error).split())
    return f"{type(error).__name__}: {said}"[:300] if said else type(error).__name__


def _check_usable(row: Plugin) -> None:
    errors: dict[State, type[PluginDisabled | PluginRefused | PluginBroken]] = {
        State.DISABLED: PluginDisabled,
        State.REFUSED: PluginRefused,
        State.QUARANTINED: PluginBroken,
    }
    if row.state in errors:
        raise errors[row.state](row)

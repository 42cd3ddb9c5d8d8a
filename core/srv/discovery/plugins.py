"""The plugins that were found: looked up by kind and name, imported on first use, quarantined if that fails."""

from __future__ import annotations

import functools
import importlib
import logging
import time
import traceback
from collections.abc import Collection, Iterable, Mapping, Sequence
from threading import Lock

from srv.discovery import required
from srv.discovery.errors import (
    PluginBroken,
    PluginContested,
    PluginDisabled,
    PluginRefused,
    PluginsNotWhole,
    RequiredPluginMissing,
    RuntimeContested,
    UnknownPlugin,
    UnknownRuntime,
)
from srv.discovery.files import recognised
from srv.discovery.kind_checks import fault_of, has_recognise
from srv.discovery.metadata import Metadata, read_metadata
from srv.discovery.plugin import Plugin, PluginKind, PluginState, normalised
from srv.discovery.plugin_states import PluginChoice, covers, decide, rows_of, sort_key
from srv.discovery.renamed import RENAMED, now_called
from srv.errors import Stopped, nearest, said_by
from srv.version import __version__

log = logging.getLogger("srv.plugins")

SLOW_IMPORT_SECONDS = 1.0


def discover(
    *,
    disable: Sequence[str] = (),
    only: Sequence[str] | None = None,
    prefer: Mapping[str, str] | None = None,
    optional: Sequence[str] = (),
    no_plugin: Sequence[str] = (),
    path: list[str] | None = None,
    running: str = __version__,
) -> Plugins:
    """Read the metadata of installed distributions, and decide which plugins may be used. Imports none of them."""
    return Plugins(read_metadata(path), PluginChoice(disable, only, prefer or {}, optional, no_plugin), running)


class Plugins:
    """The outcome of discovery. Reading takes no lock; each plugin is imported once, whichever thread asks first."""

    def __init__(self, metadata: Metadata, choice: PluginChoice, running: str = __version__) -> None:
        self.metadata = metadata
        self.choice = choice
        self._running = running
        self._requires = {normalised(each.name): each.requires for each in metadata.distributions}
        self._rows = rows_of(metadata.distributions)
        self._changing = Lock()
        self._sections: Collection[str] = ()
        self._owners = decide(self._rows, self._requires, choice, running)

    @property
    def rows(self) -> Sequence[Plugin]:
        """Every plugin, sorted by distribution and name."""
        return tuple(self._rows)

    def under(
        self,
        *,
        disable: Sequence[str] = (),
        only: Sequence[str] | None = None,
        prefer: Mapping[str, str] | None = None,
        optional: Sequence[str] = (),
    ) -> Plugins:
        """Return the plugins of the same metadata under other settings, without reading it again or loading any.

        What --no-plugin names stays disabled.
        """
        choice = PluginChoice(disable, only, prefer or {}, optional, self.choice.no_plugin)
        return Plugins(self.metadata, choice, self._running)

    def names(self, kind: PluginKind) -> list[str]:
        """Return the names that work for this kind: plain, or `distribution:name` if another has the plain one."""
        return sorted(
            row.name if self.has_name(row) else row.qualified for row in self._rows if row.kind is kind and row.usable
        )

    def has_name(self, row: Plugin) -> bool:
        """Whether the plain name belongs to this plugin alone."""
        return self._owners.get((row.kind, row.name)) == [row]

    def sections(self) -> Mapping[str, str]:
        """Return the names that may stand as sections in settings.json, with the name that each one means.

        Those of all hook modules, usable or not; and old names of srv's own, unless another plugin has one of them now.
        """
        rows = [row for row in self._rows if row.kind is PluginKind.HOOKS]
        current = {name: name for row in rows for name in (row.name, row.qualified)}
        ours = [row for row in rows if row.ours]
        return {old: new for row in ours for old, new in _old_names(row)} | current

    def find(self, kind: PluginKind, name: str) -> Plugin:
        """Return the plugin of that kind and name, plain or `distribution:name`. Raises a PluginError."""
        candidates = self._meant(kind, name)
        if not candidates:
            error = UnknownRuntime if kind is PluginKind.RUNTIME else UnknownPlugin
            raise error(kind, name, self.names(kind))
        if len(candidates) > 1:
            contested = RuntimeContested if kind is PluginKind.RUNTIME else PluginContested
            raise contested(kind, name, [row.distribution for row in candidates])
        row = candidates[0]
        if not (":" in name and row.name_taken):
            _check_usable(row)
        return row

    def load(self, kind: PluginKind, name: str) -> object:
        """Return what the plugin's entry point gives, imported on first use. Raises a PluginError."""
        return self.load_row(self.find(kind, name))

    def load_row(self, row: Plugin) -> object:
        """Return what the row's entry point gives. A failure quarantines the row, and the error names it."""
        with row.lock:
            if row.state is PluginState.QUARANTINED:
                raise PluginBroken(row)
            if row.state is not PluginState.LOADED:
                self._import(row)
            return row.loaded

    def hook_modules(self) -> list[Plugin]:
        """Return the hook modules that may run, in the order in which their hooks are called."""
        return [row for row in self._rows if row.kind is PluginKind.HOOKS and row.usable]

    def require(self, sections: Collection[str]) -> None:
        """Require the hook modules for which the settings have a section: the server does not serve without them."""
        self._sections = sections
        for row in self._rows:
            if row.kind is PluginKind.HOOKS:
                self._mark_required(row)

    def check_required(self) -> None:
        """Raise if a hook module that has a section, or says `srv_required`, is missing or cannot be used.

        Hook modules in `plugins.optional` are not required.
        """
        for section in sorted(self._sections):
            if not self._meant(PluginKind.HOOKS, section) and section not in self.choice.optional:
                raise RequiredPluginMissing(section, {row.name for row in self._rows if row.kind is PluginKind.HOOKS})
        required.check(self._rows, self.choice)

    def _mark_required(self, row: Plugin) -> None:
        if self.choice.is_optional(row):
            row.required = ""
        elif any(row in self._meant(PluginKind.HOOKS, section) for section in self._sections):
            row.required = "the settings have a section for it"
        elif required.declares_itself(row):
            row.required = f"it says {required.ATTRIBUTE}"

    def quarantine(self, row: Plugin, reason: str, error: BaseException | None = None) -> None:
        """Take a plugin and everything it computed out of use, and log it."""
        with self._changing:
            row.state, row.reason, row.loaded = PluginState.QUARANTINED, reason, None
            if error is not None:
                row.traceback = "".join(traceback.format_exception(error))
            if row.kind is PluginKind.HOOKS:
                self._mark_required(row)
        self.take_back(row)
        owner = row.computed_by or row
        consequence = "srv does not serve without it." if owner.required else "Everything else goes on without it."
        if row.awaits_extra and not owner.required:
            log.warning("%s %s", PluginBroken(row), consequence)
            return
        log.error("%s %s", PluginBroken(row), consequence, exc_info=error)

    def take_back(self, row: Plugin) -> None:
        """Remove what a plugin's hooks computed, and decide again who has which name."""
        with self._changing:
            self._rows = [other for other in self._rows if other.computed_by is not row]
            self._owners = decide(self._rows, self._requires, self.choice, self._running)

    def add_computed(self, rows: Iterable[Plugin]) -> None:
        """Add what a hook computed, and decide names again, by the rules for entry points."""
        with self._changing:
            self._rows = sorted([*self._rows, *rows], key=sort_key)
            self._owners = decide(self._rows, self._requires, self.choice, self._running)

    def brings(self, distribution: str, kind: PluginKind, name: str) -> bool:
        """Whether a distribution brings a plugin of that kind and name already."""
        return any(
            row.kind is kind and row.name == name and normalised(row.distribution) == normalised(distribution)
            for row in self._rows
        )

    def recognised_files(self) -> dict[str, tuple[str, ...]]:
        """Return the runtimes for each well-known file. Imports no runtime."""
        return recognised(self._rows, self.names(PluginKind.RUNTIME), self.choice.prefer)

    def marked_files(self, mark: str) -> frozenset[str]:
        """Return the well-known files of usable runtimes in whose brackets a word stands, CODE or FOLDER."""
        return frozenset(
            file
            for row in self._rows
            if row.kind is PluginKind.RUNTIME and row.usable and mark in row.marks
            for file in row.files
        )

    def failures(self) -> list[Plugin]:
        """Return the rows that need attention: refused and quarantined ones, but for a missing extra."""
        return [row for row in self._rows if row.faulty]

    def check_strict(self) -> None:
        """Raise PluginsNotWhole if any plugin is refused or quarantined; for plugins.strict."""
        failures = self.failures()
        if failures:
            raise PluginsNotWhole(failures)

    def unmatched(self) -> list[str]:
        """Return a sentence for each word of disable, only and prefer that matches no installed plugin."""
        return [*self._unmatched_words(), *self._unmatched_preferences()]

    def left_out(self, sections: Collection[str]) -> list[str]:
        """Return a sentence for each hook module that has one of these sections and is disabled by name."""
        rows = {row.qualified: row for section in sorted(sections) for row in self._meant(PluginKind.HOOKS, section)}
        return [
            f"The settings have a section for the {row}, and the server runs without it: {row.reason}."
            for row in rows.values()
            if row.state is PluginState.DISABLED and self.choice.disabled_by(row)
        ]

    def _unmatched_words(self) -> Iterable[str]:
        known = {row.name for row in self._rows} | {row.distribution for row in self._rows}
        said = {
            "--no-plugin": self.choice.no_plugin,
            "plugins.disable": self.choice.disable,
            "plugins.only": self.choice.only or (),
        }
        for where, words in said.items():
            for word in words:
                old = word.rpartition(":")[2]
                if old in RENAMED and old not in known:
                    yield f"{where} names '{word}': {now_called(old, RENAMED[old])}"
                elif not any(covers(word, row) for row in self._rows):
                    yield f"{where} names '{word}', which no installed plugin is called.{nearest(word, known)}"

    def _unmatched_preferences(self) -> Iterable[str]:
        for key, distribution in self.choice.prefer.items():
            if key.startswith(("file:", "storage:", "adopt:")):  # no plugin: a file's name, a scheme, a class
                continue
            claims = [(f"{row.kind.value}:{row.name}", row.distribution) for row in self._rows]
            mine = [word for word, owner in claims if normalised(owner) == normalised(distribution)]
            if key not in mine:
                near = nearest(key, mine) if mine else nearest(distribution, {owner for _, owner in claims})
                yield f"plugins.prefer gives '{key}' to {distribution}, which brings no such plugin.{near}"

    def _meant(self, kind: PluginKind, name: str) -> list[Plugin]:
        """Return the rows that a name may mean, plain or `distribution:name`: one, several if contested, or none."""
        distribution, colon, plain = name.partition(":")
        if not colon:
            return self._owners.get((kind, name)) or self._disabled(kind, name)
        return [
            row
            for row in self._rows
            if row.kind is kind and row.name == plain and normalised(row.distribution) == normalised(distribution)
        ]

    def _disabled(self, kind: PluginKind, name: str) -> list[Plugin]:
        """Return a row of that plain name that may not be used, so that the error can say why."""
        return [row for row in self._rows if row.kind is kind and row.name == name][:1]

    def _import(self, row: Plugin) -> None:
        started = time.perf_counter()
        try:
            loaded = row.loaded if row.computed_by else _resolve(row.entry_point)
            fault = fault_of(row.kind, row.name, loaded)
        except (KeyboardInterrupt, Stopped):
            raise
        except BaseException as error:
            row.import_seconds = time.perf_counter() - started
            reason = failure(error)
            if row.missing_extra and isinstance(error, ImportError):
                reason = f"{reason}; {row.missing_extra}"
            self.quarantine(row, reason, error)
            raise PluginBroken(row) from error
        row.import_seconds = time.perf_counter() - started
        if fault:
            self.quarantine(row, fault)
            raise PluginBroken(row)
        row.loaded, row.state = loaded, PluginState.LOADED
        row.recognises = row.kind is PluginKind.RUNTIME and has_recognise(loaded)
        if row.kind is PluginKind.HOOKS:
            self._mark_required(row)
        if row.import_seconds > SLOW_IMPORT_SECONDS:
            log.warning("Importing the %s took %.1f s.", row, row.import_seconds)


def _old_names(row: Plugin) -> list[tuple[str, str]]:
    """Return the old names of a plugin of srv's own, plain and with the distribution, each with the new name."""
    old = [name for name, new in RENAMED.items() if new == row.name]
    return [*((name, row.name) for name in old), *((f"{row.distribution}:{name}", row.qualified) for name in old)]


def _resolve(entry_point: str) -> object:
    module, _, attributes = entry_point.partition(":")
    return functools.reduce(getattr, attributes.split(".") if attributes else (), importlib.import_module(module))


def failure(error: BaseException) -> str:
    """Return an exception as a reason: class and message on one line, at most 300 characters."""
    said = said_by(error)
    return f"{type(error).__name__}: {said}"[:300] if said else type(error).__name__


def _check_usable(row: Plugin) -> None:
    errors: dict[PluginState, type[PluginDisabled | PluginRefused | PluginBroken]] = {
        PluginState.DISABLED: PluginDisabled,
        PluginState.REFUSED: PluginRefused,
        PluginState.QUARANTINED: PluginBroken,
    }
    if row.state in errors:
        raise errors[row.state](row)

"""Classes of MLServer's own runtimes as `implementation`: run as they are, or by the native runtime, or refused."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from importlib.util import find_spec
from pathlib import Path

import msgspec

from srv.discovery import PluginKind, Plugins
from srv.repository.errors import ForeignImplementation
from srv.settings.checks import Leaves
from srv.settings.dialect import PLUGIN
from srv.settings.mlserver_keys import RUNTIMES
from srv.settings.server import ServerSettings

_RUNTIME, _IMPLEMENTATION = ("runtime",), ("implementation",)


def native_runtime(implementation: str | None, folders: Iterable[Path | None] = ()) -> str | None:
    """Return srv's name of the runtime that serves the same as a class of MLServer's; None where none does.

    None also where one of the folders has a module of that name, which is the one that is meant.
    """
    package = _package(implementation, folders)
    return None if package is None else RUNTIMES[package]


def _package(implementation: str | None, folders: Iterable[Path | None]) -> str | None:
    """Return the package of MLServer's that a class is in."""
    package = str(implementation or "").partition(".")[0]
    here = any((each / name).exists() for each in folders if each for name in (package, f"{package}.py"))
    return package if package in RUNTIMES and not here else None


class ForeignClasses(msgspec.Struct, frozen=True):
    """What becomes of them: `adopts` where srv-mlserver is usable, `prefer_native` where its settings say so."""

    adopts: bool = False
    prefer_native: bool = False
    #: The names of the runtimes that are installed.
    runtimes: Collection[str] = ()

    @classmethod
    def of(cls, settings: ServerSettings, plugins: Plugins) -> ForeignClasses:
        """Return what holds for a server with these plugins."""
        adopts = any(row.kind is PluginKind.HOOKS and row.name == PLUGIN and row.usable for row in plugins.rows)
        section = settings.sections.get(PLUGIN, {})
        return cls(adopts, section.get("prefer_native") is True, frozenset(plugins.names(PluginKind.RUNTIME)))

    def replaced(self, leaves: Leaves, folders: Iterable[Path | None], place: str) -> Leaves:
        """Return the settings of a model, with the native runtime where that is preferred and installed.

        Raises ForeignImplementation for a class that nothing here can run.
        """
        implementation = leaves.get(_IMPLEMENTATION)
        package = _package(implementation, folders)
        if package is None:
            return leaves
        native = RUNTIMES[package]
        if self.prefer_native and native in self.runtimes:
            return {path: value for path, value in leaves.items() if path != _IMPLEMENTATION} | {_RUNTIME: native}
        if not self.adopts or find_spec(package) is None:
            raise ForeignImplementation(place, str(implementation), native, adopts=self.adopts)
        return leaves

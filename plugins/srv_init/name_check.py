"""Checks that a name is free, among what is installed and among srv's own."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
from collections.abc import Collection

from srv.discovery import PluginKind, Plugins
from srv.errors import SrvError
from srv.settings.schemas import ServerSchema
from srv_init.kinds import Scaffold
from srv_init.names import Names


class NameTaken(SrvError):
    """The name is taken, on this machine at least."""

    def __init__(self, what: str, whose: str, *, advice: str = "Choose another name.") -> None:
        super().__init__(f"{what} is {whose}. {advice}")


def check_free(names: Names, scaffold: Scaffold, plugins: Plugins) -> None:
    """Raise NameTaken if a package of these names could not be installed beside what is installed."""
    if scaffold.brings is None:
        return
    _check_plugin(names, scaffold, plugins)
    _check_distribution(names.distribution)
    _check_package(names.package, {re.split(r"[.:]", row.entry_point)[0] for row in plugins.rows if row.ours})
    if scaffold.brings is PluginKind.HOOKS and names.plain in ServerSchema().fields:
        raise NameTaken(f"'{names.plain}'", "a key of settings.json, where the plugin's section would stand")


def _check_plugin(names: Names, scaffold: Scaffold, plugins: Plugins) -> None:
    for row in plugins.rows:
        if row.kind is scaffold.brings and row.name == names.plain:
            whose = "srv's own" if row.ours else f"brought by {row.distribution} {row.version}, which is installed"
            raise NameTaken(f"The {scaffold.noun} '{names.plain}'", whose)


def _check_distribution(distribution: str) -> None:
    try:
        version = importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return
    raise NameTaken(
        f"{distribution} {version}",
        "installed already",
        advice=f"Choose another name, or, if it is an older try of yours: pip uninstall {distribution}",
    )


def _check_package(package: str, ours: Collection[str]) -> None:
    if package in ours:
        raise NameTaken(f"The import name '{package}'", "srv's own")
    spec = importlib.util.find_spec(package)
    if spec is not None and spec.origin is not None:
        raise NameTaken(f"The import name '{package}'", f"taken by {spec.origin}")

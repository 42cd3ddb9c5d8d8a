"""Packages under development: imported, and neither in the standard library nor in site-packages."""

from __future__ import annotations

import os
import site
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from contextlib import suppress
from importlib.machinery import EXTENSION_SUFFIXES, SOURCE_SUFFIXES
from importlib.util import find_spec
from pathlib import Path

from srv.discovery import Plugins
from srv.discovery.plugin import Plugin, PluginState
from srv.models.plain_names import StandIn
from srv.serve.reloading.files import Area

SUFFIXES = (*SOURCE_SUFFIXES, *EXTENSION_SUFFIXES)


class Packages:
    """The packages of this process that somebody may edit, such as a plugin after `pip install -e`."""

    def __init__(self, plugins: Plugins) -> None:
        self._plugins = plugins
        self._ours = {"srv", "__main__", "__mp_main__"} | {_top(row) for row in plugins.rows if row.ours}
        self._installed = tuple(sorted(_installed()))
        self._looked: set[str] = set()
        self._areas: set[Area] = set()

    def areas(self) -> frozenset[Area]:
        """Return the sources of packages that are imported by now, and of plugins also before their import."""
        tops = {name.partition(".")[0] for name in tuple(sys.modules)}
        tops |= {_top(row) for row in self._plugins.rows}
        for top in tops - self._looked - self._ours:
            areas = {Area(place, suffixes=SUFFIXES) for place in self._places(top)}
            self._areas |= areas
            if areas or top in sys.modules:  # what cannot be found yet may be written any moment
                self._looked.add(top)
        return frozenset(self._areas)

    def of(self, changed: Iterable[Path]) -> set[Path]:
        """Return the changed files that are sources of such a package."""
        return {
            path
            for path in changed
            if path.name.endswith(SUFFIXES)
            and any(area.path in (place, *place.parents) for place in [path.resolve()] for area in self._areas)
        }

    def broken(self) -> Plugin | None:
        """Return a plugin under development that cannot be used as it is now; None where all can."""
        for row in self._plugins.rows:
            if row.state is PluginState.QUARANTINED and not row.ours and any(self._places(_top(row))):
                return row
        return None

    def _places(self, top: str) -> Iterator[Path]:
        """Yield the paths of a package or module under development."""
        for place in map(os.path.realpath, _locations(top)):
            if not (place + os.sep).startswith(self._installed):
                yield Path(place)


def _top(row: Plugin) -> str:
    return row.entry_point.partition(":")[0].partition(".")[0]


def _locations(top: str) -> Iterable[str]:
    with suppress(Exception):  # whatever a stranger's module pretends to be, it is then not watched
        module = sys.modules.get(top)
        if module is None:
            spec = find_spec(top)
            if spec is None:
                return ()
            if spec.submodule_search_locations is not None:
                return [str(place) for place in spec.submodule_search_locations]
            return [spec.origin] if spec.has_location and spec.origin is not None else ()
        if isinstance(module, StandIn):  # a module of a model's folder, which is read anew with its model
            return ()
        if hasattr(module, "__path__"):
            return [str(place) for place in module.__path__]
        file = getattr(module, "__file__", None)
        return [] if file is None else [file]
    return ()


def _installed() -> Iterator[str]:
    """Yield the folders of installed packages; the trailing separator keeps `lib/python3` from matching `lib/python3x`."""
    paths = sysconfig.get_paths()
    places = [paths[key] for key in ("stdlib", "platstdlib", "purelib", "platlib")]
    places += [*site.getsitepackages(), site.getusersitepackages()]
    places += [entry for entry in sys.path if Path(entry).name in ("site-packages", "dist-packages")]
    for place in places:
        yield os.path.realpath(place) + os.sep

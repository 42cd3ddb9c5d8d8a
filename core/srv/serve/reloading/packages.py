"""Which imported packages are being developed: their sources lie neither in the standard library nor in site-packages."""

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
from srv.discovery.plugin import Plugin, State
from srv.serve.reloading.files import Area

SUFFIXES = (*SOURCE_SUFFIXES, *EXTENSION_SUFFIXES)

#: Modules of models' folders, which are read anew with their model.
_PRIVATE = "srv_model_"


class Packages:
    """The packages of this process that somebody may be editing, such as a plugin after `pip install -e`."""

    def __init__(self, plugins: Plugins) -> None:
        self._plugins = plugins
        self._ours = {"srv", "__main__", "__mp_main__"} | {_top(row) for row in plugins.rows if row.ours}
        self._installed = tuple(sorted(_installed()))
        self._looked: set[str] = set()
        self._areas: set[Area] = set()

    def areas(self) -> frozenset[Area]:
        """Their sources: of whatever is imported by now, and of plugins also before they are, or where that fails."""
        tops = {name.partition(".")[0] for name in tuple(sys.modules)}
        tops |= {_top(row) for row in self._plugins.rows}
        for top in tops - self._looked - self._ours:
            areas = {Area(place, suffixes=SUFFIXES) for place in self._places(top)}
            self._areas |= areas
            if areas or top in sys.modules:  # what cannot be found yet may be written any moment
                self._looked.add(top)
        return frozenset(self._areas)

    def of(self, changed: Iterable[Path]) -> set[Path]:
        """Those of the files that changed which are sources of such a package."""
        return {
            path
            for path in changed
            if path.name.endswith(SUFFIXES)
            and any(area.path in (place, *place.parents) for place in [path.resolve()] for area in self._areas)
        }

    def broken(self) -> Plugin | None:
        """A plugin that is being developed and cannot be used as it is now."""
        for row in self._plugins.rows:
            if row.state is State.QUARANTINED and not row.ours and any(self._places(_top(row))):
                return row
        return None

    def _places(self, top: str) -> Iterator[Path]:
        """Where a package or module lies, if it is one that is being developed."""
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
        if module.__name__.startswith(_PRIVATE):  # during a load also under its plain name
            return ()
        if hasattr(module, "__path__"):
            return [str(place) for place in module.__path__]
        file = getattr(module, "__file__", None)
        return [] if file is None else [file]
    return ()


def _installed() -> Iterator[str]:
    """The folders of what nobody edits; a trailing separator keeps `lib/python3` from standing for `lib/python3x`."""
    paths = sysconfig.get_paths()
    places = [paths[key] for key in ("stdlib", "platstdlib", "purelib", "platlib")]
    places += [*site.getsitepackages(), site.getusersitepackages()]
    places += [entry for entry in sys.path if Path(entry).name in ("site-packages", "dist-packages")]
    for place in places:
        yield os.path.realpath(place) + os.sep

"""Modules under a public name that a model's newest generation has not imported yet, while an older one has."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any

from srv.models.plain_names import calling_code, code_of

#: importlib's lock of one module, which has no public name: it knows when two threads wait for each other.
_lock_of = importlib._bootstrap._ModuleLockManager  # type: ignore[attr-defined]


class Early(ModuleType):
    """Holds the place of a module, so that its name is never missing in sys.modules: a pickle that is read looks there.

    Code of an older generation sees its own module, code of no model the latest older one's. When the newest
    generation's code asks, its module is imported.
    """

    def __getattr__(self, attribute: str) -> Any:
        name = vars(self)["__name__"]
        code = calling_code()
        if code is None:
            newest = code_of(_package_of(name))
            module = newest.of_before(name) if newest is not None else None
        else:
            module = code.counterpart(name)
        return getattr(imported(name) if module is None else module, attribute)


def imported(name: str) -> ModuleType:
    """Import a module by its public name as the newest generation has it."""
    replace_early(name)
    return importlib.import_module(name)


def replace_early(name: str, fromlist: Sequence[str] | None = ()) -> None:
    """Import what an import statement of the newest generation's code names, where early modules have these places.

    Raises ModuleNotFoundError where the newest generation has no such module, and what a module raises.
    """
    _replace_each(name)
    for inner in (f"{name}.{each}" for each in fromlist or ()):
        try:
            _replace_each(inner)
        except ModuleNotFoundError as error:
            if error.name != inner:  # else it is no module any more, but may be a name in one
                raise


def _replace_each(name: str) -> None:
    """Import a module, and the packages above it first, where early ones have their places."""
    package = _package_of(name)
    at = len(package)
    while at < len(name):
        end = name.find(".", at + 1)
        at = len(name) if end < 0 else end
        if type(sys.modules.get(name[:at])) is Early:
            _replace(name[:at], package)


def _replace(name: str, package: str) -> None:
    with _lock_of(name):
        early = sys.modules.get(name)
        if type(early) is not Early:
            return  # another thread was faster
        above, _, last = name.rpartition(".")
        parent = importlib.import_module(above)
        code = code_of(package)
        spec = code.found(name, parent.__path__) if code is not None else None
        if spec is None:
            if code is None or code.of_before(name) is None:
                sys.modules.pop(name, None)
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        module = importlib.util.module_from_spec(spec)
        assert spec.loader is not None
        spec._initializing = True  # type: ignore[attr-defined]  # makes other threads wait, as it does in importlib
        sys.modules[name] = module
        try:
            spec.loader.exec_module(module)
        except BaseException:
            sys.modules[name] = early
            raise
        finally:
            spec._initializing = False  # type: ignore[attr-defined]
        setattr(parent, last, module)


def _package_of(name: str) -> str:
    return ".".join(name.split(".")[:3])

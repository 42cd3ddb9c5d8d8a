"""The files of a model's modules: which there are, and how one is compiled."""

from __future__ import annotations

import builtins
from functools import partial
from importlib.machinery import (
    EXTENSION_SUFFIXES,
    SOURCE_SUFFIXES,
    ExtensionFileLoader,
    FileFinder,
    ModuleSpec,
    SourceFileLoader,
)
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any, Protocol

_SUFFIXES = (*SOURCE_SUFFIXES, *EXTENSION_SUFFIXES)
#: A package may lie so many folders above its first module.
_DEEPEST = 3


class Importer(Protocol):
    """The owner of modules, which handles their imports."""

    def import_(self, name: str, *arguments: Any) -> ModuleType:
        """Do what an import statement in one of the modules does."""

    def share(self) -> None:
        """React to the end of a module's execution."""


def has_module(folder: Path, name: str) -> bool:
    """Return whether a folder has a module or package of that name, which has no dots."""
    place = folder / name
    return any(place.with_name(name + suffix).is_file() for suffix in _SUFFIXES) or _is_package(place)


def module_spec(fullname: str, folder: str, code: Importer) -> ModuleSpec | None:
    """Return what importlib needs to import a module from a folder, or None where it is not there."""
    # A new finder each time, because a kept one trusts the folder's time stamp and misses files added just now.
    finder = FileFinder(
        folder,
        (ExtensionFileLoader, EXTENSION_SUFFIXES),
        (partial(_FromSource, code=code), SOURCE_SUFFIXES),  # type: ignore[arg-type]  # it calls what it is given
    )
    return finder.find_spec(fullname)


class _FromSource(SourceFileLoader):
    """Compiles a file as it is now, without cached bytecode, and gives the module its own `__import__`."""

    def __init__(self, fullname: str, path: str, code: Importer) -> None:
        super().__init__(fullname, path)
        self._code = code

    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        code: CodeType = self.source_to_code(self.get_data(path), path)
        return code

    def exec_module(self, module: ModuleType) -> None:
        module.__dict__["__builtins__"] = {**vars(builtins), "__import__": self._code.import_}
        super().exec_module(module)
        self._code.share()


def _is_package(folder: Path, deepest: int = _DEEPEST) -> bool:
    """Return whether a folder is a package: it holds modules, or folders that do."""
    if not folder.is_dir():
        return False
    entries = list(folder.iterdir())
    if any(entry.name.endswith(_SUFFIXES) for entry in entries):
        return True
    return deepest > 1 and any(_is_package(entry, deepest - 1) for entry in entries if entry.name.isidentifier())

"""A model's own modules: compiled from its folder under private names, so that no two models share one."""

from __future__ import annotations

import builtins
import importlib
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.abc import Loader, MetaPathFinder
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
from typing import Any

from srv.errors import SrvError

_SUFFIXES = (*SOURCE_SUFFIXES, *EXTENSION_SUFFIXES)


class BadImplementation(SrvError):
    """`implementation` names nothing that can be a runtime."""


class ModelCode:
    """The modules of one model's folder, in one generation: a reload makes another, from the files as they are then.

    They stand in sys.modules under a private package name. Their own import statements, late ones too, find siblings
    first, and so does nobody else's: a `queue.py` beside the settings shadows the standard library for this model only.
    """

    def __init__(self, folder: Path, model: str) -> None:
        self._folder = folder
        self._package = _private_package(model, folder)
        self._finder = _PrivateFinder(self._package, self._import)
        sys.meta_path.insert(0, self._finder)  # before the path finder, which would take the package for its own

    def attribute(self, implementation: str) -> object:
        """What `module.Class` names: from the folder, or, where it has no such module, from what is installed.

        Raises BadImplementation where there is nothing of that name, and whatever the module raises on import.
        """
        module_name, _, name = implementation.rpartition(".")
        if not module_name:
            raise BadImplementation(
                f"'{implementation}' is no implementation: it takes the form 'module.Class', such as 'models.MyRuntime'."
            )
        module = self._module(module_name, implementation)
        try:
            return getattr(module, name)
        except AttributeError:
            raise BadImplementation(f"The module '{module_name}' has no '{name}', which the settings name.") from None

    @contextmanager
    def plain_names(self) -> Iterator[None]:
        """Let the modules stand under their plain names too, so that pickles find their classes.

        Holds for the whole process while it lasts, therefore loads take turns. The standard library's names are
        never taken, an installed module's only until the end.
        """
        stood: dict[str, ModuleType] = {}
        finder = _PlainFinder(self)
        for plain, module in self._loaded().items():
            if plain.partition(".")[0] not in sys.stdlib_module_names:
                if plain in sys.modules:
                    stood[plain] = sys.modules[plain]
                sys.modules[plain] = module
        sys.meta_path.append(finder)
        try:
            yield
        finally:
            sys.meta_path.remove(finder)
            ours = {id(module) for module in self._loaded().values()}
            for plain in [name for name, module in sys.modules.copy().items() if id(module) in ours]:
                if not self._owns(plain):
                    del sys.modules[plain]
            sys.modules.update(stood)

    def forget(self) -> None:
        """Take the modules out of sys.modules; what still refers to them keeps them alive."""
        if self._finder in sys.meta_path:
            sys.meta_path.remove(self._finder)
        for name in [name for name in sys.modules.copy() if self._owns(name)]:
            del sys.modules[name]

    def has(self, name: str) -> bool:
        """Whether the folder has a module or package of that name."""
        head = name.partition(".")[0]
        if f"{self._package}.{head}" in sys.modules:
            return True
        place = self._folder / head
        return any(place.with_name(head + suffix).is_file() for suffix in _SUFFIXES) or _is_package(place)

    def sibling(self, name: str) -> ModuleType:
        """Import a module of the folder by its plain name."""
        return importlib.import_module(f"{self._package}.{name}")

    def _module(self, module_name: str, implementation: str) -> ModuleType:
        name = f"{self._package}.{module_name}" if self.has(module_name) else module_name
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name is None or not (name + ".").startswith(error.name + "."):
                raise
            raise BadImplementation(
                f"The module of '{implementation}' is neither in the model's folder nor installed."
            ) from None

    def _owns(self, name: str) -> bool:
        return name == self._package or name.startswith(self._package + ".")

    def _loaded(self) -> dict[str, ModuleType]:
        """The folder's modules imported so far, by plain name."""
        prefix = self._package + "."
        return {name[len(prefix) :]: module for name, module in sys.modules.copy().items() if name.startswith(prefix)}

    def _import(
        self,
        name: str,
        globals: Mapping[str, Any] | None = None,
        locals: Mapping[str, Any] | None = None,
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> ModuleType:
        """What an import statement in one of the folder's modules does: siblings first."""
        if level or not self.has(name):
            return builtins.__import__(name, globals, locals, fromlist or (), level)
        module = builtins.__import__(f"{self._package}.{name}", globals, locals, fromlist or (), 0)
        return module if fromlist else sys.modules[f"{self._package}.{name.partition('.')[0]}"]


class _PrivateFinder(MetaPathFinder):
    """Finds what is in one model's private package; knows no other name."""

    def __init__(self, package: str, import_: Any) -> None:
        self._prefix = package + "."
        self._import = import_

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if not fullname.startswith(self._prefix):
            return None
        for entry in path or ():
            # A finder per look: a kept one would trust the folder's time stamp and miss files that came in between.
            finder = FileFinder(entry, (ExtensionFileLoader, EXTENSION_SUFFIXES), (self._loader, SOURCE_SUFFIXES))  # type: ignore[arg-type]  # it calls what it is given
            found = finder.find_spec(fullname)
            if found is not None:
                return found
        return None

    def _loader(self, fullname: str, path: str) -> Loader:
        return _FromSource(fullname, path, self._import)


class _FromSource(SourceFileLoader):
    """Compiles a file as it is now, with no cached bytecode, and gives it imports of its own."""

    def __init__(self, fullname: str, path: str, import_: Any) -> None:
        super().__init__(fullname, path)
        self._import = import_

    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        code: CodeType = self.source_to_code(self.get_data(path), path)
        return code

    def exec_module(self, module: ModuleType) -> None:
        module.__dict__["__builtins__"] = {**vars(builtins), "__import__": self._import}
        super().exec_module(module)


class _PlainFinder(MetaPathFinder):
    """During a load, the last to be asked: a plain name that nobody else knows is the model's own module."""

    def __init__(self, code: ModelCode) -> None:
        self._code = code

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if not self._code.has(fullname):
            return None
        module = self._code.sibling(fullname)
        return ModuleSpec(fullname, _Standing(module), is_package=hasattr(module, "__path__"))


class _Standing(Loader):
    """Gives a module that is there already, and leaves it as it was."""

    def __init__(self, module: ModuleType) -> None:
        self._module = module
        self._spec = module.__spec__

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return self._module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self._spec


def _is_package(folder: Path) -> bool:
    """Whether a folder holds Python files; one of data only is no package."""
    return folder.is_dir() and any(folder.glob("*.py"))


def _private_package(model: str, folder: Path) -> str:
    """Make the package that a model's modules stand in: the model's name, with a number for the generation."""
    slug = re.sub(r"\W", "_", model)
    generation = 1
    while f"srv_model_{slug}_{generation}" in sys.modules:
        generation += 1
    package = ModuleType(f"srv_model_{slug}_{generation}")
    package.__path__ = [str(folder)]
    sys.modules[package.__name__] = package
    return package.__name__

"""Modules of models by plain names such as `features`: the code of each model sees its own."""

from __future__ import annotations

import sys
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.readers import FileReader
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any

from srv.models.module_names import ROOT

_asking = threading.local()


class Modules(ABC):
    """The modules of one model's folder."""

    @abstractmethod
    def has(self, name: str) -> bool:
        """Return whether the folder has a module or package of that plain name."""

    @abstractmethod
    def sibling(self, name: str) -> ModuleType:
        """Import a module of the folder by its plain name."""

    @abstractmethod
    def counterpart(self, name: str) -> ModuleType | None:
        """Return this generation's own module for a public name, which belongs to the newest; None for the newest itself."""

    @abstractmethod
    def of_before(self, name: str) -> ModuleType | None:
        """Return the module for a public name from the latest older generation that has imported it, for other code.

        None in a child process, where only code of an older generation sees that one's modules.
        """

    @abstractmethod
    def found(self, fullname: str, path: Sequence[str]) -> ModuleSpec | None:
        """Return the spec of a module from its file, below one of these folders; None where there is none."""

    def by_plain_name(self, name: str) -> ModuleType | None:
        """Return the folder's module of that name, or None where it has none."""
        return self.sibling(name) if self.has(name) else None


class RootLoader(Loader):
    """The loader of a model's package: knows where its files lie, and has nothing to execute."""

    def __init__(self, code: Modules, folder: Path) -> None:
        self.code = code
        self.path = str(folder / "__init__.py")

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """Return the package, which is in sys.modules already when importlib asks."""
        return sys.modules[spec.name]

    def exec_module(self, module: ModuleType) -> None:
        """Execute nothing."""

    def get_resource_reader(self, name: str) -> FileReader:  # noqa: ARG002  importlib calls it so
        """Read the files beside the modules, for importlib.resources."""
        return FileReader(self)  # type: ignore[arg-type]  # it takes any loader with a path


class ExistingModuleLoader(Loader):
    """The loader of a module that exists already, and that the import must not change."""

    def __init__(self, module: ModuleType) -> None:
        self._module = module
        self._spec = vars(module).get("__spec__")

    def create_module(self, spec: ModuleSpec) -> ModuleType:  # noqa: ARG002  importlib calls it so
        """Return the module."""
        return self._module

    def exec_module(self, module: ModuleType) -> None:
        """Restore the module's spec, which the import has replaced."""
        if self._spec is not None:
            module.__spec__ = self._spec


class StandIn(ModuleType):
    """The module in sys.modules under a plain name: shows the code of each model that model's own module.

    Other code sees the module that `usual` finds, else `displaced`, the module that had the name before.
    """

    def __init__(
        self,
        name: str,
        usual: Callable[[str], ModuleType | None],
        displaced: ModuleType | None,
        *,
        outlasts_load: bool = False,
    ) -> None:
        super().__init__(name)
        hidden = vars(self)
        del hidden["__doc__"]  # so that the module's own is shown
        hidden["_srv"] = _StandInState(usual, displaced, outlasts_load=outlasts_load)

    def __getattr__(self, attribute: str) -> Any:
        module = _shown(self)
        if module is None:
            raise AttributeError(
                f"'{vars(self)['__name__']}' is a module of several models or of none, and the code that asks for its "
                f"'{attribute}' belongs to no model."
            )
        return getattr(module, attribute)

    def __dir__(self) -> list[str]:
        module = _shown(self)
        return dir(module) if module is not None else []


class _StandInState:
    """The attributes of a stand-in, apart from the ones that it shows."""

    def __init__(
        self, usual: Callable[[str], ModuleType | None], displaced: ModuleType | None, *, outlasts_load: bool
    ) -> None:
        self.usual = usual
        self.displaced = displaced
        self.outlasts_load = outlasts_load


class PlainFinder(MetaPathFinder):
    """The last finder: looks for a plain name in the folder of the model whose code imports it, or that loads."""

    def __init__(self) -> None:
        #: The models that load now, the last one last.
        self.loading: list[Modules] = []
        #: Held while plain names are put into sys.modules or taken out.
        self.guard = threading.RLock()

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,  # noqa: ARG002  importlib calls it so
        target: ModuleType | None = None,  # noqa: ARG002  importlib calls it so
    ) -> ModuleSpec | None:
        """Return a spec that gives a stand-in. Raises what the model's module raises on import."""
        asking = calling_code()
        if asking is not None:
            found = asking if asking.has(fullname) else None
        else:
            found = next((code for code in self.loading[::-1] if code.has(fullname)), None)
        if found is None:
            return None
        found.sibling(fullname)
        with self.guard:
            lasts = asking is not None and asking not in self.loading
            usual = found.by_plain_name if found in self.loading else only_one
            return ModuleSpec(fullname, ExistingModuleLoader(StandIn(fullname, usual, None, outlasts_load=lasts)))

    def keep(self, plain: str) -> None:
        """Put a stand-in under a module's plain name that outlasts the load, for code that looks in sys.modules."""
        with self.guard:
            there = sys.modules.get(plain)
            if there is None and plain.partition(".")[0] not in sys.stdlib_module_names:
                there = sys.modules[plain] = StandIn(plain, only_one, None)
            if isinstance(there, StandIn):
                _state(there).outlasts_load = True

    def begin(self, code: Modules, loaded: Mapping[str, ModuleType]) -> None:
        """Put stand-ins under the plain names of a model that loads, but not under names of the standard library."""
        with self.guard:
            self.loading.append(code)
            for plain in loaded:
                if plain.partition(".")[0] not in sys.stdlib_module_names:
                    there = sys.modules.get(plain)
                    if isinstance(there, StandIn):
                        _state(there).usual = code.by_plain_name
                    else:
                        sys.modules[plain] = StandIn(plain, code.by_plain_name, there)

    def end(self, code: Modules) -> None:
        """Take the plain names of a load that has ended out of sys.modules, and put back what stood there before."""
        with self.guard:
            self.loading.remove(code)
            for name, module in _stand_ins():
                state = _state(module)
                if state.usual == code.by_plain_name:
                    state.usual = only_one if state.displaced is None else _nothing
                    if state.displaced is not None:
                        sys.modules[name] = state.displaced
                    elif not state.outlasts_load:
                        del sys.modules[name]

    def drop(self) -> None:
        """Take out of sys.modules the plain names that no model has any more."""
        with self.guard:
            for name, module in _stand_ins():
                if _state(module).displaced is None and not any(code.has(name) for code in codes()):
                    del sys.modules[name]


def plain_finder() -> PlainFinder:
    """Return this process's finder of plain names."""
    return next(finder for finder in reversed(sys.meta_path) if isinstance(finder, PlainFinder))


@contextmanager
def asking_for(code: Modules) -> Iterator[None]:
    """Make `calling_code` return these modules in this thread, because srv imports for them."""
    before = getattr(_asking, "code", None)
    _asking.code = code
    try:
        yield
    finally:
        _asking.code = before


def calling_code() -> Modules | None:
    """Return the modules of the model whose function runs in this thread; of several the innermost."""
    asked: Modules | None = getattr(_asking, "code", None)
    if asked is not None:
        return asked
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        owner = getattr(frame.f_builtins.get("__import__"), "__self__", None)
        if isinstance(owner, Modules):
            return owner
        frame = frame.f_back
    return None


def code_of(package: str) -> Modules | None:
    """Return the modules of the model whose package has that name; None where there is none."""
    root = sys.modules.get(package)
    loader = getattr(vars(root).get("__spec__"), "loader", None) if root is not None else None
    return loader.code if isinstance(loader, RootLoader) else None


def codes() -> list[Modules]:
    """Return the modules of all models of this process, older generations included."""
    packages = [name for name in list(sys.modules) if name.startswith(ROOT + ".") and name.count(".") == 2]
    return list({id(code): code for code in map(code_of, packages) if code is not None}.values())


def only_one(plain: str) -> ModuleType | None:
    """Return the module of that name where only one model has it; else None."""
    having = [code for code in codes() if code.has(plain)]
    return having[0].sibling(plain) if len(having) == 1 else None


def _nothing(plain: str) -> ModuleType | None:  # noqa: ARG001  the signature of `usual`
    return None


def _state(stand_in: StandIn) -> _StandInState:
    state: _StandInState = vars(stand_in)["_srv"]
    return state


def _shown(stand_in: StandIn) -> ModuleType | None:
    plain, state = vars(stand_in)["__name__"], vars(stand_in).get("_srv")
    if state is None:
        return None
    code = calling_code()
    found = (code.by_plain_name if code is not None else state.usual)(plain)
    module: ModuleType | None = found if found is not None else state.displaced
    return module


def _stand_ins() -> Iterator[tuple[str, StandIn]]:
    for name, module in sys.modules.copy().items():
        if isinstance(module, StandIn):
            yield name, module

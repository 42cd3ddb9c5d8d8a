"""A model's own modules: compiled from its folder under private names, so that no two models share one."""

from __future__ import annotations

import builtins
import importlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import resolve_name
from pathlib import Path
from types import ModuleType, NoneType
from typing import Any

from srv.errors import SrvError
from srv.models.early_modules import Early, imported, replace_early
from srv.models.module_files import has_module, module_spec
from srv.models.module_names import ROOT, Links, linked
from srv.models.module_renames import rename
from srv.models.plain_names import (
    ExistingModuleLoader,
    Modules,
    PlainFinder,
    RootLoader,
    StandIn,
    asking_for,
    calling_code,
    code_of,
    plain_finder,
)

#: The attributes that import statements read from a module that is in sys.modules.
_OF_IMPORT = {"__spec__", "__path__", "__class__"}


class BadImplementation(SrvError):
    """`implementation` names nothing that can be a runtime."""


class ModelCode(Modules):
    """One generation of the modules of a model's folder. A reload makes the next one from the files as they are then.

    The newest generation has the public name `srv.model.<model>` in sys.modules. The generation before it is renamed to
    `srv.model.<model>~<number>`, `__name__` and `__module__` included, until its last request has been answered; its own
    code still finds its modules under the public name. Where the newest is forgotten first, because its load failed, the
    generation before gets the public name back.

    Import statements in the modules, late ones too, look in the folder first: a `queue.py` beside the settings shadows
    the standard library for this model and for no other code.
    """

    def __init__(
        self, folder: Path, identifier: str, *, links: Links | None = None, copy_of: int | None = None
    ) -> None:
        parent = importlib.import_module(ROOT)
        self._folder = folder
        self._links = links
        #: Whether this is a copy, in a child process, of the generation of that number in the parent process.
        self._is_copy = copy_of is not None
        identifier = self._free_identifier(identifier)
        self._public = f"{ROOT}.{identifier}"
        before = _model_code(self._public)
        #: All generations that exist, the newest last.
        self._family: list[ModelCode] = before._family if before is not None else []
        self._number: int = copy_of or (1 if before is None else before._number + 1)
        self._package = self._public
        self._root = ModuleType(self._public)
        self._root.__path__ = [str(folder)]
        self._root.__package__ = self._public
        self._root.__spec__ = ModuleSpec(self._public, RootLoader(self, folder), is_package=True)
        self._root.__spec__.submodule_search_locations = self._root.__path__
        if before is not None:
            before._move(f"{self._public}~{before._number}")
        sys.modules[self._public] = self._root
        setattr(parent, identifier, self._root)
        self._family.append(self)
        if links is not None:
            links.put(identifier, self._number, folder)

    def attribute(self, implementation: str) -> object:
        """Return what `module.Class` names: in the folder, or, where the folder has no such module, in an installed package.

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

    def own_classes(self, implementation: str) -> list[tuple[str, type]]:
        """Return the classes in the module of `module.Class` that the folder's modules define, each with its name."""
        module = self._module(implementation.rpartition(".")[0], implementation)
        found = {id(value): value for value in vars(module).values() if isinstance(value, type)}
        own = self._package + "."
        return [
            (f"{each.__module__.removeprefix(own)}.{each.__qualname__}", each)
            for each in found.values()
            if str(each.__module__).startswith(own)
        ]

    @contextmanager
    def plain_names(self) -> Iterator[None]:
        """Make the modules importable by their plain names too, so that pickles find their classes.

        Code of another model sees that model's own modules under these names. Code of no model sees this model's, which is
        why loads take turns. Names of the standard library are never taken, names of installed modules only meanwhile.
        """
        finder = plain_finder()
        finder.begin(self, self._loaded())
        try:
            yield
        finally:
            finder.end(self)

    def forget(self) -> None:
        """Take the modules out of sys.modules; what still refers to them keeps them alive."""
        if self not in self._family:
            return
        was_newest = self._family[-1] is self
        self._family.remove(self)
        mine = {id(module) for module in (self._root, *self._loaded().values())}
        if was_newest and self._family:
            self._family[-1]._move(self._public)
        for name in [name for name, module in sys.modules.copy().items() if id(module) in mine]:
            del sys.modules[name]
        if not self._family:
            vars(sys.modules[ROOT]).pop(self._public.removeprefix(ROOT + "."), None)
        self.share()
        plain_finder().drop()

    def has(self, name: str) -> bool:
        """Return whether the folder has a module or package of that name."""
        head = name.partition(".")[0]
        if type(sys.modules.get(f"{self._package}.{head}")) not in (NoneType, Early):
            return True
        return has_module(self._folder, head)

    def sibling(self, name: str) -> ModuleType:
        """Import a module of the folder by its plain name."""
        with asking_for(self):
            return imported(f"{self._package}.{name}")

    def counterpart(self, name: str) -> ModuleType | None:
        """Return this generation's own module for a public name; None for the newest, to which the name belongs."""
        if self._package == self._public or not (name + ".").startswith(self._public + "."):
            return None
        return sys.modules.get(self._package + name.removeprefix(self._public))

    def follow(self) -> ModelCode:
        """Return the newest generation. In a child process, copy the parent's newest generation first.

        A process of a multiprocessing pool keeps the generation that made the pool, which may have initialized it.
        """
        newest = self._family[-1]
        follows = self._is_copy and not _is_of_one_pool()
        link = linked(self._public.removeprefix(ROOT + ".")) if follows else None
        if link is None or link[0] == newest._number:
            return newest
        number, folder = link
        if all(each._number != number for each in self._family):
            for gone in self._family[:-1]:  # but not the last, which may still have work
                gone.forget()
            return ModelCode(folder, newest._public.removeprefix(ROOT + "."), copy_of=number)
        while newest._number != number:  # the parent's load has failed
            newest.forget()
            newest = self._family[-1]
        return newest

    def is_early(self, name: str, asking: Modules | None) -> bool:
        """Return whether other code asks for a module that an older generation has imported and this one has not."""
        if self._is_copy:
            return asking is not None and asking.counterpart(name) is not None
        return asking is not self and self.of_before(name) is not None

    def of_before(self, name: str) -> ModuleType | None:
        """Return the module for a public name from the latest older generation that has imported it, for other code.

        None in a child process, where only code of an older generation sees that one's modules.
        """
        found = (each.counterpart(name) for each in ([] if self._is_copy else self._family[::-1]))
        return next((module for module in found if module is not None), None)

    def found(self, fullname: str, path: Sequence[str]) -> ModuleSpec | None:
        """Return the spec of a module from its file, below one of these folders; None where there is none."""
        specs = (module_spec(fullname, entry, self) for entry in path)
        return next((spec for spec in specs if spec is not None), None)

    # -- names ---------------------------------------------------------------------------------------------------------

    def _free_identifier(self, identifier: str) -> str:
        """Return the identifier, with a number behind it where a model of another server in this process has it."""
        free, number = identifier, 1
        while (other := _model_code(f"{ROOT}.{free}")) is not None and not self._continues(other):
            number += 1
            free = f"{identifier}_{number}"
        return free

    def _continues(self, other: ModelCode) -> bool:
        return self._links is other._links and (
            self._links is not None or self._is_copy or self._folder == other._folder
        )

    def _move(self, package: str) -> None:
        """Rename the package in sys.modules, and in its modules and the classes and functions that pickles name."""
        before = self._package
        modules = {"": self._root, **{f".{plain}": module for plain, module in _below(before)}}
        for rest, module in modules.items():
            sys.modules[package + rest] = module
        self._package = package  # not before the modules are there, because other threads import meanwhile
        for module in modules.values():
            _become(module, ModuleType)
        for rest, module in modules.items():
            rename(module, before + rest, package + rest)
        # Other threads may read a pickle that names a module as it was called. So no name goes before its model does: the
        # next generation takes the public ones over, and where that one fails, this one keeps both.
        if before == self._public:
            for rest in modules:
                if rest:
                    sys.modules[before + rest] = Early(before + rest)
        if package == self._public:
            identifier = package.removeprefix(ROOT + ".")
            setattr(sys.modules[ROOT], identifier, self._root)
            if self._links is not None:
                self._links.put(identifier, self._number, self._folder)
        self.share()

    def share(self) -> None:
        """Make the newest generation's modules `_Shared` while other generations exist, and ordinary modules after that."""
        for name, module in sys.modules.copy().items():
            if type(module) is Early and name.startswith(self._public + ".") and not self._is_needed(name):
                del sys.modules[name]
        for _, module in _below(self._public):
            _become(module, _Shared if len(self._family) > 1 or self._is_copy else ModuleType)

    def _module(self, module_name: str, implementation: str) -> ModuleType:
        name = f"{self._package}.{module_name}" if self.has(module_name) else module_name
        try:
            with asking_for(self):
                return imported(name)
        except ModuleNotFoundError as error:
            if error.name is None or not (name + ".").startswith(error.name + "."):
                raise
            raise BadImplementation(
                f"The module of '{implementation}' is neither in the model's folder nor installed."
            ) from None

    def _is_needed(self, early: str) -> bool:
        """Return whether an early module of that name holds the place of a module, of an older generation or in a file."""
        head = early.removeprefix(self._public + ".").partition(".")[0]
        return bool(self._family) and (self.of_before(early) is not None or has_module(self._folder, head))

    def _loaded(self) -> dict[str, ModuleType]:
        """Return the modules of the folder that were imported so far, by plain name."""
        return dict(_below(self._package))

    def import_(
        self,
        name: str,
        globals: Mapping[str, Any] | None = None,
        locals: Mapping[str, Any] | None = None,
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> ModuleType:
        """Do what an import statement in one of the folder's modules does: look in the folder first."""
        if level or not self.has(name):
            if level and self._package == self._public:
                replace_early(resolve_name("." * level + name, (globals or {}).get("__package__")), fromlist)
            return builtins.__import__(name, globals, locals, fromlist or (), level)
        replace_early(f"{self._package}.{name}", fromlist)
        module = builtins.__import__(f"{self._package}.{name}", globals, locals, fromlist or (), 0)
        if fromlist == []:  # C code, such as pickle's, which looks in sys.modules afterwards
            plain_finder().keep(name)
        return module if fromlist else sys.modules[f"{self._package}.{name.partition('.')[0]}"]


class _Shared(ModuleType):
    """A module of the newest generation while older ones exist: code of an older one sees that one's own module instead.

    In a child process every module is shared, because data that it unpickles may belong to a newer generation.
    """

    def __getattribute__(self, attribute: str) -> Any:
        own = ModuleType.__getattribute__
        if attribute in _OF_IMPORT:
            return own(self, attribute)
        name = own(self, "__name__")
        code = calling_code()
        shown = code.counterpart(name) if code is not None else _followed(name)
        return own(self, attribute) if shown is None else getattr(shown, attribute)


class PrivateFinder(MetaPathFinder):
    """Finds modules below `srv.model`. The first of all finders, because the path finder would load them itself."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the spec of a module below `srv.model`, or of one in a package that was imported by its plain name."""
        if not fullname.startswith(ROOT + "."):
            above = sys.modules.get(fullname.rpartition(".")[0])
            return plain_finder().find_spec(fullname, path, target) if isinstance(above, StandIn) else None
        package = ".".join(fullname.split(".")[:3])
        if fullname == package:
            return ModuleSpec(fullname, ExistingModuleLoader(_root_of(package)))
        code = _model_code(package)
        if code is None:
            return None
        if package != code._package:  # a pickle names a generation that is gone or was renamed
            own = importlib.import_module(code._package + fullname.removeprefix(package))
            return ModuleSpec(fullname, ExistingModuleLoader(own))
        code = code.follow()
        if code.is_early(fullname, calling_code()):
            return ModuleSpec(fullname, ExistingModuleLoader(Early(fullname)))
        return code.found(fullname, path or ())


def _become(module: ModuleType, kind: type[ModuleType]) -> None:
    """Turn an ordinary module into a shared one or back; leave any other class alone."""
    if type(module) in (ModuleType, _Shared):
        module.__class__ = kind


def install_finders() -> None:
    """Install the finders of modules below `srv.model`, and of a model's modules by their plain names."""
    if not any(isinstance(finder, PrivateFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, PrivateFinder())
        sys.meta_path.append(PlainFinder())


def _model_code(package: str) -> ModelCode | None:
    code = code_of(package)
    return code if isinstance(code, ModelCode) else None


def _is_of_one_pool() -> bool:
    """Return whether this process belongs to a multiprocessing pool, and not to loky, whose pools share processes."""
    process = sys.modules.get("multiprocessing.process")
    if process is None or process.parent_process() is None:
        return False
    return "loky" not in type(process.current_process()).__module__


def _followed(name: str) -> ModuleType | None:
    """Return the module of a newer generation that the parent has loaded, in a child process; None where there is none.

    None also where that generation cannot be imported: its load fails in the parent too, which keeps the one before.
    """
    code = _model_code(".".join(name.split(".")[:3]))
    if code is None or code.follow() is code:
        return None
    with suppress(Exception):
        return imported(name)
    return None


def _root_of(package: str) -> ModuleType:
    """Return the package of a model that this process has not imported yet, or of a renamed generation.

    In a child process the model's modules are imported from the folder that its parent has linked. Raises
    ModuleNotFoundError where there is no such model.
    """
    public, _, number = package.partition("~")
    code = _model_code(public)
    if code is None:
        identifier = public.removeprefix(ROOT + ".")
        link = linked(identifier)
        if link is None:
            raise ModuleNotFoundError(
                f"No module named '{package}': it belongs to a model that neither this process nor the one that "
                "started it has loaded.",
                name=package,
            )
        code = ModelCode(link[1], identifier, copy_of=link[0])
    code = code.follow()
    return next((each for each in code._family if str(each._number) == number), code)._root


def _below(package: str) -> list[tuple[str, ModuleType]]:
    """Return the modules below a package in sys.modules, each with its name relative to the package."""
    prefix = package + "."
    return [
        (name[len(prefix) :], module) for name, module in sys.modules.copy().items()
        if name.startswith(prefix) and type(module) is not Early
    ]  # fmt: skip

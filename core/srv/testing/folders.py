"""The models of a test, written as a folder that any server serves."""

from __future__ import annotations

import inspect
import json
import shutil
import sys
import sysconfig
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType, ModuleType
from typing import Any, TypeAlias

from srv.runtime import Runtime

#: What stands in a file: text, bytes, a file to copy, or a function that writes it to the path it is called with.
Content: TypeAlias = str | bytes | Path | Callable[[Path], object]

SETTINGS, MODEL_SETTINGS = "settings.json", "model-settings.json"
NOTHING: Mapping[str, Any] = MappingProxyType({})
_modules = count(1)


@dataclass(frozen=True)
class GivenModel:
    """A model of a test: its settings, the files beside them, and the class if one is given as an object."""

    name: str
    settings: Mapping[str, Any]
    files: Mapping[str, Content] = field(default_factory=dict)
    runtime_class: type[Runtime] | None = None


#: How tests name a model: a folder that is there, settings, a runtime's class, or what `model` made.
Given: TypeAlias = str | Path | Mapping[str, Any] | type[Runtime] | GivenModel


class OneFolder(TypeError):
    """A folder was given beside other models."""

    def __init__(self) -> None:
        super().__init__("Give one folder, or any number of models by their settings or classes, but not both.")


class NotByName(TypeError):
    """A server in another process could not import the class."""

    def __init__(self, runtime_class: type[Runtime], why: str) -> None:
        super().__init__(
            f"A server in a process of its own cannot import {runtime_class.__qualname__}: {why}. Put the class at the "
            "top of a module, write its module with model(implementation='module.Class', files={'module.py': ...}), or "
            "use srv.testing.Client, which serves in this process."
        )


def model(
    runtime: str | type[Runtime] | None = None,
    *,
    name: str | None = None,
    files: Mapping[str, Content] = NOTHING,
    **settings: Any,
) -> GivenModel:
    """A model to serve: a registered runtime's name or a class, files to put beside it, and settings as in the file.

    `files` maps names to text, bytes, a Path to copy, or a function that is called with the path to write to. Without
    a `name` the model is called as its class is, or `model`.
    """
    if isinstance(runtime, type):
        return GivenModel(name or runtime.__name__, settings, files, runtime)
    if runtime is not None:
        settings["runtime"] = runtime
    return GivenModel(name or "model", settings, files)


def given_model(given: Given) -> GivenModel:
    """Return what was given as a GivenModel."""
    if isinstance(given, GivenModel):
        return given
    if isinstance(given, Mapping):
        return GivenModel(str(given.get("name", "model")), given)
    if isinstance(given, type):
        return model(given)
    raise OneFolder


@contextmanager
def folder_of(
    models: Sequence[Given], settings: Mapping[str, Any], refer: Callable[[type[Runtime]], str]
) -> Iterator[Path]:
    """Make the folder to serve. A folder that is given is served in place, or from a copy if settings are given too.

    `refer` gives the 'module.Class' by which the server finds a class.
    """
    if len(models) == 1 and isinstance(models[0], str | Path):
        with _folder_with_settings(Path(models[0]), settings) as folder:
            yield folder
        return
    with TemporaryDirectory(prefix="srv-testing-") as temporary:
        root = Path(temporary)
        if settings:
            (root / SETTINGS).write_text(json.dumps(dict(settings)))
        for given in models:
            _write(root, given_model(given), refer)
        yield root


@contextmanager
def classes_as_modules() -> Iterator[Callable[[type[Runtime]], str]]:
    """Give a way to refer to classes in this process, also to those that no module has."""
    module = ModuleType(f"srv_testing_classes_{next(_modules)}")

    def refer(runtime_class: type[Runtime]) -> str:
        name = f"{runtime_class.__name__}_{len(vars(module))}"
        setattr(module, name, runtime_class)
        return f"{module.__name__}.{name}"

    sys.modules[module.__name__] = module
    try:
        yield refer
    finally:
        sys.modules.pop(module.__name__, None)  # which is empty already where the interpreter ends


def by_import(runtime_class: type[Runtime]) -> str:
    """Return the name by which another process imports a class. Raises NotByName."""
    if "." in runtime_class.__qualname__:
        raise NotByName(runtime_class, "it stands inside a function or another class")
    return f"{runtime_class.__module__}.{runtime_class.__qualname__}"


def import_root(runtime_class: type[Runtime]) -> Path | None:
    """Return the folder from which a class's module is imported, or None if every process looks there anyway."""
    try:
        file = Path(inspect.getfile(runtime_class)).resolve()
    except (OSError, TypeError):
        raise NotByName(runtime_class, "its module is no file") from None
    parts = runtime_class.__module__.split(".")
    package = file.parent if file.name == "__init__.py" else file.with_suffix("")
    if list(package.parts[-len(parts) :]) != parts:
        raise NotByName(runtime_class, f"its module is called '{runtime_class.__module__}', and its file {file.name}")
    root = package.parents[len(parts) - 1]
    return None if root in {Path(sysconfig.get_path(kind)).resolve() for kind in ("purelib", "platlib")} else root


@contextmanager
def _folder_with_settings(folder: Path, settings: Mapping[str, Any]) -> Iterator[Path]:
    if not settings:
        yield folder
        return
    with TemporaryDirectory(prefix="srv-testing-") as temporary:
        copy = Path(temporary) / folder.resolve().name
        shutil.copytree(folder, copy)
        file = copy / SETTINGS
        own = json.loads(file.read_text()) if file.is_file() else {}
        file.write_text(json.dumps({**own, **settings}))
        yield copy


def _write(root: Path, given: GivenModel, refer: Callable[[type[Runtime]], str]) -> None:
    place = root / given.name
    place.mkdir()
    settings = dict(given.settings)
    if given.runtime_class is not None:
        settings["implementation"] = refer(given.runtime_class)
    (place / MODEL_SETTINGS).write_text(json.dumps(settings))
    for name, content in given.files.items():
        file = place / name
        file.parent.mkdir(parents=True, exist_ok=True)
        _fill(file, content)


def _fill(file: Path, content: Content) -> None:
    match content:
        case str():
            file.write_text(content)
        case bytes():
            file.write_bytes(content)
        case Path():
            (shutil.copytree if content.is_dir() else shutil.copyfile)(content, file)
        case _:
            content(file)

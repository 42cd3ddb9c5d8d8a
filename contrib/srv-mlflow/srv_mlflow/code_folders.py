"""Modules that models bring in their own folders: Python has one module of a name, so two models cannot both have it.

MLflow puts the folder `code` of a model in front of `sys.path` for good. Without more, a model would run another one's
module of the same name, or after a reload its own old one, and nobody would be told.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

from srv.errors import SrvError, listed, quoted

_lock = threading.Lock()
#: The loaded models with modules of their own, in the order of their loads.
_loaded: list[CodeFolder] = []


class ModulesContested(SrvError):
    """Two models bring different modules of one name."""

    def __init__(self, names: set[str], other: str) -> None:
        super().__init__(
            f"The model brings the modules {listed(map(quoted, names))} in its code_paths, and model {quoted(other)}, which is "
            "loaded, brings others of these names. Python has one module of a name, so serve them by two servers, or rename "
            "the modules and save the model again."
        )


class CodeFolder:
    """The modules that one model brings. `close` takes them out of the process again."""

    def __init__(self, model: str, version: str | None, folder: Path | None) -> None:
        self.title = model if version is None else f"{model} {version}"
        self._folder = folder
        self.files = _files(folder) if folder is not None else {}

    def names(self) -> set[str]:
        """Return the names of the modules and packages."""
        return {name.partition("/")[0].removesuffix(".py") for name in self.files}

    @contextmanager
    def importable(self) -> Iterator[None]:
        """Have imports find these modules and no older ones. Raises ModulesContested where another model has such names."""
        with _lock:
            for other in _loaded:
                shared = self.names() & other.names()
                if shared and other.title != self.title and other.files != self.files:
                    raise ModulesContested(shared, other.title)
            self._forget_modules()
            if self.files:
                _loaded.append(self)
        writes_none = sys.dont_write_bytecode
        # Because Python takes bytecode for a file's that has changed within the same second and is as long as before.
        sys.dont_write_bytecode = True
        try:
            yield
        except BaseException:
            self.close()
            raise
        finally:
            sys.dont_write_bytecode = writes_none

    def close(self) -> None:
        """Take the folder off the path, and its modules out of sys.modules, unless another load of them is in use."""
        with _lock:
            if self not in _loaded:
                return
            _loaded.remove(self)
            place = str(self._folder)
            if place in sys.path:
                sys.path.remove(place)
            if not any(self.names() & other.names() for other in _loaded):
                self._forget_modules()

    def _forget_modules(self) -> None:
        """Drop the modules of these names that came from a model's folder; others of the same names stay, and win."""
        names = self.names()
        for name, module in list(sys.modules.items()):
            file = getattr(module, "__file__", None)
            if name.partition(".")[0] in names and file is not None and _is_of_a_model(Path(file)):
                del sys.modules[name]


def _is_of_a_model(file: Path) -> bool:
    return any((folder / "MLmodel").is_file() for folder in file.parents)


def _files(folder: Path) -> Mapping[str, str]:
    """Return the modules of a folder, each with the digest of its text."""
    return {
        file.relative_to(folder).as_posix(): sha256(file.read_bytes()).hexdigest()
        for file in sorted(folder.rglob("*.py"))
    }

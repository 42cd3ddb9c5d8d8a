"""The names under which modules of models are importable, and the folder where child processes look them up."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tempfile
import threading
import weakref
from contextlib import suppress
from keyword import iskeyword
from pathlib import Path

#: The package below which the modules of models stand, as `srv.model.<model>.<module>`.
ROOT = "srv.model"
#: The environment variable that leads child processes to the links; several folders are separated as in PATH.
VARIABLE = "_SRV_MODEL_LINKS"


def identifier_of(name: str, version: str | None = None) -> str:
    """Return the identifier of a model: its name where that is a Python identifier, else one made of name and hash.

    No two models have the same one: `house-prices`, `house_prices` and version 2 of `house_prices` differ.
    """
    title = name if version is None else f"{name}/{version}"
    if title.isidentifier() and not iskeyword(title):
        return title
    slug = re.sub(r"\W", "_", title, flags=re.ASCII)
    return f"{'m_' if slug[0].isdigit() else ''}{slug}_{hashlib.sha256(title.encode()).hexdigest()[:8]}"


class Links:
    """A folder with a link for each model: from its identifier to its generation's number and the folder of its modules.

    The path of the folder is in the environment, which every child process inherits. A child process reads a link when it
    imports a module, and again whenever it unpickles something. So a child that was started earlier finds models that
    were loaded since, and the new code of a model that was reloaded.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._given = path
        self._path: Path | None = None
        self._guard = threading.Lock()

    def put(self, identifier: str, number: int, folder: Path) -> None:
        """Link a generation of a model, replacing the link to the one before."""
        with self._guard:
            if self._path is None or not self._path.is_dir():
                self._open()
            assert self._path is not None
            link = self._path / identifier
            new = link.with_name(f"{identifier}~")
            new.unlink(missing_ok=True)
            new.symlink_to(f"{number}:{folder}")
            new.replace(link)

    def close(self) -> None:
        """Remove the links, and take their path out of the environment."""
        with self._guard:
            if self._path is None:
                return
            others = [path for path in _paths() if path != str(self._path)]
            if others:
                os.environ[VARIABLE] = os.pathsep.join(others)
            else:
                os.environ.pop(VARIABLE, None)
            shutil.rmtree(self._path, ignore_errors=True)
            self._path = None

    def _open(self) -> None:
        self._path = self._given or self._path or Path(tempfile.mkdtemp(prefix="srv-models-"))
        self._path.mkdir(mode=0o700, parents=True, exist_ok=True)
        weakref.finalize(self, _remove, self._path, os.getpid())  # for a server that nobody closes
        if str(self._path) not in _paths():
            os.environ[VARIABLE] = os.pathsep.join([str(self._path), *_paths()])


def linked(identifier: str) -> tuple[int, Path] | None:
    """Return the number and folder of a model's generation, as a parent process has linked it; None where none has."""
    for path in _paths():
        with suppress(OSError):
            number, _, folder = os.readlink(f"{path}/{identifier}").partition(":")  # noqa: PTH115  the target is no path
            return int(number), Path(folder)
    return None


def _remove(path: Path, owner: int) -> None:
    if os.getpid() == owner:  # not in a child forked from the owner
        shutil.rmtree(path, ignore_errors=True)


def _paths() -> list[str]:
    return [path for path in os.environ.get(VARIABLE, "").split(os.pathsep) if path]

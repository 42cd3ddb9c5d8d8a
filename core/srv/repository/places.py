"""The folders of a repository that may hold a model: its root, ``<name>/`` and ``<name>/<version>/``."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from pathlib import Path

import msgspec

from srv.settings.documents import Document, read_document
from srv.settings.errors import SettingError
from srv.settings.models import FILE

_NOISE = frozenset({"__pycache__", "node_modules"})
_ENVIRONMENT_MARKS = ("pyvenv.cfg", "conda-meta")


class Place(msgspec.Struct, frozen=True):
    """One folder that holds a model, or says that it does.

    `relative` is its path below the repository's root, "" for the root itself. `files` are the well-known files in
    it. `document` is its model-settings.json; where that cannot be read, `error` says why. `called` is what the root
    counts as called, where that is not its folder's name.
    """

    root: Path
    relative: str
    files: tuple[str, ...]
    document: Document | None = None
    error: SettingError | None = None
    called: str | None = None

    @property
    def folder(self) -> Path:
        """The folder itself."""
        return self.root / self.relative

    @property
    def depth(self) -> int:
        """0 for the root, 1 for a model's folder, 2 for a version's."""
        return len(Path(self.relative).parts)

    def names(self) -> tuple[str, str | None]:
        """The name and version of the model that is here, unless its settings say otherwise."""
        if self.called is not None and self.depth == 0:
            return self.called, None
        folder = self.folder.resolve() if self.folder.name in ("", "..") else self.folder
        return (folder.parent.name, folder.name) if self.depth == 2 else (folder.name, None)

    @property
    def is_bare(self) -> bool:
        """Whether it has no settings, only a well-known file."""
        return self.document is None and self.error is None

    @property
    def source(self) -> str:
        """How errors name it to those who know the repository."""
        if self.is_bare:
            return f"{self.relative or '.'}/ (recognised {', '.join(self.files)})"
        return str(Path(self.relative) / FILE)


class Survey:
    """What a walk over one repository found: the root's place if it has one, the others', and what was passed over."""

    def __init__(
        self, root: Path, well_known: Collection[str], *, skip: Collection[Path] = (), called: str | None = None
    ) -> None:
        self.root = root
        self._called = called
        self._inside = _resolved(root)
        self._well_known = well_known
        self._skip = skip
        self.notes: list[str] = []
        self.head = self._place("")
        self.others = [place for relative in self._folders() if (place := self._place(relative)) is not None]

    def places(self) -> list[Place]:
        """All of them, the root's first."""
        return self.others if self.head is None else [self.head, *self.others]

    def _folders(self) -> Iterator[str]:
        for name in self._children(""):
            yield name
            yield from (f"{name}/{version}" for version in self._children(name))

    def _children(self, relative: str) -> list[str]:
        """The names of the folders in a folder that may be a model's or a version's."""
        try:
            with os.scandir(self.root / relative) as entries:
                names = [entry.name for entry in entries if entry.is_dir()]
        except OSError as error:
            self.notes.append(f"{self.root / relative} cannot be read ({error.strerror}), and is passed over.")
            return []
        return [name for name in sorted(names) if self._may_hold_models(str(Path(relative) / name))]

    def _may_hold_models(self, relative: str) -> bool:
        path = self.root / relative
        if path.name.startswith(".") or path.name in _NOISE:
            return False
        if any((path / mark).exists() for mark in _ENVIRONMENT_MARKS):
            return False
        above = _resolved(path.parent)
        if path.is_symlink() and _resolved(path) in (above, *above.parents):
            return False  # a link to where it stands, of which the other models would be versions
        return not self._leaves(path) and not (self._skip and _resolved(path) in self._skip)

    def _place(self, relative: str) -> Place | None:
        folder = self.root / relative
        files = tuple(name for name in self._well_known if (folder / name).exists() and not self._leaves(folder / name))
        path = folder / FILE
        if not os.path.lexists(path) or self._leaves(path):
            return Place(self.root, relative, files, called=self._called) if files else None
        try:
            return Place(self.root, relative, files, document=read_document(path), called=self._called)
        except SettingError as error:
            return Place(self.root, relative, files, error=error, called=self._called)

    def _leaves(self, path: Path) -> bool:
        """Whether a path leads out of the repository, by a link; if it looks like a model, that is noted."""
        if not path.is_symlink():
            return False
        target = _resolved(path)
        if target == self._inside or self._inside in target.parents:
            return False
        if target.is_file() or any((target / name).exists() for name in (FILE, *self._well_known)):
            self.notes.append(f"{path} is a link that leaves {self.root}, and is passed over.")
        return True


def _resolved(path: Path) -> Path:
    """The path without links; a link that leads in a circle stands for itself, outside of everything."""
    try:
        return path.resolve()
    except (OSError, RuntimeError):
        return Path("/", *path.parts[-1:])

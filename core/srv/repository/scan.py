"""Scan of a repository for folders that hold models: its root, ``<name>/`` and ``<name>/<version>/``."""

from __future__ import annotations

import errno
import os
from collections.abc import Collection, Iterator
from itertools import islice
from pathlib import Path

import msgspec

from srv.settings.dialect import Dialect
from srv.settings.documents import Document, read_document
from srv.settings.errors import SettingError
from srv.settings.models import FILE

_NOISE = frozenset({"__pycache__", "node_modules"})
#: How deep below a version's folder, and in how many folders, to look for settings files that are not served.
_DEEPEST, _MOST_DEEP_FOLDERS = 5, 1000
_ENVIRONMENT_MARKS = ("pyvenv.cfg", "conda-meta")


class ModelFolder(msgspec.Struct, frozen=True):
    """One folder with settings or with a well-known file.

    `relative` is its path below the repository's root, "" for the root itself. `root` is absolute, because a model may
    change the current directory; `shown_root` is the root as people wrote it, for sentences. `files` are the well-known
    files in the folder. `document` is its model-settings.json; where that cannot be read, `error` says why. `called` is
    the name of the root, where that is not its folder's name.
    """

    root: Path
    shown_root: Path
    relative: str
    files: tuple[str, ...]
    document: Document | None = None
    error: SettingError | None = None
    called: str | None = None
    #: What gave the settings, where that is no file.
    given_by: str | None = None

    @property
    def folder(self) -> Path:
        """Return the absolute path."""
        return self.root / self.relative

    @property
    def shown(self) -> Path:
        """Return the path as people wrote it."""
        return self.shown_root / self.relative

    @property
    def depth(self) -> int:
        """Return 0 for the root, 1 for a model's folder, 2 for a version's."""
        return len(Path(self.relative).parts)

    def names(self) -> tuple[str, str | None]:
        """Return the name and version that the path gives to the model."""
        if self.called is not None and self.depth == 0:
            return self.called, None
        folder = self.folder.resolve() if self.folder.name in ("", "..") else self.folder
        return (folder.parent.name, folder.name) if self.depth == 2 else (folder.name, None)

    @property
    def is_bare(self) -> bool:
        """Return whether the folder has a well-known file and no settings."""
        return self.document is None and self.error is None

    @property
    def source(self) -> str:
        """Return the name of the folder in errors: the path below the root."""
        if self.is_bare:
            return f"{self.relative or '.'}/ (recognised {', '.join(self.files)})"
        return self.given_by or str(Path(self.relative) / FILE)


class Scan:
    """The folders of one repository that hold models, and notes about those that were passed over."""

    def __init__(
        self,
        root: Path,
        well_known: Collection[str],
        *,
        shown: Path,
        skip: Collection[Path] = (),
        called: str | None = None,
        follow_links: bool = False,
        dialect: Dialect,
    ) -> None:
        self.root = root
        self._dialect = dialect
        self.shown_root = shown
        self._called = called
        self._follow_links = follow_links
        #: The root, and the folders that links in it lead to, where those are followed.
        self._inside = {_resolved(root)}
        self._well_known = well_known
        self._skip = skip
        self.notes: list[str] = []
        self._versions: list[str] = []
        self.head = self._place("")
        self.others = [place for relative in self._folders() if (place := self._place(relative)) is not None]
        self.notes += [
            f"{path} lies deeper than <name>/<version>/ and is passed over. Move its folder up, or serve a folder nearer "
            "to it."
            for path in self._too_deep()
        ]

    def places(self) -> list[ModelFolder]:
        """Return all folders, the root first."""
        return self.others if self.head is None else [self.head, *self.others]

    def call_head(self, name: str | None) -> None:
        """Give the root a name, where that is not its folder's."""
        if self.head is not None:
            self.head = msgspec.structs.replace(self.head, called=name)

    def give_head(self, document: Document, given_by: str) -> None:
        """Let the root be a model by settings that are in no file."""
        files = self.head.files if self.head is not None else ()
        self.head = ModelFolder(
            self.root, self.shown_root, "", files, document=document, called=self._called, given_by=given_by
        )

    def _folders(self) -> Iterator[str]:
        for name in self._children(""):
            yield name
            versions = [f"{name}/{version}" for version in self._children(name)]
            self._versions += versions
            yield from versions

    def _too_deep(self) -> Iterator[Path]:
        """Find settings files below the folders of versions, which are not served, for a warning."""
        waiting = [inner for version in self._versions for inner in self._inside_of(version)]
        for relative in islice(waiting, _MOST_DEEP_FOLDERS):  # the list grows meanwhile
            if (self.root / relative / FILE).is_file():
                yield self.shown_root / relative / FILE
            if relative.count("/") < _DEEPEST:
                waiting += self._inside_of(relative)

    def _inside_of(self, relative: str) -> Iterator[str]:
        """Yield the folders in a folder, except links and folders that never hold models."""
        try:
            with os.scandir(self.root / relative) as entries:
                names = sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
        except OSError:
            return
        for inner in (f"{relative}/{name}" for name in names):
            if self._may_hold_models(inner):
                yield inner

    def _children(self, relative: str) -> list[str]:
        """Return the names of the folders in a folder that may hold a model or a version."""
        try:
            with os.scandir(self.root / relative) as entries:
                names = [entry.name for entry in entries if entry.is_dir()]
        except OSError as error:
            self.notes.append(f"{self.shown_root / relative} cannot be read ({error.strerror}), and is passed over.")
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

    def _place(self, relative: str) -> ModelFolder | None:
        folder = self.root / relative
        files = tuple(name for name in self._well_known if (folder / name).exists() and not self._leaves(folder / name))
        path, shown = folder / FILE, str(self.shown_root / relative / FILE)
        if not os.path.lexists(path) or self._leaves(path):
            return ModelFolder(self.root, self.shown_root, relative, files, called=self._called) if files else None
        try:
            document = read_document(path, shown)
            if document is not None:
                document = self._dialect.model_document(document)
            return ModelFolder(self.root, self.shown_root, relative, files, document=document, called=self._called)
        except SettingError as error:
            return ModelFolder(self.root, self.shown_root, relative, files, error=error, called=self._called)

    def _leaves(self, path: Path) -> bool:
        """Return whether a link leads out of the repository; one that looks like a model is noted.

        A link to a folder that stands in the root itself is the operator's, and is followed where settings say so.
        """
        if not path.is_symlink():
            return False
        target = _resolved(path)
        if self._follow_links and path.parent == self.root and target.is_dir():
            self._inside.add(target)
        if not self._inside.isdisjoint((target, *target.parents)):
            return False
        if target.is_file() or any((target / name).exists() for name in (FILE, *self._well_known)):
            shown = self.shown_root / path.relative_to(self.root)
            is_operators = path.parent == self.root and target.is_dir()
            advice = " The setting follow_links serves it." if is_operators else ""
            self.notes.append(f"{shown} is a link that leaves {self.shown_root}, and is passed over.{advice}")
        return True


def _resolved(path: Path) -> Path:
    """Return the path without links; a circular link becomes a path outside of all repositories."""
    try:
        path.stat()  # because Path.resolve() raises for a circle before Python 3.13 only
    except OSError as error:
        if error.errno == errno.ELOOP:
            return Path("/", *path.parts[-1:])
    return path.resolve()

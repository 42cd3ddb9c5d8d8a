"""Defaults for models: what the environment and a repository's root give, and in which folder their classes are."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from srv.model_settings import ModelSettings
from srv.settings.checks import Leaves
from srv.settings.documents import Document
from srv.settings.models import FILE, model_settings, read_model_document, with_defaults
from srv.settings.server import ModelDefaults

_RUNTIME, _IMPLEMENTATION, _CODECS = ("runtime",), ("implementation",), ("codecs",)
_ENVIRONMENT = ("process", "environment")
#: What stands for the name of the model that defaults are shown as; no model can be called so.
NAME = "default runtime"


class FoldersOfCode(NamedTuple):
    """The folders of the defaults that give a model its classes; None for what its own settings, or nobody, gives."""

    implementation: Path | None
    codecs: Path | None


class Defaults:
    """Defaults for all models, as leaves by path; `root` is the folder whose modules those of the environment name."""

    def __init__(
        self, leaves: ModelDefaults, root: Path, folders: Mapping[tuple[str, ...], Path] | None = None
    ) -> None:
        self.leaves = _with_absolute_environment(leaves, root)
        given: Mapping[tuple[str, ...], Path] = {path: root for path in (_IMPLEMENTATION, _CODECS) if path in leaves}
        self._folders = given if folders is None else folders

    def with_document(self, document: Document, folder: Path) -> Defaults:
        """Return these defaults with those of a root's model-settings.json over them. Raises a SettingError."""
        own = _with_absolute_environment(read_model_document(document), folder)
        leaves = with_defaults(self.leaves, own)
        folders: dict[tuple[str, ...], Path] = dict(self._folders)
        folders.update((path, folder) for path in (_IMPLEMENTATION, _CODECS) if path in own)
        return Defaults(leaves, folder, folders)

    def folders_of_code(self, own: Leaves) -> FoldersOfCode:
        """Return where the classes are that a model with settings of its own gets from here."""
        names_runtime = _RUNTIME in own or _IMPLEMENTATION in own
        return FoldersOfCode(
            None if names_runtime else self._folders.get(_IMPLEMENTATION),
            None if _CODECS in own else self._folders.get(_CODECS),
        )

    def as_model(self, folder: Path) -> ModelSettings:
        """Return the defaults as the settings of a model in that folder."""
        return model_settings(with_defaults(self.leaves, {}), name=NAME, version=None, folder=folder, source=FILE)


def _with_absolute_environment(leaves: ModelDefaults, folder: Path) -> Leaves:
    """Return the defaults with an environment that means the same in the folder of every model."""
    said = leaves.get(_ENVIRONMENT)
    return dict(leaves) if said is None else {**leaves, _ENVIRONMENT: str(folder.absolute() / said)}

"""The modules of a model: those of its own folder, and those of the defaults that give its runtime or its codecs."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from srv.model_settings import ModelSettings
from srv.models.model_imports import ModelCode
from srv.models.module_files import has_module
from srv.models.module_names import Links, identifier_of


class Codes(NamedTuple):
    """The modules in which a model's classes are looked for; each model has its own copy, also of what defaults give.

    `implementation` and `codecs` are the same where both come from one folder.
    """

    implementation: ModelCode
    codecs: ModelCode

    def forget(self) -> None:
        """Take the modules out of sys.modules."""
        self.implementation.forget()
        if self.codecs is not self.implementation:
            self.codecs.forget()


def codes_of(settings: ModelSettings, links: Links | None = None) -> Codes:
    """Return a new generation of a model's modules; nothing is imported yet."""
    of_class, of_codecs = implementation_folder(settings), codecs_folder(settings)
    code = ModelCode(of_class, identifier_of(settings.name, settings.version), links=links)
    if not settings.codecs or of_codecs == of_class:
        return Codes(code, code)
    # No model can have this name, so the modules are nobody else's.
    return Codes(code, ModelCode(of_codecs, identifier_of(f"{settings.name} codecs", settings.version), links=links))


def implementation_folder(settings: ModelSettings) -> Path:
    """Return the folder whose module the implementation names: that of its defaults, if it has one, else the model's own."""
    names = () if settings.implementation is None else (settings.implementation,)
    return _folder(settings, settings.implementation_folder, names)


def codecs_folder(settings: ModelSettings) -> Path:
    """Return the folder whose modules `codecs` names: that of the defaults, if it has one, else the model's own."""
    return _folder(settings, settings.codecs_folder, settings.codecs)


def _folder(settings: ModelSettings, given_in: Path | None, names: tuple[str, ...]) -> Path:
    if given_in is not None and any(has_module(given_in, name.partition(".")[0]) for name in names):
        return given_in.absolute()
    return settings.folder.absolute()

"""Reads the server's settings: command line over environment over settings.json over an image's defaults over srv's."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import msgspec

from srv.settings.checks import Leaves, Named, checked
from srv.settings.dialect import Variables, dialect_of, note_on, read_variables, translated
from srv.settings.documents import Document, read_document
from srv.settings.environment import DEFAULT_PREFIX, MODEL_PREFIX, PREFIX, read_environment
from srv.settings.errors import ContradictorySettings, FolderMissing
from srv.settings.given import GivenSettings
from srv.settings.in_force import settings_in_force
from srv.settings.models import NEVER_DEFAULTS, with_defaults
from srv.settings.plugin_sections import notes_on_missing, optional_plugins, rename_sections
from srv.settings.schemas import ModelSchema, ServerSchema
from srv.settings.server import ServerSettings

FILE = "settings.json"


def read_server_settings(
    folder: Path,
    *,
    flags: Mapping[str, Any] | None = None,
    environ: Mapping[str, str] | None = None,
    plugin_sections: Mapping[str, str] | Collection[str] | None = None,
    for_elsewhere: bool = False,
) -> ServerSettings:
    """Return the settings of a server of that folder, each with its origin. Raises a SettingError.

    `flags` are those given on the command line, by setting. `plugin_sections` names the plugins whose sections may
    stand in the file, as a mapping with the name that each one means; what is in them is checked by the plugins' own
    schemas, elsewhere. `environ` is `os.environ` where it is left out. `for_elsewhere` says that the server will run on
    another machine, so that the models folder of the file need not be on this one.
    """
    environ = os.environ if environ is None else environ
    if not folder.is_dir():
        raise FolderMissing(folder, "The folder")
    document = read_document(folder / FILE)
    names = plugin_sections if isinstance(plugin_sections, Mapping) else {name: name for name in plugin_sections or ()}
    # A plugin with the name of one of srv's own keys is configured as `distribution:name` only.
    sections = (names.keys() | optional_plugins(document, environ)).difference(ServerSchema().fields)

    dialect = dialect_of(document, environ, names)
    variables = read_variables(environ) if dialect.takes_variables else Variables()

    given = GivenSettings()
    defaults = read_environment(environ, DEFAULT_PREFIX, ServerSchema(), sections=sections)
    _require_models_dir(defaults.leaves, f"{DEFAULT_PREFIX}MODELS_DIR", may_be_missing=True)
    given.take_all(defaults)
    if document is not None:
        if dialect.is_of(document.values, ServerSchema()):
            translation = translated(document, ServerSchema(), sections=sections)
            given.notes += note_on(document.place, translation.changes)
            document = msgspec.structs.replace(document, values=translation.values)
        _take_file(given, document, folder, sections, for_elsewhere=for_elsewhere)
    _require_models_dir(variables.server.leaves, "MLSERVER_MODELS_DIR", may_be_missing=True)
    given.take_all(variables.server)
    from_environment = read_environment(environ, PREFIX, ServerSchema(), sections=sections)
    _require_models_dir(from_environment.leaves, "SRV_MODELS_DIR", may_be_missing=True)
    given.take_all(from_environment)
    for key, value in (flags or {}).items():
        _take_flag(given, key, value)

    models = _model_defaults(environ, variables.model)
    given.notes += models.notes
    rename_sections(given, names)
    given.notes += notes_on_missing(given.sections() & sections - names.keys())
    settings = settings_in_force(folder, given, models, sections)
    return msgspec.structs.replace(settings, environment_model=variables.model_alone())


def _take_file(
    given: GivenSettings, document: Document, folder: Path, sections: Collection[str], *, for_elsewhere: bool
) -> None:
    leaves = checked(ServerSchema(), document.values, document, sections=sections)
    _resolve_paths(leaves, folder)
    _require_models_dir(leaves, document.subject(("models_dir",)), may_be_missing=for_elsewhere)
    given.take(document.place, leaves)


def _take_flag(given: GivenSettings, key: str, value: object) -> None:
    flag = Named(f"--{key.replace('_', '-')}", (key,))
    leaves = checked(ServerSchema(), {key: value}, flag)
    _require_models_dir(leaves, flag.name)
    given.take(flag.name, leaves)


def _model_defaults(environ: Mapping[str, str], of_mlserver: GivenSettings) -> GivenSettings:
    """Return the defaults for all models, which the environment gives: srv's own variables, over MLServer's."""
    models = read_environment(environ, MODEL_PREFIX, ModelSchema(), never=NEVER_DEFAULTS)
    if {("runtime",), ("implementation",)} <= models.leaves.keys():
        raise ContradictorySettings(
            "SRV_MODEL__RUNTIME and SRV_MODEL__IMPLEMENTATION are both given. Keep the one that is meant."
        )
    leaves = with_defaults(of_mlserver.leaves, models.leaves)
    return GivenSettings.of(leaves, {**of_mlserver.origins, **models.origins}, models.notes)


def _resolve_paths(leaves: Leaves, folder: Path) -> None:
    """Make paths of the file begin at the file's folder."""
    for path in (("models_dir",), ("cache_dir",), ("tls", "certfile"), ("tls", "keyfile"), ("tls", "client_ca")):
        if leaves.get(path) is not None:
            leaves[path] = str(folder / leaves[path])


def _require_models_dir(leaves: Leaves, subject: str, *, may_be_missing: bool = False) -> None:
    """Raise FolderMissing for a models folder that is not there; an image's variable may name one that comes later."""
    named = leaves.get(("models_dir",))
    if named is not None and not Path(named).is_dir() and not (may_be_missing and not Path(named).exists()):
        raise FolderMissing(Path(named), f"{subject} names a folder that cannot be used:")

"""Read the server's settings: command line over environment over settings.json over defaults."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from srv.settings.checks import Leaves, Named, checked, overlay
from srv.settings.documents import dotted, read_document
from srv.settings.environment import MODEL_PREFIX, PREFIX, read_environment
from srv.settings.errors import ContradictorySettings, FolderMissing, MissingSetting
from srv.settings.models import NEVER_DEFAULTS
from srv.settings.schemas import ModelSchema, ServerSchema, is_loopback
from srv.settings.server import CorsSettings, PluginSettings, ServerSettings, TlsSettings

FILE = "settings.json"


def read_server_settings(
    folder: Path,
    *,
    flags: Mapping[str, Any] | None = None,
    environ: Mapping[str, str] | None = None,
    plugin_sections: Collection[str] | None = None,
    for_elsewhere: bool = False,
) -> ServerSettings:
    """The settings of a server of that folder, each with its origin. Raises a SettingError with one sentence.

    `flags` are those given on the command line, by setting. `plugin_sections` names the plugins whose sections may
    stand in the file; what is in them is checked by the plugins' own schemas, elsewhere. `environ` is `os.environ`
    where it is left out. `for_elsewhere` says that the server will run on another machine, so that the models folder
    of the file need not be on this one.
    """
    environ = os.environ if environ is None else environ
    if not folder.is_dir():
        raise FolderMissing(folder, "The folder")
    schema, sections = ServerSchema(), plugin_sections or ()

    leaves: Leaves = {}
    origins: dict[tuple[str, ...], str] = {}
    document = read_document(folder / FILE)
    if document is not None:
        leaves = checked(schema, document.values, document, sections=sections)
        _resolve_paths(leaves, folder)
        origins = dict.fromkeys(leaves, document.place)
        _require_models_dir(leaves, document.subject(("models_dir",)), may_be_missing=for_elsewhere)

    given = read_environment(environ, PREFIX, schema, sections=sections)
    leaves, origins = overlay(leaves, given.leaves), origins | given.origins
    _require_models_dir(given.leaves, "SRV_MODELS_DIR", may_be_missing=True)

    for key, value in (flags or {}).items():
        flag = Named(f"--{key.replace('_', '-')}", (key,))
        said = checked(schema, {key: value}, flag)
        _require_models_dir(said, flag.name)
        leaves, origins = overlay(leaves, said), origins | dict.fromkeys(said, flag.name)

    models = read_environment(
        environ,
        MODEL_PREFIX,
        ModelSchema(),
        never=NEVER_DEFAULTS,
    )
    if {("runtime",), ("implementation",)} <= models.leaves.keys():
        raise ContradictorySettings(
            "SRV_MODEL__RUNTIME and SRV_MODEL__IMPLEMENTATION are both given. Keep the one that is meant."
        )
    origins |= {("model", *path): name for path, name in models.origins.items()}
    return _settings(
        folder,
        leaves,
        sections=sections,
        model_leaves=models.leaves,
        origins={dotted(path): name for path, name in origins.items() if path in leaves or path[0] == "model"},
        notes=(*given.notes, *models.notes),
    )


def _resolve_paths(leaves: Leaves, folder: Path) -> None:
    """Paths in the file are meant from where the file is."""
    for path in (("models_dir",), ("tls", "certfile"), ("tls", "keyfile")):
        if leaves.get(path) is not None:
            leaves[path] = str(folder / leaves[path])


def _require_models_dir(leaves: Leaves, subject: str, *, may_be_missing: bool = False) -> None:
    """Whoever names a models folder in a file or a flag means one that is there; an image's variable may not."""
    named = leaves.get(("models_dir",))
    if named is not None and not Path(named).is_dir() and not (may_be_missing and not Path(named).exists()):
        raise FolderMissing(Path(named), f"{subject} names a folder that cannot be used:")


def _settings(
    folder: Path,
    leaves: Leaves,
    *,
    sections: Collection[str],
    model_leaves: Leaves,
    origins: Mapping[str, str],
    notes: tuple[str, ...],
) -> ServerSettings:
    plain = {path[0]: value for path, value in leaves.items() if len(path) == 1 and path[0] not in sections}
    inner: dict[str, dict[str, Any]] = {}
    for path, value in leaves.items():
        if len(path) == 2:
            inner.setdefault(path[0], {})[path[1]] = value
    if plain.get("models_dir") is not None:
        plain["models_dir"] = Path(plain["models_dir"])
    if "cors_settings" in inner:
        plain["cors_settings"] = CorsSettings(**inner["cors_settings"])
    if "tls" in inner:
        plain["tls"] = _tls(inner["tls"])
    plain.setdefault("model_control", is_loopback(plain.get("host", ServerSettings(folder).host)))
    if "threads" in plain:
        plain.setdefault("max_streams", max(1, plain["threads"] // 2))
    settings = ServerSettings(
        folder=folder,
        **plain,
        plugins=PluginSettings(**inner.get("plugins", {})),
        sections={name: inner.get(name, {}) for name in sorted({path[0] for path in leaves} & set(sections))},
        model_defaults=model_leaves,
        origins=origins,
        notes=notes,
    )
    if settings.http_port == settings.grpc_port != 0 and not settings.is_on_unix_socket():
        raise ContradictorySettings(
            f"'http_port' ({settings.origin('http_port')}) and 'grpc_port' ({settings.origin('grpc_port')}) are both "
            f"{settings.http_port}. Give one of them another port."
        )
    return settings


def _tls(given: Mapping[str, Any]) -> TlsSettings:
    for key in ("certfile", "keyfile"):
        if key not in given:
            raise MissingSetting(f"'tls.{key}'", "is missing; TLS needs a certificate and its key")
    return TlsSettings(Path(given["certfile"]), Path(given["keyfile"]))

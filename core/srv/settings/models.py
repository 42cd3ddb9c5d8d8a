"""Reads a model's settings: its file over the folder's defaults over the environment's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from types import MappingProxyType
from typing import Any

from srv.model_settings import ModelParameters, ModelSettings, Spec
from srv.settings.checks import Leaves, checked, overlay
from srv.settings.documents import Document
from srv.settings.errors import ContradictorySettings
from srv.settings.schemas import ModelSchema
from srv.settings.server import ModelDefaults

FILE = "model-settings.json"

#: What no default can give, since it is what tells one model from another.
NEVER_DEFAULTS = (("name",), ("parameters", "version"), ("parameters", "uri"))


def model_defaults() -> Mapping[str, Any]:
    """Return each key of a model's settings with its default."""
    settings = ModelSettings(name="")
    return {entry.name: getattr(settings, entry.name) for entry in fields(settings)}


def read_model_document(document: Document) -> Leaves:
    """Return what a model-settings.json says, by path. Raises a SettingError."""
    leaves = checked(ModelSchema(), document.values, document)
    for key in ("inputs", "outputs"):
        _refuse_repeats(document, key, leaves.get((key,)) or ())
    if ("runtime",) in leaves and ("implementation",) in leaves:
        raise ContradictorySettings(
            f"{document.place}: 'runtime' and 'implementation' are both given. Keep the one that is meant."
        )
    return leaves


def with_defaults(defaults: ModelDefaults, own: Leaves) -> Leaves:
    """Return a model's settings over the defaults for all models, which never set name, version or uri."""
    below = {path: value for path, value in defaults.items() if path not in NEVER_DEFAULTS}
    if ("runtime",) in own or ("implementation",) in own:
        below.pop(("runtime",), None)
        below.pop(("implementation",), None)
    return overlay(below, own)


def model_settings(
    leaves: Leaves,
    *,
    name: str,
    version: str | None,
    folder: Path,
    source: str,
    operator_extra: Mapping[str, Any] = MappingProxyType({}),
    operator_allows_pickle: bool = False,
) -> ModelSettings:
    """Return the settings of one model; `name` and `version` are its folder's, used if the settings have none."""
    plain = {path[0]: value for path, value in leaves.items() if len(path) == 1 and value is not None}
    parameters = {path[1]: value for path, value in leaves.items() if path[0] == "parameters" and len(path) == 2}
    if parameters.get("version") is None:
        parameters["version"] = version
    for key in ("inputs", "outputs"):
        if key in plain:
            plain[key] = tuple(_spec(values) for values in plain[key])
    place: dict[str, Any] = {
        "folder": folder,
        "source": source,
        "operator_extra": operator_extra,
        "operator_allows_pickle": operator_allows_pickle,
    }
    return ModelSettings(**{"name": name, **plain, "parameters": ModelParameters(**parameters), **place})


def _spec(values: Mapping[str, Any]) -> Spec:
    return Spec(**values)


def _refuse_repeats(document: Document, key: str, specs: Sequence[Mapping[str, Any]]) -> None:
    names = [spec["name"] for spec in specs]
    for name in names:
        if names.count(name) > 1:
            raise ContradictorySettings(
                f"{document.place}: '{key}' has two tensors of the name '{name}'. Give each a name of its own."
            )

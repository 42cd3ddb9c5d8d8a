"""Reads a model's settings: its file over the folder's defaults over the environment's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from types import MappingProxyType
from typing import Any

from srv.devices import visible
from srv.model_settings import ModelParameters, ModelSettings, ProcessSettings, Spec
from srv.settings.checks import Leaves, checked, overlay
from srv.settings.documents import Document
from srv.settings.errors import ContradictorySettings
from srv.settings.fields import SwitchedSection
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
    _check_process(document, leaves)
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
    process = {path[1]: value for path, value in leaves.items() if path[0] == "process" and len(path) == 2}
    if process.pop(SwitchedSection.ENABLED, False):
        plain["process"] = _process(process, folder)
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


def _process(values: dict[str, Any], folder: Path) -> ProcessSettings:
    environment = values.pop("environment", None)
    given = {key: value for key, value in values.items() if value is not None}
    return ProcessSettings(**given, environment=None if environment is None else folder.absolute() / environment)


def _spec(values: Mapping[str, Any]) -> Spec:
    return Spec(**values)


def _refuse_repeats(document: Document, key: str, specs: Sequence[Mapping[str, Any]]) -> None:
    names = [spec["name"] for spec in specs]
    for name in names:
        if names.count(name) > 1:
            raise ContradictorySettings(
                f"{document.place}: '{key}' has two tensors of the name '{name}'. Give each a name of its own."
            )


def _check_process(document: Document, leaves: Leaves) -> None:
    """Raise ContradictorySettings for devices that cannot be shared out, or that variables name as well."""
    count = leaves.get(("process", "count"), 1)
    for key in ("devices", "cpus"):
        items = leaves.get(("process", key), ())
        if len(items) > count and len(items) % count:
            raise ContradictorySettings(
                f"{document.place}: 'process.{key}' has {len(items)} items, which {count} processes cannot share evenly. "
                "Give each the same number of them, or join those of one process by commas."
            )
    variables = visible(leaves.get(("process", "devices"), ()))
    for name in leaves.get(("process", "env"), ()):
        if name in variables:
            raise ContradictorySettings(
                f"{document.place}: 'process.env.{name}' is what 'process.devices' says too. Keep the one that is meant."
            )

"""Runtimes and codecs by import path: settings.json names classes that no package registers."""

from __future__ import annotations

import pkgutil
from collections.abc import Mapping
from typing import Any

from marshmallow import Schema, fields, validate

from srv.codec import InputCodec, RequestCodec
from srv.hookspecs import hookimpl
from srv.runtime import Runtime

srv_needs_settings = True

_PATH = fields.String(
    required=True, validate=validate.Regexp(r"[\w.]+:\w+\Z", error="must be 'module:Class', such as 'shop.codecs:Csv'")
)


class Paths(Schema):
    """Import paths of classes, by the names under which models and requests use them."""

    runtimes = fields.Dict(
        keys=fields.String(),
        values=_PATH,
        load_default=dict,
        metadata={"description": "Import paths of runtimes, 'module:Class', by the names that models use."},
    )
    codecs = fields.Dict(
        keys=fields.String(),
        values=_PATH,
        load_default=dict,
        metadata={"description": "Import paths of codecs, 'module:Class', by their content types."},
    )


@hookimpl
def srv_settings_schema() -> type[Schema]:
    """Declare two mappings of names to import paths."""
    return Paths


@hookimpl
def srv_runtimes(settings: Mapping[str, Any]) -> Mapping[str, type[Runtime]]:
    """Import the runtimes that settings name."""
    return {name: pkgutil.resolve_name(path) for name, path in settings["runtimes"].items()}


@hookimpl
def srv_codecs(settings: Mapping[str, Any]) -> Mapping[str, type[InputCodec | RequestCodec]]:
    """Import the codecs that settings name."""
    return {name: pkgutil.resolve_name(path) for name, path in settings["codecs"].items()}

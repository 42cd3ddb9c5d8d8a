"""Runtimes and codecs by name from settings.json: for classes that can be imported and that no package registers."""

from __future__ import annotations

import pkgutil
from collections.abc import Mapping
from typing import Any

from marshmallow import Schema, fields, validate

from srv.coding import InputCodec, RequestCodec
from srv.hookspecs import hookimpl
from srv.runtime import Runtime

srv_needs_settings = True

_PLACE = fields.String(
    required=True, validate=validate.Regexp(r"[\w.]+:\w+\Z", error="must be 'module:Class', such as 'shop.codecs:Csv'")
)


class Named(Schema):
    """Names, and where their classes are."""

    runtimes = fields.Dict(keys=fields.String(), values=_PLACE, load_default=dict)
    codecs = fields.Dict(keys=fields.String(), values=_PLACE, load_default=dict)


@hookimpl
def srv_settings_schema() -> type[Schema]:
    """Two mappings of names to places."""
    return Named


@hookimpl
def srv_runtimes(settings: Mapping[str, Any]) -> Mapping[str, type[Runtime]]:
    """The runtimes that settings name, imported."""
    return {name: pkgutil.resolve_name(place) for name, place in settings["runtimes"].items()}


@hookimpl
def srv_codecs(settings: Mapping[str, Any]) -> Mapping[str, type[InputCodec | RequestCodec]]:
    """The codecs that settings name, imported."""
    return {name: pkgutil.resolve_name(place) for name, place in settings["codecs"].items()}

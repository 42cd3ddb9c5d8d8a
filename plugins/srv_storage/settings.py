"""The settings of the plugin: headers, such as a token, for web servers by their origin."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from marshmallow import Schema, ValidationError, fields

_ORIGIN = re.compile(r"https?://[^/?#@\s]+")
_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")


def _check(headers: Mapping[str, Mapping[str, str]]) -> None:
    """Raise for what is no origin or no header. No value is in the message, because it may be a secret."""
    for origin, own in headers.items():
        if not _ORIGIN.fullmatch(origin):
            raise ValidationError(
                f"'{origin}' must be the scheme and host of a web server, such as 'https://models.example.org'."
            )
        for name, value in own.items():
            if not _NAME.fullmatch(name) or not (value.isascii() and value.isprintable()):
                raise ValidationError(f"The header '{name}' of '{origin}' is none that can be sent.")


class StorageSettings(Schema):
    """The section `storage`."""

    headers = fields.Dict(
        keys=fields.String(),
        values=fields.Dict(keys=fields.String(), values=fields.String()),
        load_default=dict,
        validate=_check,
        metadata={
            "description": "Headers, such as a token, for web servers, by scheme and host: {'https://host': {…}}."
        },
    )


def headers_for(uri: str, settings: Mapping[str, Any]) -> Mapping[str, str]:
    """Return the headers for the origin of an address."""
    given: Mapping[str, Mapping[str, str]] = settings.get("headers", {})
    if not given:
        return {}
    mine = origin_of(uri)
    return next((own for origin, own in given.items() if origin_of(origin) == mine), {})


def origin_of(url: str) -> tuple[str, str]:
    """Return scheme, and host with its port, of an address; a port that the scheme has anyway is left out."""
    scheme, place = urlsplit(url)[:2]
    default = {"http": ":80", "https": ":443"}.get(scheme, "")
    return scheme, place.rpartition("@")[2].lower().removesuffix(default or "\0")

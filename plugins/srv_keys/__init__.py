"""API keys: every request but those for health must bring a key that settings know. Off until it is configured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from marshmallow import INCLUDE, Schema, ValidationError, validates_schema

from srv.hookspecs import hookimpl
from srv_keys.callers import DIGEST, Callers
from srv_keys.description import describe_keys
from srv_keys.http import KeyRequired, WhoAmI

srv_needs_settings = True

SHORTEST = 16


class Keys(Schema):
    """The callers: a key, or its SHA-256 as `sha256:…`, by the caller's name."""

    class Meta:
        """Any name may have a key."""

        unknown = INCLUDE

    @validates_schema
    def check(self, data: Mapping[str, Any], **_: Any) -> None:
        """Raise for a value that is neither a key that nobody guesses nor the digest of one."""
        for name, key in data.items():
            if not isinstance(key, str) or (len(key) < SHORTEST and not DIGEST.fullmatch(key)):
                raise ValidationError(
                    f"must be a key of {SHORTEST} characters or more, or sha256: and its digest", name
                )


@hookimpl
def srv_settings_schema() -> type[Schema]:
    """Declare a key for each caller's name."""
    return Keys


@hookimpl(tryfirst=True)
def srv_http_middleware(settings: Mapping[str, str]) -> Sequence[object]:
    """Bring the key check, which runs before other plugins' middleware."""
    return [KeyRequired(Callers(settings))]


@hookimpl
def srv_http_routes() -> Sequence[tuple[str, object]]:
    """Bring a route to try a key."""
    return [("/v2/whoami", WhoAmI())]


@hookimpl
def srv_openapi(document: dict[str, Any]) -> None:
    """Say that every operation but those for health needs a key, and how one is sent."""
    describe_keys(document)


@hookimpl(tryfirst=True)
def srv_grpc_interceptors(settings: Mapping[str, str]) -> Sequence[object]:
    """Bring the key check of gRPC."""
    from srv_keys.grpc import KeyRequiredOverGrpc  # here, because whoever serves no gRPC need not import it

    return [KeyRequiredOverGrpc(Callers(settings))]

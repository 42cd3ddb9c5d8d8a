"""API keys: every HTTP request but those for health must bring a key that settings know. Off until it is configured."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any

import falcon
import orjson
from marshmallow import INCLUDE, Schema, ValidationError, validates_schema

from srv.errors import Unauthenticated
from srv.hookspecs import hookimpl

srv_needs_settings = True

#: What orchestrators ask without any credentials.
OPEN = frozenset({"/v2/health/live", "/v2/health/ready"})
SHORTEST = 16
_DIGEST = re.compile(r"sha256:(?P<digest>[0-9a-f]{64})")


class NoKey(Unauthenticated):
    """The request brings no key."""

    def __init__(self) -> None:
        super().__init__("This server asks for a key: send it as 'Authorization: Bearer KEY' or as 'X-Api-Key: KEY'.")


class WrongKey(Unauthenticated):
    """The request brings a key that nobody has."""

    def __init__(self) -> None:
        super().__init__("The key is not one that this server knows.")


class Keys(Schema):
    """Who may ask: a key, or its SHA-256 as `sha256:…`, by the caller's name."""

    class Meta:
        """Any name may have a key."""

        unknown = INCLUDE

    @validates_schema
    def check(self, data: Mapping[str, Any], **_: Any) -> None:
        """Each value is a key that nobody guesses, or the digest of one."""
        for name, key in data.items():
            if not isinstance(key, str) or (len(key) < SHORTEST and not _DIGEST.fullmatch(key)):
                raise ValidationError(
                    f"must be a key of {SHORTEST} characters or more, or sha256: and its digest", name
                )


class KeyRequired:
    """Falcon middleware that lets nobody pass without a key, and keeps who it was in `req.context.caller`."""

    srv_nonblocking = True

    def __init__(self, keys: Mapping[str, str]) -> None:
        # By digest, so that how long a look-up takes says nothing about the keys.
        self._callers = {_digest_of(key): name for name, key in keys.items()}

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:  # noqa: ARG002 - as Falcon calls it
        """Raise Unauthenticated where there is no key, or a wrong one."""
        if req.path in OPEN or req.method == "OPTIONS":  # a browser asks with OPTIONS before it may send a key
            return
        key = _key_in(req)
        if not key:
            raise NoKey
        caller = self._callers.get(sha256(key.encode()).hexdigest())
        if caller is None:
            raise WrongKey
        req.context.caller = caller


class WhoAmI:
    """The name of the key that the caller has, to try a key without asking a model."""

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """The name, as JSON."""
        resp.data = orjson.dumps({"name": req.context.caller})


@hookimpl
def srv_settings_schema() -> type[Schema]:
    """A key by each caller's name."""
    return Keys


@hookimpl(tryfirst=True)
def srv_http_middleware(settings: Mapping[str, str]) -> Sequence[object]:
    """The guard, before what other plugins bring."""
    return [KeyRequired(settings)]


@hookimpl
def srv_http_routes() -> Sequence[tuple[str, object]]:
    """A place to try a key."""
    return [("/v2/whoami", WhoAmI())]


def _key_in(req: falcon.Request) -> str:
    scheme, _, key = (req.get_header("Authorization") or "").partition(" ")
    return key.strip() if scheme.lower() == "bearer" else req.get_header("X-Api-Key") or ""


def _digest_of(key: str) -> str:
    given = _DIGEST.fullmatch(key)
    return given["digest"] if given else sha256(key.encode()).hexdigest()

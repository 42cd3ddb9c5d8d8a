"""Callers by their keys."""

from __future__ import annotations

import re
from collections.abc import Mapping
from hashlib import sha256

from srv.errors import Unauthenticated

DIGEST = re.compile(r"sha256:(?P<digest>[0-9a-f]{64})")


class NoKey(Unauthenticated):
    """The request brings no key."""

    def __init__(self) -> None:
        super().__init__("This server asks for a key: send it as 'Authorization: Bearer KEY' or as 'X-Api-Key: KEY'.")


class WrongKey(Unauthenticated):
    """The request brings a key that no caller has."""

    def __init__(self) -> None:
        super().__init__("The key is not one that this server knows.")


class Callers:
    """Names of callers by the digests of their keys, so that the duration of a look-up tells nothing about a key."""

    def __init__(self, keys: Mapping[str, str]) -> None:
        self._names = {_digest_of(key): name for name, key in keys.items()}

    def name(self, authorization: str | None, api_key: str | None) -> str:
        """Return the caller whose key the two headers bring. Raises NoKey or WrongKey."""
        scheme, _, token = (authorization or "").partition(" ")
        key = token.strip() if scheme.lower() == "bearer" else api_key
        if not key:
            raise NoKey
        name = self._names.get(sha256(key.encode(errors="replace")).hexdigest())
        if name is None:
            raise WrongKey
        return name


def _digest_of(key: str) -> str:
    given = DIGEST.fullmatch(key)
    return given["digest"] if given else sha256(key.encode()).hexdigest()

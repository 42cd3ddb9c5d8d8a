"""Requests that a browser sends for a page of another origin: refused, unless the settings allow the origin."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import falcon

from srv.errors import Forbidden, quoted
from srv.settings import CorsSettings

if TYPE_CHECKING:
    _CORSMiddleware = falcon.CORSMiddleware[Any, Any]
else:
    _CORSMiddleware = falcon.CORSMiddleware  # generic since Falcon 4.3


class ForeignOrigin(Forbidden):
    """A page of another origin asks, and nobody allowed it."""

    def __init__(self, origin: str) -> None:
        super().__init__(
            f"A page of {quoted(origin)} may not send requests here; cors_settings.allow_origins says who may."
        )


class Origins:
    """Falcon middleware that refuses POSTs of pages of other origins. Never blocks.

    Browsers send simple POSTs without asking first, and any page may make them, also to a server on loopback.
    """

    srv_nonblocking = True

    def __init__(self, allowed: CorsSettings | None) -> None:
        self._allowed = frozenset(allowed.allow_origins if allowed is not None else ())

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Raise Forbidden for a POST whose Origin is neither the Host nor allowed."""
        origin = req.env.get("HTTP_ORIGIN")
        if origin is None or req.method != "POST" or origin in self._allowed or "*" in self._allowed:
            return
        if urlsplit(origin).netloc.lower() != req.env.get("HTTP_HOST", "").lower():
            raise ForeignOrigin(origin)


class Cors(_CORSMiddleware):
    """What browsers ask before, and are told after, a request of another origin; Falcon's own. Never blocks."""

    srv_nonblocking = True

    def __init__(self, allowed: CorsSettings) -> None:
        origins = "*" if "*" in allowed.allow_origins else list(allowed.allow_origins)
        super().__init__(
            allow_origins=origins,
            expose_headers=list(allowed.expose_headers) or None,
            allow_credentials=origins if allowed.allow_credentials else None,
        )

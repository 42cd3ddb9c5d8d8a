"""Browsers: which pages may send requests here, and under which names the server may be addressed."""

from __future__ import annotations

import ipaddress
import logging
import re
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

import falcon

from srv.errors import Forbidden, quoted
from srv.limited_log import LimitedLog
from srv.settings import CorsSettings

if TYPE_CHECKING:
    _CORSMiddleware = falcon.CORSMiddleware[Any, Any]
else:
    _CORSMiddleware = falcon.CORSMiddleware  # generic since Falcon 4.3

log = logging.getLogger(__name__)

#: Headers of answers that every allowed page may read, beside those that settings name.
EXPOSED = ("Inference-Header-Content-Length", "X-Request-Id", "Retry-After")
#: What orchestrators and balancers ask by whatever address they have.
_PROBES = frozenset({"/v2/health/live", "/v2/health/ready"})
#: Methods that change nothing, which a page of any origin may send.
_READING = frozenset({"GET", "HEAD", "OPTIONS"})
_HOST = re.compile(r"(\[[^\]]*\]|[^:]*)(?::\d*)?")
_ORIGIN = re.compile(r"(https?)://(\[[^\]/]*\]|[^/\[\]:]*)(?::(\d+))?", re.IGNORECASE)
_PORTS = {"http": "80", "https": "443"}


class ForeignOrigin(Forbidden):
    """A page of another origin sent a request, and settings do not allow that origin."""

    def __init__(self, origin: str) -> None:
        super().__init__(
            f"A page of {quoted(origin)} may not send requests here; cors_settings.allow_origins says who may."
        )


class ForeignHost(Forbidden):
    """The request addresses the server by a name that is not its own."""

    def __init__(self, host: str) -> None:
        super().__init__(
            f"This server does not answer to the host {quoted(host)}; the setting allowed_hosts says to which it does."
        )


class ForeignOrigins:
    """Falcon middleware that refuses what may change something from pages of other origins. Never blocks.

    Browsers send simple POSTs without asking first, and any page may make them, also to a server on loopback. PUT, PATCH
    and DELETE, which routes of runtimes and plugins may have, are refused too, whatever a browser asks first. A page
    whose own host name was made to lead here is of the same origin to a browser (DNS rebinding): with `loopback_only`
    whatever carries an Origin must address the server by a loopback name, which no page can have.
    """

    srv_nonblocking = True
    srv_before_body = True

    def __init__(self, allowed: CorsSettings | None, *, loopback_only: bool = False) -> None:
        self._allowed = frozenset(allowed.allow_origins if allowed is not None else ())
        self._loopback_only = loopback_only
        self._log = LimitedLog(log)

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Raise Forbidden for a page of another origin that does more than read or asks whether it may, and for a host
        that no page may name.
        """
        origin = req.env.get("HTTP_ORIGIN")
        if origin is None or origin in self._allowed or "*" in self._allowed:
            return
        host = req.env.get("HTTP_HOST", "")
        asks = req.method == "OPTIONS" and "HTTP_ACCESS_CONTROL_REQUEST_METHOD" in req.env
        if (asks or req.method not in _READING) and not is_same(origin, host):
            refusal = ForeignOrigin(origin)
            if asks:  # logged, because a browser shows neither the page nor its author what the answer says
                self._log.warning("The preflight of a browser for %s is refused: %s", quoted(req.path), refusal)
            raise refusal
        if self._loopback_only and not is_loopback_name(name_of(host)):
            raise ForeignHost(host)


class AllowedHosts:
    """Falcon middleware that refuses requests for hosts that settings do not name. Never blocks.

    Loopback names are always allowed, because no page can have one, and probes of health by any name.
    """

    srv_nonblocking = True
    srv_before_body = True

    def __init__(self, allowed: Collection[str]) -> None:
        names = [name.lower() for name in allowed]
        self._names = frozenset(name.strip("[]") for name in names)
        self._ends = tuple(name for name in names if name.startswith("."))
        self._any = "*" in names

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Raise Forbidden for a Host that is not allowed."""
        host = req.env.get("HTTP_HOST", "")
        name = name_of(host)
        if self._any or name in self._names or name.endswith(self._ends) or is_loopback_name(name):
            return
        if req.path not in _PROBES:
            raise ForeignHost(host)


class Cors(_CORSMiddleware):
    """Falcon's middleware for CORS: answers preflights and adds the headers that browsers ask for. Never blocks.

    Every answer varies by the Origin, so that no cache gives one page the answer to another.
    """

    srv_nonblocking = True

    def __init__(self, allowed: CorsSettings) -> None:
        origins = "*" if "*" in allowed.allow_origins else list(allowed.allow_origins)
        super().__init__(
            allow_origins=origins,
            expose_headers=[*dict.fromkeys((*EXPOSED, *allowed.expose_headers))],
            allow_credentials=origins if allowed.allow_credentials else None,
        )

    def process_response(
        self, req: falcon.Request, resp: falcon.Response, resource: object, req_succeeded: bool
    ) -> None:
        """Add the headers to an answer."""
        super().process_response(req, resp, resource, req_succeeded)
        resp.append_header("Vary", "Origin")

    def headers_for(self, origin: str | None) -> tuple[tuple[str, str], ...]:
        """Return the headers of an answer that never reaches the app, such as a refusal of the worker's."""
        known = origin is not None and origin.isascii() and (self.allow_origins == "*" or origin in self.allow_origins)
        if origin is None or not known:
            return (("Vary", "Origin"),)
        credentials = bool(self.allow_credentials)
        return (
            ("Access-Control-Allow-Origin", origin if credentials or self.allow_origins != "*" else "*"),
            *((("Access-Control-Allow-Credentials", "true"),) if credentials else ()),
            ("Access-Control-Expose-Headers", str(self.expose_headers)),
            ("Vary", "Origin"),
        )


def name_of(host: str) -> str:
    """Return the name or address in a Host header, in lower case and without port, brackets and final dot."""
    found = _HOST.fullmatch(host)
    return found[1].strip("[]").rstrip(".").lower() if found is not None else ""


def is_loopback_name(name: str) -> bool:
    """Return whether a name always means the client's own machine: localhost, one below it, or a loopback address."""
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def is_same(origin: str, host: str) -> bool:
    """Return whether an Origin header names the host of a Host header, a port that is the scheme's own said or not."""
    found = _ORIGIN.fullmatch(origin)
    if found is None or not host:
        return False
    scheme, name, port = found[1].lower(), found[2].lower(), found[3]
    usual = _PORTS[scheme]
    same = name if port in (None, usual) else f"{name}:{port}"
    given = host.lower()
    return same == (given.removesuffix(f":{usual}") if port in (None, usual) else given)

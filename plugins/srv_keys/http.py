"""The key check before every HTTP request, and a route to try a key."""

from __future__ import annotations

import re
from collections.abc import Mapping

import falcon
import orjson

from srv.hookspecs import Server
from srv.rest.health import PAGE, is_browser
from srv_keys.callers import Callers, NoKey

#: What orchestrators ask without any credentials.
OPEN = frozenset({"/v2/health/live", "/v2/health/ready"})
#: What srv's page for browsers is made of, by the template of its route. It is the same for every server and every model, and
#: asks for a key itself, which no browser could send before it has the page.
_OF_PAGE: Mapping[str, re.Pattern[str]] = {
    PAGE: re.compile(PAGE),
    f"{PAGE}/page/{{file}}": re.compile(PAGE + r"/page/[^/]+"),
    "/v2/models/{model}/docs": re.compile(r"/v2/models/[^/]+/docs"),
    "/v2/models/{model}/versions/{version}/docs": re.compile(r"/v2/models/[^/]+/versions/[^/]+/docs"),
}
#: What brings this plugin brings the page too; whose page else stands there is guarded.
_OURS = "srv-inference"

#: What a preflight is told, whatever stands at its path: all that a route of a runtime may have.
METHODS = "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT"


def is_preflight(req: falcon.Request) -> bool:
    """Return whether a browser asks what it may send."""
    return req.method == "OPTIONS" and bool(
        req.get_header("Origin") and req.get_header("Access-Control-Request-Method")
    )


class KeyRequired:
    """Falcon middleware that refuses requests without a key, and puts the caller into `req.context.caller`.

    A browser asks with a preflight before it may send a key: that is answered alike for every path, so that it tells
    nobody which routes there are.
    """

    srv_nonblocking = True
    srv_before_body = True

    def __init__(self, callers: Callers) -> None:
        self._callers = callers

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Raise Unauthenticated if the key is missing or wrong."""
        if req.path in OPEN:
            return
        if is_preflight(req):
            resp.set_header("Allow", METHODS)
            resp.complete = True
            return
        try:
            req.context.caller = self._callers.name(req.get_header("Authorization"), req.get_header("X-Api-Key"))
        except NoKey:
            if not _is_page(req):
                raise


def _is_page(req: falcon.Request) -> bool:
    """Return whether a request is for a part of srv's page that holds nothing of this server, or is led there."""
    if req.method not in ("GET", "HEAD"):
        return False
    if req.path == "/":
        return is_browser(req) and _is_ours(PAGE, req.context.server)
    return any(
        pattern.fullmatch(req.path) is not None and _is_ours(template, req.context.server)
        for template, pattern in _OF_PAGE.items()
    )


def _is_ours(template: str, server: Server) -> bool:
    """Return whether srv's own page stands at a route."""
    return any(
        (row.kind, row.name, row.distribution, row.state) == ("route", template, _OURS, "loaded")
        for row in server.plugins()
    )


class WhoAmI:
    """A route that answers with the name of the caller's key."""

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answer with the name, as JSON."""
        resp.data = orjson.dumps({"name": req.context.caller})

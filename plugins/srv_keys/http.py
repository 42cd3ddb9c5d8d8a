"""The key check before every HTTP request, and a route to try a key."""

from __future__ import annotations

import falcon
import orjson

from srv_keys.callers import Callers

#: What orchestrators ask without any credentials.
OPEN = frozenset({"/v2/health/live", "/v2/health/ready"})


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
        req.context.caller = self._callers.name(req.get_header("Authorization"), req.get_header("X-Api-Key"))


class WhoAmI:
    """A route that answers with the name of the caller's key."""

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answer with the name, as JSON."""
        resp.data = orjson.dumps({"name": req.context.caller})

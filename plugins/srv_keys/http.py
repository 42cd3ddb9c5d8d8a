"""The guard before every HTTP request, and a place to try a key."""

from __future__ import annotations

import falcon
import orjson

from srv_keys.callers import Callers

#: What orchestrators ask without any credentials.
OPEN = frozenset({"/v2/health/live", "/v2/health/ready"})


class KeyRequired:
    """Falcon middleware that lets nobody pass without a key, and keeps who it was in `req.context.caller`."""

    srv_nonblocking = True

    def __init__(self, callers: Callers) -> None:
        self._callers = callers

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:  # noqa: ARG002 - as Falcon calls it
        """Raise Unauthenticated where there is no key, or a wrong one."""
        if req.path in OPEN or req.method == "OPTIONS":  # a browser asks with OPTIONS before it may send a key
            return
        req.context.caller = self._callers.name(req.get_header("Authorization"), req.get_header("X-Api-Key"))


class WhoAmI:
    """The name of the key that the caller has, to try a key without asking a model."""

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """The name, as JSON."""
        resp.data = orjson.dumps({"name": req.context.caller})

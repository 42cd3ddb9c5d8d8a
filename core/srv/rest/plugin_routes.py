"""Routes of plugins: their responders find the server as the plugin has it."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import falcon
from falcon.routing import CompiledRouter

from srv.hookspecs import Server


class PluginRouter(CompiledRouter):
    """Falcon's router, which takes a server with a route: the responders of that route find it in the request's context."""

    def map_http_methods(self, resource: object, *, server: Server | None = None, **options: Any) -> Any:
        """Return the responders of a resource, by method."""
        responders = super().map_http_methods(resource, **options)
        if server is None:
            return responders
        return {method: _with_server(responder, server) for method, responder in responders.items()}


def _with_server(responder: Callable[..., Any], server: Server) -> Callable[..., None]:
    @wraps(responder)
    def respond(req: falcon.Request, resp: falcon.Response, **parameters: Any) -> None:
        req.context.server = server
        responder(req, resp, **parameters)

    return respond

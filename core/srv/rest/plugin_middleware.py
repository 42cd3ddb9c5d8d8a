"""Middleware of plugins, wrapped so that its errors are logged with the plugin's name."""

from __future__ import annotations

import logging
from collections.abc import Callable
from types import MethodType
from typing import Any

import falcon

from srv.errors import PluginFailed, SrvError

log = logging.getLogger(__name__)

#: The key of the environ under which the error stands that refused a request before its body came.
REFUSAL = "srv.refusal"
_METHODS = ("process_request", "process_resource", "process_response")


class PluginMiddleware:
    """One middleware of a plugin, with those of its methods that Falcon calls."""

    def __init__(self, plugin: str, middleware: object) -> None:
        self.srv_nonblocking = getattr(middleware, "srv_nonblocking", False)
        self.srv_before_body = getattr(middleware, "srv_before_body", False)
        for name in _METHODS:
            method = getattr(middleware, name, None)
            if callable(method):
                call = _guarded(plugin, method)
                if name == "process_request" and self.srv_before_body:
                    call = _unless_refused(call)
                setattr(self, name, MethodType(call, self))


def _guarded(plugin: str, method: Callable[..., None]) -> Callable[..., None]:
    def call(_: PluginMiddleware, *given: Any) -> None:
        try:
            method(*given)
        except (SrvError, falcon.HTTPError, falcon.HTTPStatus):
            raise
        except (Exception, SystemExit) as error:
            log.exception("Plugin '%s' raised in its HTTP middleware.", plugin)
            raise PluginFailed(plugin, "its HTTP middleware", error) from error

    return call


def _unless_refused(method: Callable[..., None]) -> Callable[..., None]:
    """Return the method; where the request was refused by its head, that error is raised and the method not called."""

    def call(layer: PluginMiddleware, req: falcon.Request, resp: falcon.Response) -> None:
        refusal = req.env.get(REFUSAL)
        if refusal is not None:
            raise refusal
        method(layer, req, resp)

    return call

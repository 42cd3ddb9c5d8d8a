"""srv: a model-inference server that discovers everything it can do. The front door for people who write plugins."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from srv import codecs
    from srv.client import Client
    from srv.codec import InputCodec, RequestCodec
    from srv.errors import Forbidden, InvalidInput, NotFound, Unauthenticated, Unavailable
    from srv.hookspecs import hookimpl
    from srv.messages import InferenceRequest, InferenceResponse
    from srv.model_settings import ModelSettings, Spec
    from srv.routes import RouteRequest, RouteResponse
    from srv.runtime import Runtime
    from srv.tensors import Tensor
    from srv.version import __version__

#: Where each public name lives. They come on first use, so that `srv --help` imports neither numpy nor msgspec.
_HOMES = {
    "Client": "srv.client",
    "Forbidden": "srv.errors",
    "InferenceRequest": "srv.messages",
    "InferenceResponse": "srv.messages",
    "InputCodec": "srv.codec",
    "InvalidInput": "srv.errors",
    "ModelSettings": "srv.model_settings",
    "NotFound": "srv.errors",
    "RequestCodec": "srv.codec",
    "RouteRequest": "srv.routes",
    "RouteResponse": "srv.routes",
    "Runtime": "srv.runtime",
    "Spec": "srv.model_settings",
    "Tensor": "srv.tensors",
    "Unauthenticated": "srv.errors",
    "Unavailable": "srv.errors",
    "__version__": "srv.version",
    "hookimpl": "srv.hookspecs",
}

__all__ = [
    "Client",
    "Forbidden",
    "InferenceRequest",
    "InferenceResponse",
    "InputCodec",
    "InvalidInput",
    "ModelSettings",
    "NotFound",
    "RequestCodec",
    "RouteRequest",
    "RouteResponse",
    "Runtime",
    "Spec",
    "Tensor",
    "Unauthenticated",
    "Unavailable",
    "__version__",
    "codecs",
    "hookimpl",
]


def __getattr__(name: str) -> Any:
    if name == "codecs":
        return import_module("srv.codecs")
    if name not in _HOMES:
        raise AttributeError(f"module 'srv' has no attribute '{name}'")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)

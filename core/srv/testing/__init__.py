"""The test kit: real servers, a client in process, isolated plugins, and what every runtime and codec must do.

All that a plugin's tests need beside pytest, and pytest is not needed either: its fixtures are registered by an entry
point and are thin. Names come on first use, because pytest imports this package in every run where srv is installed.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from srv.testing.answers import Answer
    from srv.testing.asking import Asker
    from srv.testing.clients import Client
    from srv.testing.codecs import assert_codec_round_trips
    from srv.testing.folders import GivenModel, model
    from srv.testing.forms import FORMS, Binary, Form, Grpc, GrpcTyped, Json
    from srv.testing.isolation import isolated_plugins
    from srv.testing.runtimes import assert_runtime_conforms
    from srv.testing.servers import Server, srv_server

_HOMES = {
    "FORMS": "srv.testing.forms",
    "Answer": "srv.testing.answers",
    "Asker": "srv.testing.asking",
    "Binary": "srv.testing.forms",
    "Client": "srv.testing.clients",
    "Form": "srv.testing.forms",
    "GivenModel": "srv.testing.folders",
    "Grpc": "srv.testing.forms",
    "GrpcTyped": "srv.testing.forms",
    "Json": "srv.testing.forms",
    "Server": "srv.testing.servers",
    "assert_codec_round_trips": "srv.testing.codecs",
    "assert_runtime_conforms": "srv.testing.runtimes",
    "isolated_plugins": "srv.testing.isolation",
    "model": "srv.testing.folders",
    "srv_server": "srv.testing.servers",
}

__all__ = [
    "FORMS",
    "Answer",
    "Asker",
    "Binary",
    "Client",
    "Form",
    "GivenModel",
    "Grpc",
    "GrpcTyped",
    "Json",
    "Server",
    "assert_codec_round_trips",
    "assert_runtime_conforms",
    "isolated_plugins",
    "model",
    "srv_server",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'srv.testing' has no attribute '{name}'")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)

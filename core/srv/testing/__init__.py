"""The test kit: real servers, a client in process, isolated plugins, and what every runtime and codec must do.

All that a plugin's tests need beside pytest, and pytest is not needed either: its fixtures are registered by an entry
point and are thin. Names come on first use, because pytest imports this package in every run where srv is installed.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from srv.testing.answers import Answer
    from srv.testing.client import Asker
    from srv.testing.codec_conformance import assert_codec_round_trips
    from srv.testing.fake_server import FakeServer
    from srv.testing.folders import GivenModel, model
    from srv.testing.in_process import Client
    from srv.testing.isolation import isolated_plugins
    from srv.testing.runtime_conformance import assert_runtime_conforms
    from srv.testing.servers import Server, srv_server
    from srv.testing.tables import assert_tables
    from srv.testing.transports import FORMS, Binary, Form, Grpc, GrpcTyped, Json

_HOMES = {
    "FORMS": "srv.testing.transports",
    "Answer": "srv.testing.answers",
    "Asker": "srv.testing.client",
    "Binary": "srv.testing.transports",
    "Client": "srv.testing.in_process",
    "FakeServer": "srv.testing.fake_server",
    "Form": "srv.testing.transports",
    "GivenModel": "srv.testing.folders",
    "Grpc": "srv.testing.transports",
    "GrpcTyped": "srv.testing.transports",
    "Json": "srv.testing.transports",
    "Server": "srv.testing.servers",
    "assert_codec_round_trips": "srv.testing.codec_conformance",
    "assert_runtime_conforms": "srv.testing.runtime_conformance",
    "assert_tables": "srv.testing.tables",
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
    "FakeServer",
    "Form",
    "GivenModel",
    "Grpc",
    "GrpcTyped",
    "Json",
    "Server",
    "assert_codec_round_trips",
    "assert_runtime_conforms",
    "assert_tables",
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

"""The client: asks servers of the Open Inference Protocol from Python, over HTTP or gRPC.

    from srv.client import Client

    with Client("http://localhost:8080") as client:
        result = client.infer("iris", [[5.1, 3.5, 1.4, 0.2]])
        result["predict"]

Errors are those of `srv.errors`, by the server's code. Neither falcon, gunicorn, grpc nor pandas is imported until a call
needs it, nor asyncio until `AsyncClient` is asked for.
"""

from typing import TYPE_CHECKING, Any

from srv.client.client import Client
from srv.client.failures import ConnectionLost, NoConnection, NotTheProtocol, TimedOut
from srv.client.result import Result

if TYPE_CHECKING:
    from srv.client.async_client import AsyncClient

__all__ = ["AsyncClient", "Client", "ConnectionLost", "NotTheProtocol", "Result", "TimedOut", "NoConnection"]


def __getattr__(name: str) -> Any:
    if name != "AsyncClient":
        raise AttributeError(f"module 'srv.client' has no attribute '{name}'")
    from srv.client.async_client import AsyncClient  # here, because asyncio takes as long to import as all of the rest

    return AsyncClient

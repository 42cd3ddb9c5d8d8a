"""The key check before every gRPC call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import grpc

from srv_keys.callers import Callers

#: What orchestrators ask without any credentials.
OPEN = (
    "/grpc.health.v1.Health/",
    "/inference.GRPCInferenceService/ServerLive",
    "/inference.GRPCInferenceService/ServerReady",
)


class KeyRequiredOverGrpc(grpc.ServerInterceptor):  # type: ignore[misc]  # grpcio has no types
    """Refuses calls without a key. Never waits."""

    def __init__(self, callers: Callers) -> None:
        self._callers = callers

    def intercept_service(self, continuation: Callable[[Any], Any], details: Any) -> Any:
        """Raise Unauthenticated if the key is missing or wrong."""
        if not details.method.startswith(OPEN):
            given = dict(details.invocation_metadata or ())
            self._callers.name(given.get("authorization"), given.get("x-api-key"))
        return continuation(details)

"""Routes: which method answers a path, and which pool runs it; a call beyond a pool's bound is refused at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import grpc

from srv.errors import SrvError, Unimplemented, quoted
from srv.grpc.calls import Method, MethodAdapter, StreamMethod, refusal
from srv.grpc.descriptors import HEALTH, INFERENCE, REFLECTIONS
from srv.grpc.errors import FaceBusy, TooManyStreams
from srv.grpc.grpcio_internals import placed
from srv.grpc.health import Health
from srv.grpc.pools import InlinePool, Pool, StreamPool
from srv.grpc.reflection import Reflection
from srv.grpc.repository import RepositoryServicer
from srv.grpc.servicer import Servicer
from srv.grpc.streaming import StreamInfer
from srv.planes.dataplane import DataPlane
from srv.planes.limits import Limit
from srv.planes.modelplane import ModelPlane


class UnknownMethod(Unimplemented):
    """A method that the face does not have."""

    def __init__(self, path: str) -> None:
        super().__init__(f"srv has no gRPC method {quoted(path)}.")


class Bounded(Protocol):
    """A pool that says when it takes no more."""

    def full(self) -> bool:
        """Return whether the next call is one too many."""


class Route:
    """The handler of a method, and the one that refuses while the method's pool is full."""

    def __init__(self, handler: Any, refuses: Any, pool: Bounded) -> None:
        self._handler = handler
        self._refuses = refuses
        self._full = pool.full

    def handler(self) -> Any:
        """Return what answers the next call."""
        return self._refuses if self._full() else self._handler


class Routes(grpc.GenericRpcHandler):  # type: ignore[misc]  # grpcio has no types
    """All methods of the face. grpcio asks for the handler of each call, in the thread in which it submits the call."""

    def __init__(
        self,
        dataplane: DataPlane,
        modelplane: ModelPlane,
        adapter: MethodAdapter,
        *,
        max_body_size: int,
        inference: Pool,
        probes: Pool,
        open_streams: StreamPool,
        streams: Limit,
    ) -> None:
        self._inline = InlinePool()
        self._adapter = adapter
        self._routes: dict[str, Route] = {}
        self.health = Health(dataplane)
        servicer = Servicer(dataplane, max_body_size=max_body_size)
        self._add_unary(INFERENCE, {"ModelInfer": servicer.model_infer}, inference)
        self._add_unary(INFERENCE, RepositoryServicer(modelplane).methods(), inference)
        self._add_unary(INFERENCE, servicer.health_methods(), probes)
        self._add_unary(HEALTH, {"Check": self.health.check}, probes)
        streaming = StreamInfer(dataplane, streams, adapter.in_flight, max_body_size=max_body_size)
        self._add_stream(
            INFERENCE, "ModelStreamInfer", streaming.infer, grpc.stream_stream_rpc_method_handler, inference
        )
        self._add_stream(HEALTH, "Watch", self.health.watch, grpc.unary_stream_rpc_method_handler, open_streams)
        for service in REFLECTIONS:
            info = Reflection(service, (INFERENCE, HEALTH, *REFLECTIONS)).info
            self._add_stream(service, "ServerReflectionInfo", info, grpc.stream_stream_rpc_method_handler, open_streams)

    def service(self, details: Any) -> Any:
        """Return what answers this call."""
        route = self._routes.get(details.method)
        return route.handler() if route is not None else self.refuses(details.method, UnknownMethod(details.method))

    def refuses(self, path: str, error: SrvError) -> Any:
        """Return a handler that reads nothing and says what is wrong, whatever form the method's messages have."""
        return grpc.stream_unary_rpc_method_handler(placed(refusal(path, error), self._inline))

    def _add_unary(self, service: str, methods: Mapping[str, Method], pool: Pool) -> None:
        for name, method in methods.items():
            path = f"/{service}/{name}"
            answers = grpc.unary_unary_rpc_method_handler(placed(self._adapter.unary(path, method), pool))
            self._routes[path] = Route(answers, self.refuses(path, FaceBusy(pool.max_queue)), pool)

    def _add_stream(
        self, service: str, name: str, method: StreamMethod, kind: Callable[..., Any], pool: Pool | StreamPool
    ) -> None:
        path = f"/{service}/{name}"
        answers = kind(placed(self._adapter.stream(path, method), pool))
        full = FaceBusy(pool.max_queue) if isinstance(pool, Pool) else TooManyStreams(pool.most)
        self._routes[path] = Route(answers, self.refuses(path, full), pool)

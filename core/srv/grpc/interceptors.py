"""Keeps plugins' interceptors from moving a call to another pool, and tells what they raise by the table."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

import grpc

from srv.errors import ModelError, SrvError
from srv.grpc.errors import FaceBusy
from srv.grpc.passing import Call, fail
from srv.grpc.pools import Pool, placed, pool_of
from srv.grpc.routes import Routes

log = logging.getLogger(__name__)

Handled = Callable[[Any], Any]

#: What a handler calls, and how one is made that calls something else, by whether requests and responses are streams.
_FORMS: dict[tuple[bool, bool], tuple[str, Callable[..., Any]]] = {
    (False, False): ("unary_unary", grpc.unary_unary_rpc_method_handler),
    (False, True): ("unary_stream", grpc.unary_stream_rpc_method_handler),
    (True, False): ("stream_unary", grpc.stream_unary_rpc_method_handler),
    (True, True): ("stream_stream", grpc.stream_stream_rpc_method_handler),
}


class InterceptorFailed(ModelError):
    """A plugin's interceptor raised; the log has the rest."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(f"A plugin raised {type(error).__name__} in a gRPC interceptor; the server's log says more.")


def guarded(interceptors: Sequence[Any], routes: Routes, inference: Pool) -> Sequence[Any]:
    """The interceptors between two of srv's own; none at all where no plugin brings one."""
    if not interceptors:
        return ()
    witness = Witness()
    return (Guard(witness, routes, inference), *interceptors, witness)


class Witness(grpc.ServerInterceptor):  # type: ignore[misc]  # grpcio has no types
    """Stands behind all interceptors, and remembers where the call belongs. Asked in one thread only, grpcio's own."""

    def __init__(self) -> None:
        self.handler: Any = None

    def intercept_service(self, continuation: Handled, details: Any) -> Any:
        """The handler of srv's own."""
        self.handler = continuation(details)
        return self.handler


class Guard(grpc.ServerInterceptor):  # type: ignore[misc]  # grpcio has no types
    """Stands before all interceptors of plugins."""

    def __init__(self, witness: Witness, routes: Routes, inference: Pool) -> None:
        self._witness = witness
        self._routes = routes
        self._inference = inference

    def intercept_service(self, continuation: Handled, details: Any) -> Any:
        """What the interceptors make of the call, in the pool in which it belongs, or their refusal."""
        self._witness.handler = None
        try:
            handler = continuation(details)
        except SrvError as error:
            return self._routes.refuses(details.method, error)
        except Exception as error:
            log.exception("A gRPC interceptor of a plugin raised.")
            return self._routes.refuses(details.method, InterceptorFailed(error))
        own = self._witness.handler
        if handler is None or handler is own:
            return handler
        pool = pool_of(_function(own)) if own is not None else None
        if pool is None:  # an interceptor answers by itself
            if self._inference.full():
                return self._routes.refuses(details.method, FaceBusy(self._inference.max_queue))
            pool = self._inference
        _, made = _FORMS[handler.request_streaming, handler.response_streaming]
        function = _function(handler)
        function = _passing(function) if handler.response_streaming else _telling(details.method, function)
        return made(placed(function, pool), handler.request_deserializer, handler.response_serializer)


def _function(handler: Any) -> Callable[..., Any]:
    name, _ = _FORMS[handler.request_streaming, handler.response_streaming]
    function: Callable[..., Any] = getattr(handler, name)
    return function


def _passing(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of srv's own to put a mark on."""
    return lambda request, context: function(request, context)


def _telling(path: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """The same, and what a plugin raises around it is told by the table."""

    def answer(request: Any, context: Any) -> Any:
        try:
            return function(request, context)
        except Exception as error:
            if context.code() is not None:  # aborted, by srv or by the plugin
                raise
            if not isinstance(error, SrvError):
                log.exception("A gRPC interceptor of a plugin raised.")
                error = InterceptorFailed(error)
            return fail(path, Call(context), context, error)

    return answer

"""Plugins' interceptors: each keeps a call in its pool, and what an interceptor raises is told by the error table."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NoReturn

import grpc

from srv.errors import PluginFailed, SrvError
from srv.grpc.calls import Call, client_has_left, each, fail
from srv.grpc.errors import FaceBusy
from srv.grpc.grpcio_internals import guard_callbacks, placed, pool_of
from srv.grpc.pools import Pool
from srv.grpc.routes import Routes

log = logging.getLogger(__name__)

#: What an interceptor is handed to ask for the handler of a call.
Continuation = Callable[[Any], Any]

#: What a handler calls, and how one is made that calls something else, by whether requests and responses are streams.
_FORMS: dict[tuple[bool, bool], tuple[str, Callable[..., Any]]] = {
    (False, False): ("unary_unary", grpc.unary_unary_rpc_method_handler),
    (False, True): ("unary_stream", grpc.unary_stream_rpc_method_handler),
    (True, False): ("stream_unary", grpc.stream_unary_rpc_method_handler),
    (True, True): ("stream_stream", grpc.stream_stream_rpc_method_handler),
}


class InterceptorFailed(PluginFailed):
    """A plugin's interceptor raised; the log has the rest."""

    def __init__(self, plugin: str, error: BaseException) -> None:
        super().__init__(plugin, "its gRPC interceptor", error)


def guarded(
    interceptors: Sequence[Any], owner_of: Callable[[object], str], routes: Routes, inference: Pool
) -> Sequence[Any]:
    """Return the plugins' interceptors, wrapped so that errors name the plugin, between two of srv's own.

    Empty where no plugin brings an interceptor.
    """
    if not interceptors:
        return ()
    last = LastInterceptor()
    return (
        FirstInterceptor(last, routes, inference),
        *(NamedInterceptor(owner_of(each), each) for each in interceptors),
        last,
    )


class NamedInterceptor(grpc.ServerInterceptor):  # type: ignore[misc]  # grpcio has no types
    """A plugin's interceptor. An error that it or its handlers raise becomes InterceptorFailed, with the plugin's name."""

    def __init__(self, plugin: str, interceptor: Any) -> None:
        self._plugin = plugin
        self._interceptor = interceptor

    def intercept_service(self, continuation: Continuation, details: Any) -> Any:
        """Return the plugin's handler. Raises InterceptorFailed for an error that is no SrvError."""
        inner: list[Any] = []

        def remembered(details: Any) -> Any:
            inner[:] = [continuation(details)]
            return inner[0]

        try:
            handler = self._interceptor.intercept_service(remembered, details)
            if handler is None or handler in inner:
                return handler
            _, make = _FORMS[handler.request_streaming, handler.response_streaming]
            guard = self._guarded_stream if handler.response_streaming else self._guarded
            return make(guard(_function(handler)), handler.request_deserializer, handler.response_serializer)
        except SrvError:
            raise
        except BaseException as error:  # not even a KeyboardInterrupt may end the thread in which grpcio asks
            raise self._failed(error) from error

    def _guarded(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def answer(request: Any, context: Any) -> Any:
            guard_callbacks(context)
            try:
                return function(request, context)
            except BaseException as error:  # noqa: BLE001
                self._raise(error, context)

        return answer

    def _guarded_stream(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def answers(request: Any, context: Any) -> Iterator[Any]:
            guard_callbacks(context)
            try:
                values = iter(function(request, context))
            except BaseException as error:  # noqa: BLE001
                self._raise(error, context)
            yield from each(values, lambda error: self._raise(error, context))

        return answers

    def _raise(self, error: BaseException, context: Any) -> NoReturn:
        """Raise InterceptorFailed in place of an error of the plugin's handler, and other errors as they are."""
        aborted = isinstance(error, Exception) and context.code() is not None  # by srv or by the plugin
        if aborted or isinstance(error, SrvError) or client_has_left(error, context):
            raise error
        raise self._failed(error) from error

    def _failed(self, error: BaseException) -> InterceptorFailed:
        log.error("Plugin '%s' raised in its gRPC interceptor.", self._plugin, exc_info=error)
        return InterceptorFailed(self._plugin, error)


class LastInterceptor(grpc.ServerInterceptor):  # type: ignore[misc]  # grpcio has no types
    """The interceptor after those of plugins: it remembers srv's handler. Called in one thread only, grpcio's own."""

    def __init__(self) -> None:
        self.handler: Any = None

    def intercept_service(self, continuation: Continuation, details: Any) -> Any:
        """Return srv's own handler."""
        self.handler = continuation(details)
        return self.handler


class FirstInterceptor(grpc.ServerInterceptor):  # type: ignore[misc]  # grpcio has no types
    """The interceptor before those of plugins: it places what they return in the pool where the call belongs."""

    def __init__(self, last: LastInterceptor, routes: Routes, inference: Pool) -> None:
        self._last = last
        self._routes = routes
        self._inference = inference

    def intercept_service(self, continuation: Continuation, details: Any) -> Any:
        """Return what the interceptors make of the call, or a handler that tells their refusal."""
        self._last.handler = None
        try:
            handler = continuation(details)
        except SrvError as error:
            return self._routes.refuses(details.method, error)
        own = self._last.handler
        if handler is None or handler is own:
            return handler
        pool = pool_of(_function(own)) if own is not None else None
        if pool is None:  # an interceptor answers by itself
            if self._inference.full():
                return self._routes.refuses(details.method, FaceBusy(self._inference.max_queue))
            pool = self._inference
        _, make = _FORMS[handler.request_streaming, handler.response_streaming]
        telling = _telling_stream if handler.response_streaming else _telling
        function = placed(telling(details.method, _function(handler)), pool)
        return make(function, handler.request_deserializer, handler.response_serializer)


def _function(handler: Any) -> Callable[..., Any]:
    name, _ = _FORMS[handler.request_streaming, handler.response_streaming]
    function: Callable[..., Any] = getattr(handler, name)
    return function


def _telling(path: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the same function; what plugins raise around it is told by the table."""

    def answer(request: Any, context: Any) -> Any:
        try:
            return function(request, context)
        except SrvError as error:
            fail(path, Call(context), context, error)

    return answer


def _telling_stream(path: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """Do the same for a stream, also for errors between two of its answers."""

    def answers(request: Any, context: Any) -> Iterator[Any]:
        try:
            yield from function(request, context)
        except SrvError as error:
            fail(path, Call(context), context, error)

    return answers

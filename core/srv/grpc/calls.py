"""Calls: id, headers, deadline, the status of an error, the line in the access log."""

from __future__ import annotations

import logging
import math
import re
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import Any, NoReturn

import grpc

from srv.access_log import ACCESS, access_log
from srv.cancellation import Caller
from srv.errors import ClientLeft, PluginFailed, SrvError, code_of
from srv.grpc.errors import INTERNAL, STOPPED, told
from srv.grpc.grpcio_internals import end_call
from srv.grpc.idle_streams import IdleStreams
from srv.grpc.pools import enter, received
from srv.metrics_types import Stages
from srv.planes.limits import BytesOverflow, Lease, Limit
from srv.planes.request_ids import request_id
from srv.rest.middleware import HIDDEN
from srv.tensors import EMPTY

log = logging.getLogger(__name__)

_NAME = re.compile(r"(?!grpc-)[0-9a-z_.-]+")
_VALUE = re.compile(r"[\x20-\x7e]*")
#: Messages of up to so many bytes are not counted: a thousand of them are as much as one large message.
SMALL = 65536
_NOTHING = nullcontext()
#: grpcio tells a call without a deadline more remaining seconds than this.
_FOREVER = 1e8
#: The longest delay of an answer in seconds, also where nobody calls `let_answers_go`.
_LONGEST_PAUSE = 1.0


class CallHeaders(Mapping[str, str]):
    """A call's metadata by lower-case name, without those that are hidden or binary; read when asked for."""

    def __init__(self, metadata: Any, hidden: Collection[str], identity: str) -> None:
        self._metadata = metadata
        self._identity = identity
        self._hidden = hidden
        self._read: Mapping[str, str] | None = None

    def __getitem__(self, name: str) -> str:
        return self._headers()[name.lower()]

    def __iter__(self) -> Iterator[str]:
        return iter(self._headers())

    def __len__(self) -> int:
        return len(self._headers())

    def _headers(self) -> Mapping[str, str]:
        if self._read is None:
            headers: dict[str, str] = {}
            for name, value in self._metadata:
                if isinstance(value, str) and name not in self._hidden:
                    headers[name] = f"{headers[name]}, {value}" if name in headers else value
            headers["x-request-id"] = self._identity  # the client's, or the one that srv has made
            self._read = headers
        return self._read


class Call(Caller):
    """One call, as a method of the face sees it. `model` goes to the log, `headers_out` to the client."""

    def __init__(self, context: Any, hidden: Collection[str] = HIDDEN) -> None:
        super().__init__(received())
        metadata = context.invocation_metadata()
        self.headers_out: Mapping[str, str] = EMPTY
        #: Where the time of the last request for inference went, for the log.
        self.stages: Stages | None = None
        self.taken = time.monotonic()
        self.id = request_id(next((value for name, value in metadata if name == "x-request-id"), None))
        self.headers = CallHeaders(metadata, hidden, self.id)
        self._context = context
        self._listens = False

    def on_cancel(self, stop: Callable[[], object] | None) -> None:
        """Register a callback as every caller does; grpcio is asked only then to say when the call is over."""
        if not self._listens:
            self._listens = True
            if not self._context.add_callback(self.leave):
                self.left = True
        super().on_cancel(stop)

    def deadline(self) -> float | None:
        """Return the client's own deadline on the monotonic clock, or None."""
        remaining = self._context.time_remaining()
        return None if remaining is None or remaining > _FOREVER else time.monotonic() + remaining

    def until(self, request_timeout: float) -> float | None:
        """Return the client's own deadline: the server has none for calls that no model answers."""
        return self.deadline()

    def end(self) -> None:
        """End the call with UNAVAILABLE because the server stops; from any thread."""
        end_call(self._context, grpc.StatusCode.UNAVAILABLE, STOPPED)

    def is_gone(self) -> bool:
        """Return whether the client has cancelled the call, or its own deadline has passed."""
        return self.left or not self._context.is_active()

    def tell_interceptors(self, code: str) -> None:
        """Leave the code of an error that a stream tells in a message of its own where an interceptor finds it."""
        self._context.srv_code = code

    def trailing(self, code: str | None = None) -> tuple[tuple[str, str], ...]:
        """Return what goes out beside the answer: the id, the code of what went wrong, and the response's headers."""
        own = (("x-request-id", self.id), *((("srv-code", code),) if code else ()))
        if not self.headers_out:
            return own
        given = [(str(name).lower(), value) for name, value in self.headers_out.items()]
        fitting = [(name, value) for name, value in given if _fits(name, value)]
        if len(fitting) < len(given):
            log.warning("Headers of a response of model '%s' are not sent: gRPC cannot carry them.", self.model)
        return (*own, *(header for header in fitting if header[0] != "x-request-id"))


def _fits(name: str, value: object) -> bool:
    """Return whether gRPC can carry a header that a runtime gives."""
    return isinstance(value, str) and _NAME.fullmatch(name) is not None and _VALUE.fullmatch(value) is not None


Method = Callable[[bytes, Call], bytes]
StreamMethod = Callable[[Any, Call], Iterator[bytes]]


class MethodAdapter:
    """Makes methods into behaviours, which grpcio may call. `answered` is told of each call."""

    def __init__(self, answered: Callable[[], None], hidden: Collection[str], in_flight: Limit) -> None:
        self._answered = answered
        self._hidden = hidden
        self._pause: threading.Event | None = None
        self.in_flight = in_flight
        self.idle = IdleStreams()

    def unary(self, path: str, method: Method) -> Callable[[bytes, Any], bytes]:
        """Return a behaviour that calls the method. Whatever the method raises, the client hears of it by the table."""

        def answer(request: bytes, context: Any) -> bytes:
            call = Call(context, self._hidden)
            enter(call)
            try:
                with counted(self.in_flight, len(request)) if len(request) > SMALL else _NOTHING:
                    response = method(request, call)
                if len(response) > SMALL:
                    self._count_until_sent(len(response), context)
                _end(path, call, context)
            except BaseException as error:  # noqa: BLE001  not even a KeyboardInterrupt may leave a client without answer
                fail(path, call, context, error)
            finally:
                self._leave()
            return response

        return answer

    def stream(self, path: str, method: StreamMethod) -> Callable[[Any, Any], Iterator[bytes]]:
        """Return a behaviour that answers with a stream; its line in the log comes at the end."""

        def answers(request: Any, context: Any) -> Iterator[bytes]:
            call = Call(context, self._hidden)
            call.due = math.inf  # because it may wait for its client's next message; each message has its own deadline
            enter(call)

            def raised(error: BaseException) -> NoReturn:
                if client_has_left(error, context):
                    _log(path, call, grpc.StatusCode.CANCELLED, code_of(ClientLeft()))
                    raise error
                fail(path, call, context, error)

            try:
                requests = request if isinstance(request, bytes) else self.idle.requests(request, call)
                yield from each(method(requests, call), raised)
                _end(path, call, context)
            except GeneratorExit:  # grpcio, or a plugin's interceptor, wants no more answers
                _log(path, call, grpc.StatusCode.CANCELLED, code_of(ClientLeft()))
                raise
            finally:
                self._leave()

        return answers

    def hold_answers(self) -> None:
        """Delay the ends of all calls, so that clients that wait for an answer ask for nothing new."""
        self._pause = threading.Event()

    def let_answers_go(self) -> None:
        """Send the answers that were delayed."""
        pause, self._pause = self._pause, None
        if pause is not None:
            pause.set()

    def _leave(self) -> None:
        """Count a call as answered, and wait while answers are delayed."""
        try:
            self._answered()
        except BaseException:
            log.exception("A gRPC call could not be counted.")
        pause = self._pause
        if pause is not None:
            pause.wait(_LONGEST_PAUSE)

    def _count_until_sent(self, size: int, context: Any) -> None:
        """Count the bytes of an answer until it is sent, or its client has left."""
        lease = Lease(self.in_flight)
        lease.grow(size)
        if not context.add_callback(lease.release):
            lease.release()


def each(values: Iterator[Any], raised: Callable[[BaseException], NoReturn]) -> Iterator[Any]:
    """Yield the values. What is raised in making one goes to `raised`; closing this closes the values.

    So an error is told from the GeneratorExit with which somebody closes this, whatever its class is.
    """
    try:
        while True:
            try:
                value = next(values)
            except StopIteration:
                return
            except BaseException as error:  # noqa: BLE001
                raised(error)
            yield value
    finally:
        close = getattr(values, "close", None)
        if close is not None:
            close()


def client_has_left(error: BaseException, context: Any) -> bool:
    """Return whether an error in a behaviour is grpcio's way to say that the client has left."""
    return isinstance(error, grpc.RpcError) and not context.is_active()


@contextmanager
def counted(in_flight: Limit, size: int) -> Iterator[None]:
    """Count the bytes of a large message while it is handled. Raises BytesOverflow."""
    lease = in_flight.take(size)
    if lease is None:
        raise BytesOverflow(in_flight.most)
    try:
        yield
    finally:
        lease.release()


def fail(path: str, call: Call, context: Any, error: BaseException) -> NoReturn:
    """End a call with the status of an error; always raises, as grpcio's `abort` does."""
    code, status, sentence = told(error)
    if code == INTERNAL and not isinstance(error, PluginFailed):
        log.error("%s failed: %s", path, type(error).__name__, exc_info=error)
    try:
        metadata = call.trailing(code)
    except BaseException:  # noqa: BLE001  the headers are a plugin's
        metadata = (("x-request-id", call.id), ("srv-code", code))
    context.set_trailing_metadata(metadata)
    _log(path, call, status, code)
    context.abort(status, sentence)
    raise AssertionError  # never reached


def refusal(path: str, error: SrvError) -> Callable[[Any, Any], Any]:
    """Return a behaviour that reads nothing and refuses."""

    def refuse(_: Any, context: Any) -> Any:
        fail(path, Call(context), context, error)

    return refuse


def _end(path: str, call: Call, context: Any) -> None:
    context.set_trailing_metadata(call.trailing())
    if ACCESS.isEnabledFor(logging.INFO):  # because nobody else asks whether the client was still there
        if call.is_gone():
            _log(path, call, grpc.StatusCode.CANCELLED, code_of(ClientLeft()))
        else:
            _log(path, call, grpc.StatusCode.OK)


def _log(path: str, call: Call, status: grpc.StatusCode, code: str | None = None) -> None:
    seconds = time.monotonic() - call.received
    access_log("GRPC", path, status.value[0], seconds, call.id, model=call.model, outcome=code, stages=call.stages)

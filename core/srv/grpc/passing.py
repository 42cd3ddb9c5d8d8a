"""What every call passes through: its id, its headers, its deadline, its error in gRPC's words, its line in the log."""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import Any

import grpc

from srv.callers import Caller
from srv.counts import Stages
from srv.errors import SrvError
from srv.grpc.errors import INTERNAL, BytesOverflow, told
from srv.grpc.idle import IdleStreams
from srv.grpc.pools import received
from srv.inflight import InFlight
from srv.logs import ACCESS, access_log
from srv.rest.passing import HIDDEN
from srv.tensors import EMPTY

log = logging.getLogger(__name__)

_ID = re.compile(r"[\x21-\x7e]{1,128}")
_NAME = re.compile(r"(?!grpc-)[0-9a-z_.-]+")
_VALUE = re.compile(r"[\x20-\x7e]*")
#: Messages of so many bytes are not worth counting: a thousand of them are as much as one large one.
SMALL = 65536
_NOTHING = nullcontext()
#: Seconds that no client means: grpcio's way to say that there is no deadline.
_FOREVER = 1e8


class CallHeaders(Mapping[str, str]):
    """A call's metadata by lower-case name, without those that are hidden or binary; read when asked for."""

    def __init__(self, metadata: Any, hidden: Collection[str]) -> None:
        self._metadata = metadata
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
            self._read = headers
        return self._read


class Call(Caller):
    """One call, as a method of the face sees it. `model` is for the log, `headers_out` for the client."""

    def __init__(self, context: Any, hidden: Collection[str] = HIDDEN) -> None:
        super().__init__()
        metadata = context.invocation_metadata()
        self.received = received()
        self.headers = CallHeaders(metadata, hidden)
        self.headers_out: Mapping[str, str] = EMPTY
        self.model: str | None = None
        #: Where the time of the last request for inference went, for the log.
        self.stages: Stages | None = None
        self.taken = time.monotonic()
        given = next((value for name, value in metadata if name == "x-request-id"), None)
        self.id = given if given and _ID.fullmatch(given) else os.urandom(16).hex()
        self._context = context
        self._listens = False

    def stops(self, stop: Callable[[], object] | None) -> None:
        """As every caller; only from the first time on is grpcio asked to say when the call is over."""
        if not self._listens:
            self._listens = True
            if not self._context.add_callback(self.leave):
                self.left = True
        super().stops(stop)

    def deadline(self) -> float | None:
        """The client's own deadline on the monotonic clock, or None."""
        remaining = self._context.time_remaining()
        return None if remaining is None or remaining > _FOREVER else time.monotonic() + remaining

    def end(self) -> None:
        """Have the client hear that the call was cancelled."""
        self._context.cancel()

    def active(self) -> bool:
        """Whether somebody still waits for the answer."""
        return bool(self._context.is_active())

    def trailing(self, code: str | None = None) -> tuple[tuple[str, str], ...]:
        """What goes out beside the answer: the id, the code of what went wrong, and the response's own headers."""
        own = [(name.lower(), value) for name, value in self.headers_out.items() if name.lower() != "x-request-id"]
        sent = [(name, value) for name, value in own if _NAME.fullmatch(name) and _VALUE.fullmatch(value)]
        if len(sent) < len(own):
            log.warning("Headers of a response of model '%s' are not sent: gRPC cannot carry them.", self.model)
        return (("x-request-id", self.id), *((("srv-code", code),) if code else ()), *sent)


Method = Callable[[bytes, Call], bytes]
StreamMethod = Callable[[Any, Call], Iterator[bytes]]


class Passage:
    """What methods are made into, so that grpcio may call them. `answered` is told of each call."""

    def __init__(self, answered: Callable[[], None], hidden: Collection[str], in_flight: InFlight) -> None:
        self._answered = answered
        self._hidden = hidden
        self.in_flight = in_flight
        self.idle = IdleStreams()

    def unary(self, path: str, method: Method) -> Callable[[bytes, Any], bytes]:
        """A method as grpcio calls it; what it raises is told by the table, and never leaves as it is."""

        def answer(request: bytes, context: Any) -> bytes:
            call = Call(context, self._hidden)
            try:
                with held(self.in_flight, len(request)) if len(request) > SMALL else _NOTHING:
                    response = method(request, call)
            except (Exception, SystemExit) as error:
                fail(path, call, context, error)
                raise  # never reached: aborting raises
            finally:
                self._answered()
            if len(response) > SMALL:
                self._hold(len(response), context)
            _end(path, call, context)
            return response

        return answer

    def _hold(self, size: int, context: Any) -> None:
        """Count an answer in until it has gone, or nobody takes it any more."""
        self.in_flight.take(size)
        if not context.add_callback(lambda: self.in_flight.give_back(size)):
            self.in_flight.give_back(size)

    def stream(self, path: str, method: StreamMethod) -> Callable[[Any, Any], Iterator[bytes]]:
        """A method that answers with a stream, as grpcio calls it; its line in the log comes at the end."""

        def answers(request: Any, context: Any) -> Iterator[bytes]:
            call = Call(context, self._hidden)
            try:
                yield from method(request if isinstance(request, bytes) else self.idle.requests(request, call), call)
            except (grpc.RpcError, GeneratorExit):  # the client has left; grpcio knows its own
                _log(path, call, grpc.StatusCode.CANCELLED)
                raise
            except Exception as error:  # noqa: BLE001  whatever it is, the client hears of it
                fail(path, call, context, error)
            finally:
                self._answered()
            _end(path, call, context)

        return answers


@contextmanager
def held(in_flight: InFlight, size: int) -> Iterator[None]:
    """Count a large message in for as long as it is dealt with. Raises BytesOverflow."""
    try:
        if not in_flight.take(size):
            raise BytesOverflow(in_flight.most)
        yield
    finally:
        in_flight.give_back(size)


def fail(path: str, call: Call, context: Any, error: BaseException) -> None:
    """Tell the client what went wrong; always raises."""
    code, status, sentence = told(error)
    if code == INTERNAL[0]:
        log.error("%s failed: %s", path, type(error).__name__, exc_info=error)
    context.set_trailing_metadata(call.trailing(code))
    _log(path, call, status, code)
    context.abort(status, sentence)


def refusal(path: str, error: SrvError) -> Callable[[Any, Any], Any]:
    """A behaviour that reads nothing and refuses."""

    def refuse(_: Any, context: Any) -> Any:
        fail(path, Call(context), context, error)

    return refuse


def _end(path: str, call: Call, context: Any) -> None:
    context.set_trailing_metadata(call.trailing())
    if ACCESS.isEnabledFor(logging.INFO):  # because nobody else asks whether the client was still there
        _log(path, call, grpc.StatusCode.OK if call.active() else grpc.StatusCode.CANCELLED)


def _log(path: str, call: Call, status: grpc.StatusCode, code: str | None = None) -> None:
    seconds = time.monotonic() - call.received
    access_log("GRPC", path, status.value[0], seconds, call.id, model=call.model, outcome=code, stages=call.stages)

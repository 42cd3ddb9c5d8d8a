"""The private names of grpcio that srv uses: looked at on import, with the ordinary way where they have changed.

| What | Without it |
|---|---|
| `placed`, `pool_of`: a behaviour names the pool that runs it | all calls run in one pool |
| `receive`: a unary call's message is there before a thread is woken | the thread asks for the message and waits |
| `when_over`: a pool learns that a waiting call is over | the call keeps its place until a thread comes to it |
| `end_call`: a call is ended with a status, from any thread | it is ended with CANCELLED |
| `peer_port`: which client a call is from | its connection may be closed as idle, at the limit of connections |
| `guard_callbacks`: a plugin's callback cannot end grpcio's thread | grpcio catches what is an Exception |
| `ServingThread`: the thread that takes calls in is replaced when it dies | nobody looks after it |

`tests/grpc/test_grpcio_internals.py` runs with a grpcio that is known and with one that is not.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import CodeType
from typing import Any

import grpc
from grpc import _server
from grpc._cython import cygrpc

#: The functions of grpcio that take part in receiving a unary call's message, with the names of their arguments.
_WHOLE = "_unary_response_in_pool"
_ARGUMENTS = {
    _WHOLE: (
        "rpc_event",
        "state",
        "behavior",
        "argument_thunk",
        "request_deserializer",
        "response_serializer",
    ),
    "_unary_request": ("rpc_event", "state", "request_deserializer"),
    "_receive_message": ("state", "call", "request_deserializer"),
    "_is_rpc_state_active": ("state",),
    "_abort": ("state", "call", "code", "details"),
}
#: All names in the body of `_unary_request`, which `receive` does the work of: another body is another function.
_BODY = (
    "ReceiveMessageOperation StatusCode _CANCELLED _CLOSED _EMPTY_FLAGS _RECEIVE_MESSAGE_TOKEN _abort _common "
    "_is_rpc_state_active _receive_message add call call_details client condition cygrpc due encode format method "
    "request start_server_batch unimplemented wait"
)
_SERVING = ("_serve", "_request_call", "_REQUEST_CALL_TAG", "_ServerStage")

#: A call as grpcio submits it, behind the function that runs it in its context: what runs, and with which arguments.
Arguments = tuple[Any, ...]


def placed(behaviour: Callable[..., Any], pool: ThreadPoolExecutor) -> Callable[..., Any]:
    """Return the behaviour, to be run by that pool."""
    behaviour.experimental_thread_pool = pool  # type: ignore[attr-defined]  # grpcio looks for it by name
    return behaviour


def pool_of(behaviour: Callable[..., Any]) -> ThreadPoolExecutor | None:
    """Return the pool that a behaviour was placed in."""
    return getattr(behaviour, "experimental_thread_pool", None)


# -- receiving a message before a thread is woken ----------------------------------------------------------------------


def known(server: Any = _server) -> bool:
    """Return whether this grpcio has the functions that `receive` uses, in the form in which it uses them."""
    functions = {name: getattr(server, name, None) for name in _ARGUMENTS}
    return (
        all(_arguments(functions[name]) == arguments for name, arguments in _ARGUMENTS.items())
        and _body(functions["_unary_request"]) == _BODY
        and all(hasattr(server, name) for name in ("_CLOSED", "_RECEIVE_MESSAGE_TOKEN"))
        and hasattr(cygrpc, "ReceiveMessageOperation")
    )


def receive(arguments: Arguments, tell: Callable[[Arguments | None], None]) -> bool:
    """Ask for the message of a call. Return False, with nothing done, for a call that is not unary or not known.

    `tell` gets, in grpcio's own thread, the arguments with which the call is to be run, or None where there is nothing
    to run: the client has left, or sends no message.
    """
    if not _KNOWN or len(arguments) != _LENGTH or arguments[0] is not _server._unary_response_in_pool:
        return False
    whole, event, state, behaviour, ask, reads, writes = arguments
    if getattr(ask, "__qualname__", None) != _ASKS:  # a stream's requests
        return False
    take_in = _server._receive_message(state, event.call, reads)
    request: Any = None

    def take() -> Any:
        return request if _server._is_rpc_state_active(state) else None

    def arrived(received: Any) -> Any:
        nonlocal request
        over = take_in(received)
        request, state.request = state.request, None
        if request is None:
            _refuse_silence(event, state)
            tell(None)
        else:
            tell((whole, event, state, behaviour, take, reads, writes))
        return over

    with state.condition:
        active = _server._is_rpc_state_active(state)
        if active:
            event.call.start_server_batch((cygrpc.ReceiveMessageOperation(0),), arrived)
            state.due.add(_server._RECEIVE_MESSAGE_TOKEN)
    if not active:
        tell(None)
    return True


def _refuse_silence(event: Any, state: Any) -> None:
    """Refuse a client that sends no message and stays, as grpcio does."""
    with state.condition:
        if state.client is _server._CLOSED and _server._is_rpc_state_active(state):
            details = f'"{event.call_details.method.decode()}" requires exactly one request message.'
            _server._abort(state, event.call, cygrpc.StatusCode.unimplemented, details.encode())


def _arguments(function: Any) -> tuple[str, ...] | None:
    code = getattr(function, "__code__", None)
    return None if code is None else code.co_varnames[: code.co_argcount]


def _body(function: Any) -> str:
    """Return all names that a function and the functions inside it use of others, sorted."""
    code: CodeType = function.__code__
    inner = [each for each in code.co_consts if isinstance(each, CodeType)]
    return " ".join(sorted({*code.co_names}.union(*(each.co_names for each in inner))))


# -- the end of a call -------------------------------------------------------------------------------------------------


def when_over(arguments: Arguments, tell: Callable[[], None]) -> None:
    """Have `tell` called when the call ends, be it that its client leaves or that its deadline passes.

    The state of the call is among the arguments of what is submitted; it calls `tell` in grpcio's own thread, in which
    it submits too.
    """
    for argument in arguments:
        callbacks = getattr(argument, "callbacks", None)
        if isinstance(callbacks, list):
            callbacks.append(tell)
            return


def end_call(call: Any, status: grpc.StatusCode, sentence: str) -> None:
    """End a call with a status, from any thread; `call` is its context, or the arguments as they were submitted.

    Nothing happens where the call is over, or where this grpcio does not show the call among the arguments.
    """
    events = call if isinstance(call, tuple) else (getattr(call, "_rpc_event", None),)
    inner = next((found for event in events if (found := getattr(event, "call", None)) is not None), None)
    try:
        if inner is not None:
            inner.cancel(status.value[0], sentence.encode("ascii", "replace").decode())
            return
    except (TypeError, ValueError):  # this grpcio has another `cancel`
        pass
    if not isinstance(call, tuple):
        call.cancel()


def peer_port(arguments: Arguments) -> int | None:
    """Return the port of the client of a call; None where this grpcio does not show it, or the peer has none."""
    for event in arguments:
        call = getattr(event, "call", None)
        if call is not None and hasattr(call, "peer"):
            port = call.peer().decode(errors="replace").rpartition(":")[2]
            return int(port) if port.isdecimal() else None
    return None


class _Callbacks(list[Callable[[], Any]]):
    """What a call does at its end; whatever one raises becomes an Exception, which grpcio logs."""

    def append(self, callback: Callable[[], Any]) -> None:
        """Add one more."""

        def guarded() -> None:
            try:
                callback()
            except Exception:
                raise
            except BaseException as error:
                raise RuntimeError(f"a callback raised {type(error).__name__}") from error

        super().append(guarded)


def guard_callbacks(context: Any) -> None:
    """Keep what a plugin adds by `context.add_callback` from ending the thread in which grpcio calls it."""
    state = getattr(context, "_state", None)
    if state is None or not hasattr(state, "condition"):
        return
    with state.condition:
        callbacks = getattr(state, "callbacks", None)
        if type(callbacks) is list:
            guarded = _Callbacks()
            guarded.extend(callbacks)
            state.callbacks = guarded


# -- the thread that takes calls in ------------------------------------------------------------------------------------


class ServingThread:
    """The one thread in which grpcio takes calls in. A server whose thread has died would answer nobody."""

    def __init__(self, server: Any) -> None:
        self._server = server
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the server, and with it the thread."""
        before = set(threading.enumerate())
        self._server.start()
        if all(hasattr(_server, name) for name in _SERVING) and hasattr(self._server, "_state"):
            started = [thread for thread in threading.enumerate() if thread not in before]
            self._thread = next((thread for thread in started if thread.name.endswith("(_serve)")), None)

    def revive(self) -> bool:
        """Start the thread anew where it has died while the server serves. Return whether that was so."""
        if self._thread is None or self._thread.is_alive():
            return False
        state = self._server._state
        with state.lock:
            if state.stage is _server._ServerStage.STOPPED:
                return False
            if state.stage is _server._ServerStage.STARTED and _server._REQUEST_CALL_TAG not in state.due:
                _server._request_call(state)
        self._thread = threading.Thread(target=_server._serve, args=(state,), name="srv-grpc (_serve)", daemon=True)
        self._thread.start()
        return True


_KNOWN = known()
_LENGTH = 1 + len(_ARGUMENTS[_WHOLE])
_ASKS = "_unary_request.<locals>.unary_request"

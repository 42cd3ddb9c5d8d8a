"""Has a unary call's message received before a thread is woken for it.

grpcio gives a pool a function that asks for the message and sleeps until it is there, so that a thread is woken twice
for each call. What it gives is private: `known` looks whether it is as we think, and where it is not, a call is run as
grpcio would run it. `tests/grpc/test_arriving.py` says when that has come about.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from grpc import _server
from grpc._cython import cygrpc

#: What a pool is given to run, and the functions that do the parts of it: their names, and their arguments' names.
_WHOLE = "_unary_response_in_pool"
_PARTS = {
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
_WORDS = ("_CLOSED", "_RECEIVE_MESSAGE_TOKEN")

#: A call as grpcio submits it, behind the function that runs it in its context: what runs, and with which arguments.
Arguments = tuple[Any, ...]


def known(server: Any = _server) -> bool:
    """Whether this grpcio has the parts that are used here, in the form in which they are used."""
    return (
        all(_names(getattr(server, part, None)) == names for part, names in _PARTS.items())
        and all(hasattr(server, word) for word in _WORDS)
        and hasattr(cygrpc, "ReceiveMessageOperation")
    )


def receive(arguments: Arguments, tell: Callable[[Arguments | None], None]) -> bool:
    """Ask for the message of a call. False, and nothing has been done, where the call is not unary or not known.

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
    """As grpcio does with a client that sends no message and stays."""
    with state.condition:
        if state.client is _server._CLOSED and _server._is_rpc_state_active(state):
            details = f'"{event.call_details.method.decode()}" requires exactly one request message.'
            _server._abort(state, event.call, cygrpc.StatusCode.unimplemented, details.encode())


def _names(function: Any) -> tuple[str, ...] | None:
    code = getattr(function, "__code__", None)
    return None if code is None else code.co_varnames[: code.co_argcount]


_KNOWN = known()
_LENGTH = 1 + len(_PARTS[_WHOLE])
_ASKS = "_unary_request.<locals>.unary_request"

"""Methods of MLServer's classes: which may wait for something, how they read requests, and which inputs they need."""

from __future__ import annotations

import dis
import inspect
from typing import Any, Union, get_args, get_origin, get_type_hints

from mlserver import MLModel
from mlserver.codecs.base import find_input_codec

_WAITING = frozenset({"GET_AWAITABLE", "GET_AITER", "BEFORE_ASYNC_WITH"})
_NO_LOOP = "no running event loop"


class NeedsLoop(Exception):
    """A coroutine waits for something, or asks for the event loop that runs it."""


def run_here(coroutine: Any) -> Any:
    """Return what a coroutine returns that waits for nothing; anything else that is given is returned as it is.

    Raises NeedsLoop where it does wait, after which it is closed.
    """
    if not inspect.iscoroutine(coroutine):
        return coroutine
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value
    except RuntimeError as error:
        if _NO_LOOP in str(error) or type(error).__name__ == "AsyncLibraryNotFoundError":
            raise NeedsLoop from error
        raise
    coroutine.close()
    raise NeedsLoop


def may_suspend(method: Any) -> bool:
    """Return whether a method may wait for something: its own code awaits, or nobody knows its code.

    MLServer's decode_args awaits what it decorates and nothing else, so the decorated function decides.
    """
    function = _undecorated(method)
    code = getattr(function, "__code__", None)
    return code is None or any(each.opname in _WAITING for each in dis.get_instructions(code))


def reads_by_codecs(model: MLModel) -> bool:
    """Return whether a class reads data through codecs only, so that arrays do: decode_args, or a runtime of MLServer's."""
    return _is_decode_args(model.predict) or type(model).__module__.startswith("mlserver_")


def required_inputs(method: Any) -> tuple[str, ...]:
    """Return the inputs without which a function under decode_args cannot be called; none where srv cannot tell.

    An argument that a request codec makes, such as a DataFrame, is no input of its own.
    """
    if not _is_decode_args(method):
        return ()
    function = _undecorated(method)
    hints = get_type_hints(function)
    parameters = [*inspect.signature(function).parameters.values()][1:]
    return tuple(
        each.name
        for each in parameters
        if each.default is each.empty and find_input_codec(type_hint=_of_optional(hints.get(each.name))) is not None
    )


def _of_optional(hint: Any) -> Any:
    """Return the hint without None, as decode_args reads it."""
    given = [each for each in get_args(hint) if each is not type(None)]
    return given[0] if get_origin(hint) is Union and len(given) == 1 else hint


def _undecorated(method: Any) -> Any:
    """Return the function below decode_args; the method itself where another decorator wraps it, whose code decides."""
    while _is_decode_args(method):
        method = method.__wrapped__
    return getattr(method, "__func__", method)


def _is_decode_args(method: Any) -> bool:
    code = getattr(getattr(method, "__func__", method), "__code__", None)
    return code is not None and code.co_qualname == "decode_args.<locals>._f"

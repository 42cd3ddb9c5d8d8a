"""Instances of runtimes, and checks of their classes before a load."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from srv.errors import SrvError
from srv.model_settings import ModelSettings
from srv.models.model_imports import BadImplementation
from srv.runtime import Runtime

_METHODS = ("load", "predict", "predict_stream", "unload", "thread_started")
#: Those that are called without arguments and answer nothing.
_STEPS = ("load", "unload", "thread_started")
#: The attributes that Runtime.__init__ sets.
_ATTRIBUTES = ("settings", "name", "version", "log", "inputs", "outputs", "parameters")


class BadInit(SrvError):
    """The runtime's `__init__` does not take the settings."""

    def __init__(self, name: str, why: str) -> None:
        super().__init__(
            f"{name}.__init__ {why}. Write def __init__(self, settings): super().__init__(settings), or better, leave it "
            "out and do its work in load."
        )


class BadMethod(SrvError):
    """A method of the runtime is written so that srv cannot call it."""


class BadThread(SrvError):
    """The class asks for a thread in which its methods cannot run."""


class NoPredict(SrvError):
    """The runtime has neither predict nor predict_stream."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} has no predict method; write predict(self, request) or predict by signature.")


def as_runtime_class(found: object, named: str | None) -> type[Runtime]:
    """Return what a model's settings name as its runtime. Raises BadImplementation where that is no runtime."""
    if not (isinstance(found, type) and issubclass(found, Runtime)):
        raise BadImplementation(
            f"'{named}' is no runtime: it is not a class that extends srv.Runtime{_of_another_library(found)}."
        )
    return found


def _of_another_library(found: object) -> str:
    """Return the end of the sentence for a class that a package not installed here would make a runtime of."""
    libraries = {each.__module__.partition(".")[0] for each in (found.__mro__ if isinstance(found, type) else ())}
    return ", but MLServer's MLModel; `pip install srv-mlserver` serves it" if "mlserver" in libraries else ""


def check_threads(runtime_class: type[Runtime]) -> None:
    """Raise BadThread for a class that wants two threads at once, or one in which async methods would not run."""
    name = runtime_class.__name__
    if runtime_class.main_thread and runtime_class.same_thread:
        raise BadThread(f"{name} says main_thread and same_thread, and its load runs in one thread only; choose one.")
    if not (runtime_class.main_thread or runtime_class.same_thread):
        return
    word, methods = ("same_thread", _METHODS) if runtime_class.same_thread else ("main_thread", ("load", "unload"))
    for method in methods:
        function = getattr(runtime_class, method, None)
        if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
            raise BadThread(
                f"{name} says {word}, and its {method} is async, so it would run on the event loop, in another thread; "
                f"write {method} without async, or leave {word} out."
            )


def make_runtime(runtime_class: type[Runtime], settings: ModelSettings) -> Runtime:
    """Return an instance of a runtime's class, not loaded yet. Raises BadInit or BadMethod, which say what to write."""
    name = runtime_class.__name__
    if inspect.iscoroutinefunction(runtime_class.__init__):
        raise BadInit(name, "is async, and nothing awaits it")
    if not takes(runtime_class, settings):
        raise BadInit(name, "does not take the settings alone, which is what srv makes a runtime of")
    try:
        runtime = runtime_class(settings)
    except AttributeError as error:
        if isinstance(error.obj, Runtime) and error.name in _ATTRIBUTES:
            raise BadInit(name, f"uses self.{error.name} before it has called super().__init__") from error
        raise
    except TypeError as error:
        if str(error).startswith("Runtime.__init__()"):
            raise BadInit(name, "does not pass the settings on to super().__init__") from error
        raise
    if not all(hasattr(runtime, attribute) for attribute in _ATTRIBUTES):
        raise BadInit(name, "does not call super().__init__")
    for method in _METHODS:
        _check_method(runtime, method)
    return runtime


def check_predict(runtime: Runtime) -> None:
    """Raise NoPredict where a loaded runtime has no predict or predict_stream, BadMethod where srv cannot call it."""
    for method in ("predict", "predict_stream"):
        _check_method(runtime, method)
    if all(getattr(runtime, method, None) is None for method in ("predict", "predict_stream")):
        raise NoPredict(type(runtime).__name__)


def takes(function: Callable[..., Any], *arguments: object) -> bool:
    """Return whether a function takes these arguments; True where it has no readable signature."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return True
    try:
        signature.bind(*arguments)
    except TypeError:
        return False
    return True


def _check_method(runtime: Runtime, name: str) -> None:
    title = f"{type(runtime).__name__}.{name}"
    written = inspect.getattr_static(runtime, name, None)
    if written is None:
        return
    if isinstance(written, property):
        raise BadMethod(f"{title} is a property; take @property away, so that it is a method.")
    method = getattr(runtime, name)
    if not callable(method):
        raise BadMethod(f"{title} is of type {type(method).__name__}, and must be a method.")
    if isinstance(written, staticmethod) and next(iter(_parameters(method)), None) == "self":
        raise BadMethod(f"{title} is a staticmethod that takes self; take @staticmethod away.")
    generates = inspect.isgeneratorfunction(method) or inspect.isasyncgenfunction(method)
    if generates and name == "predict":
        raise BadMethod(
            f"{title} is a generator, which has many answers. Call it predict_stream, or return one answer from predict."
        )
    if generates and name in _STEPS:
        raise BadMethod(f"{title} is a generator, so that calling it does nothing; return, and do not yield.")
    if name in _STEPS and not takes(method):
        raise BadMethod(f"{title} takes arguments, and is called without; the settings are self.settings.")
    if name == "thread_started" and inspect.iscoroutinefunction(method):
        raise BadMethod(f"{title} is async, so it would set up the event loop's thread only; write it without async.")


def _parameters(method: Callable[..., Any]) -> list[str]:
    try:
        return list(inspect.signature(method).parameters)
    except (TypeError, ValueError):
        return []

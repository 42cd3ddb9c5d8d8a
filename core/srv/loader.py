"""Loads and unloads models: import, settings of its own, load, prepare, warm up; and the reason where that fails."""

from __future__ import annotations

import inspect
import logging
import os
import re
import threading
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from typing import Any, Protocol

import marshmallow
import msgspec

from srv.discovery import Kind, Plugins
from srv.errors import LoadFailed, SrvError
from srv.modelcode import BadImplementation, ModelCode
from srv.modelsettings import ModelSettings
from srv.registry import Model, ModelState, Registry
from srv.runtime import Runtime

log = logging.getLogger(__name__)

_REASON_LENGTH = 300
_PRIVATE = re.compile(r"\bsrv_model_\w+_\d+\.")
_PATH = re.compile(r"(?<![\w./])/(?:[^\s/'\"<>:,()]+/)+([^\s/'\"<>:,()]*)")

#: Runs a coroutine on the worker's event loop and waits for it.
RunAsync = Callable[[Coroutine[Any, Any, Any]], Any]


class LoadedNothing(SrvError):
    """`load` said that it could not."""

    def __init__(self) -> None:
        super().__init__("load() returned False.")


class NoPredict(SrvError):
    """The runtime has nothing that answers."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} has no predict method; write predict(self, request) or predict by signature.")


class BadExtra(SrvError):
    """`parameters.extra` does not fit the runtime's own schema."""

    def __init__(self, messages: str) -> None:
        super().__init__(f"parameters.extra does not fit the runtime: {messages}")


class ModelEvents(Protocol):
    """Who is told what became of a model."""

    def model_loaded(self, model: Model, seconds: float) -> None:
        """The model serves."""

    def model_failed(self, model: Model, reason: str) -> None:
        """The model could not be loaded."""

    def model_unloaded(self, model: Model) -> None:
        """The model is gone."""


class _Begun(msgspec.Struct, frozen=True):
    """A model that was loaded, what is kept in its place until it serves, and how long it took."""

    model: Model
    before: Model | None
    seconds: float


class Loader:
    """Brings models into the registry and takes them out. Safe to call from several threads; loads take turns."""

    def __init__(
        self,
        registry: Registry,
        plugins: Plugins,
        *,
        prepare: Callable[[Model, Runtime], None],
        warm_up: Callable[[Model], None],
        run_async: RunAsync,
        events: ModelEvents,
    ) -> None:
        self._registry = registry
        self._plugins = plugins
        self._prepare = prepare
        self._warm_up = warm_up
        self._run_async = run_async
        self._events = events
        self._lock = threading.RLock()

    def load(self, settings: ModelSettings) -> Model:
        """Load a model and serve it, in the place of one of the same name and version, which goes on until then.

        Raises LoadFailed with the reason; a model that served before still does.
        """
        begun = self._begin(settings)
        self._serve([begun])
        return begun.model

    def load_together(self, several: Sequence[ModelSettings]) -> list[LoadFailed]:
        """Load models beside each other, and serve each that could be loaded; the failures of the others, in order."""
        failures: list[LoadFailed] = []
        with ThreadPoolExecutor(
            max_workers=min(len(several), os.cpu_count() or 1), thread_name_prefix="srv-load"
        ) as pool:
            for loading in [pool.submit(self._begin, settings) for settings in several]:
                try:
                    self._serve([loading.result()])
                except LoadFailed as error:
                    failures.append(error)
        return failures

    def loads_beside_others(self, settings: ModelSettings) -> bool:
        """Whether a model's runtime is a registered one that says so of itself."""
        if settings.runtime is None:
            return False
        try:
            runtime_class = self._plugins.load(Kind.RUNTIME, settings.runtime)
        except Exception:  # noqa: BLE001  the load itself says what is wrong
            return False
        return getattr(runtime_class, "parallel_load", False) is True

    def load_all(self, versions: Sequence[ModelSettings]) -> None:
        """Load all the versions that a model is to have, then serve them in the place of all that it has, at once.

        Raises LoadFailed with the reason of the first that fails; every version that served before still does.
        """
        begun: list[_Begun] = []
        try:
            for settings in versions:
                begun.append(self._begin(settings))  # noqa: PERF401  those before the one that fails are kept
        except LoadFailed:
            for each in begun:
                self._take_back(each)
            raise
        there = {each.model.version for each in begun}
        name = versions[0].name
        self._serve(begun, gone=[model for version, model in self._registry.kept(name).items() if version not in there])

    def _begin(self, settings: ModelSettings) -> _Begun:
        """Load a model that nobody is led to yet."""
        model = Model(settings)
        before = self._registry.kept(model.name).get(model.version)
        serving = before if before is not None and before.state is ModelState.READY else None
        if serving is None:
            placeholder = Model(settings)
            placeholder.state = ModelState.LOADING
            self._registry.put(placeholder)
        started = time.monotonic()
        try:
            self._start(model)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # neither sys.exit() nor a panic in Rust may end the loader's thread
            self._failed(model, error, serving=serving)
            raise LoadFailed(f"Model '{model.title}' could not be loaded: {model.reason}") from error
        return _Begun(model, before, time.monotonic() - started)

    def _serve(self, begun: Sequence[_Begun], *, gone: Sequence[Model] = ()) -> None:
        """Lead requests to models that were loaded, and let go of those whose place they take and of those that go."""
        served = [model for model in (*(each.before for each in begun), *gone) if model is not None]
        served = [model for model in served if model.state is ModelState.READY]
        for each in begun:
            each.model.state = ModelState.READY
        for model in gone:
            model.state = ModelState.UNLOADING
        self._registry.exchange(begun[0].model.name, [each.model for each in begun], gone=gone)
        for each in begun:
            log.info("Model '%s' loaded in %.2f s.", each.model.title, each.seconds)
            self._events.model_loaded(each.model, each.seconds)
        for model in served:
            self._stop(model)
            if model in gone:
                self._events.model_unloaded(model)

    def _take_back(self, begun: _Begun) -> None:
        """Let go of a model that was loaded and never served, and keep again what was kept in its place."""
        self._stop(begun.model)
        if begun.before is not None:
            self._registry.put(begun.before)
        else:
            self._registry.remove(self._registry.kept(begun.model.name)[begun.model.version])

    def refuse(self, settings: ModelSettings, reason: str) -> None:
        """Keep a model that cannot even be tried, so that the index can say why."""
        model = Model(settings)
        model.state = ModelState.UNAVAILABLE
        model.reason = reason
        self._registry.put(model)
        self._events.model_failed(model, model.reason)

    def unload(self, model: Model) -> None:
        """Stop serving a model and let it go."""
        model.state = ModelState.UNLOADING
        self._registry.settle()
        self._stop(model)
        model.state = ModelState.UNAVAILABLE
        model.reason = "unloaded"
        self._registry.settle()
        self._events.model_unloaded(model)

    def close(self) -> None:
        """Unload everything, at the end of the process."""
        for model in self._registry.models():
            if model.state is ModelState.READY:
                self.unload(model)

    def _start(self, model: Model) -> None:
        settings = model.settings
        code = ModelCode(settings.folder, settings.name)
        try:
            runtime_class = self._runtime_class(settings, code)
            with self._alone(runtime_class, settings, code):
                runtime = runtime_class(_with_extra(settings, runtime_class))
                model.runtime = runtime
                self._call(runtime.load)
                _check_predict(runtime)
                self._prepare(model, runtime)
                self._warm_up(model)
        except BaseException:
            code.forget()
            raise
        runtime.ready = True
        model.code = code

    def _alone(
        self, runtime_class: type[Runtime], settings: ModelSettings, code: ModelCode
    ) -> AbstractContextManager[None]:
        if settings.runtime is not None and runtime_class.parallel_load:
            return nullcontext()
        return self._turn(code)

    @contextmanager
    def _turn(self, code: ModelCode) -> Iterator[None]:
        """One load at a time, with the model's modules under their plain names."""
        with self._lock, code.plain_names():
            yield

    def _runtime_class(self, settings: ModelSettings, code: ModelCode) -> type[Runtime]:
        if settings.implementation is None:
            found = self._plugins.load(Kind.RUNTIME, settings.runtime or "")
        else:
            with self._turn(code):
                found = code.attribute(settings.implementation)
        if not (isinstance(found, type) and issubclass(found, Runtime)):
            named = settings.implementation or settings.runtime
            raise BadImplementation(f"'{named}' is no runtime: it is not a class that extends srv.Runtime.")
        return found

    def _call(self, load: Callable[[], Any]) -> None:
        outcome = load()
        if inspect.iscoroutine(outcome):
            outcome = self._run_async(outcome)
        if outcome is False:
            raise LoadedNothing

    def _failed(self, model: Model, error: BaseException, *, serving: Model | None) -> None:
        model.reason = reason_of(error, model.settings)
        model.state = ModelState.UNAVAILABLE
        log.error("Model '%s' could not be loaded: %s", model.title, model.reason, exc_info=_traceback_of(error))
        if serving is None:
            self._registry.put(model)
        else:
            serving.reason = f"it serves, and loading it again failed: {model.reason}"
        with self._lock:  # because models that load beside each other may fail at once, and plugins are told in turn
            self._events.model_failed(model, model.reason)

    def _stop(self, model: Model) -> None:
        """Let the last predict return, then let the runtime go."""
        runtime, model.runtime = model.runtime, None
        try:
            if model.wait_idle is not None:
                model.wait_idle()
            if runtime is not None:
                outcome = runtime.unload()
                if inspect.iscoroutine(outcome):
                    self._run_async(outcome)
        except KeyboardInterrupt:
            raise
        except BaseException:
            log.exception("Model '%s' raised while unloading; it is gone all the same.", model.title)
        if model.code is not None:
            model.code.forget()


def _check_predict(runtime: Runtime) -> None:
    if not any(callable(getattr(runtime, method, None)) for method in ("predict", "predict_stream")):
        raise NoPredict(type(runtime).__name__)


def _with_extra(settings: ModelSettings, runtime_class: type[Runtime]) -> ModelSettings:
    if runtime_class.extra is None:
        return settings
    try:
        extra = runtime_class.extra().load(dict(settings.parameters.extra))
    except marshmallow.ValidationError as error:
        raise BadExtra(_sentence(error.messages)) from None
    return replace(settings, parameters=replace(settings.parameters, extra=extra))


def _sentence(messages: Any, path: str = "extra") -> str:
    if isinstance(messages, dict):
        return " ".join(_sentence(inner, f"{path}.{key}") for key, inner in messages.items())
    return f"{path}: {' '.join(str(message) for message in messages)}"


def reason_of(error: BaseException, settings: ModelSettings) -> str:
    """Why a load failed, as the index tells it: class and message, paths relative to the model's folder, 300 chars."""
    text = f"{type(error).__name__}: {error}".rstrip(": ")
    folder = str(settings.folder.absolute())
    text = _PRIVATE.sub("", text.replace(folder + "/", "").replace(folder, "."))
    text = " ".join(_PATH.sub(r"…/\1", text).split())
    return text if len(text) <= _REASON_LENGTH else text[: _REASON_LENGTH - 1] + "…"


def _traceback_of(error: BaseException) -> BaseException | None:
    """Where the fault is somebody's code, the log shows the place; one of our sentences needs none."""
    return None if isinstance(error, SrvError) else error

"""Instances: how a model's runtime is made, loaded, prepared, warmed up, and in the end unloaded."""

from __future__ import annotations

import inspect
import logging
import threading
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import marshmallow
import numpy as np

from srv.discovery import ExtraMissing, PluginKind, Plugins
from srv.errors import is_from_signal
from srv.fetching.artifacts import LocalArtifact, with_artifact
from srv.metrics_types import MetricReporter
from srv.model_settings import ModelSettings
from srv.models.code_folders import Codes, codes_of
from srv.models.folder_codecs import Codec, codecs_of, name_of
from srv.models.load_errors import BadExtra, LoadedLater, LoadedNothing, OtherLoadHangs
from srv.models.main_thread import MainThread
from srv.models.model_imports import ModelCode
from srv.models.module_names import Links
from srv.models.own_thread import OwnThread
from srv.models.registry import ModelVersion
from srv.models.runtime_classes import as_runtime_class, check_predict, check_threads, make_runtime
from srv.models.tracebacks import from_call
from srv.runtime import Runtime
from srv.server import Server

log = logging.getLogger(__name__)

#: Seconds that the import of a model's modules waits for another load, which may hang.
_IMPORT_WAITS = 2.0

#: Calls a function in some thread and waits for it.
Run = Callable[..., Any]
#: Runs a coroutine on the worker's event loop and waits for it.
RunAsync = Callable[[Coroutine[Any, Any, Any]], Any]
#: Returns what takes the metrics of a new instance, for a model's name and version.
MetricsOf = Callable[[str, str], MetricReporter]
#: Has a model loaded in processes of its own, with settings that name its artifact on this machine.
StartProcess = Callable[[ModelVersion, ModelSettings], object]
#: Returns the runtime that a plugin makes of a class of another library, for a model's settings; None where none does.
Adopt = Callable[[type, ModelSettings], type[Runtime] | None]
#: Returns the runtime of a fetched file whose name leaves it open.
RuntimeFor = Callable[[ModelSettings, Path], str]


def nobody_adopts(cls: type, settings: ModelSettings) -> None:
    """Make a runtime of no foreign class."""


class Instances:
    """Starts and stops the runtimes of models. Safe to call from several threads, for different models at once."""

    def __init__(
        self,
        plugins: Plugins,
        *,
        prepare: Callable[[ModelVersion, Runtime], None],
        warm_up: Callable[[ModelVersion], None],
        run_async: RunAsync,
        links: Links,
        main_thread: MainThread,
        server_of: Callable[[ModelVersion], Server],
        load_timeout: float | None,
        cores: int,
        metrics: MetricsOf | None = None,
        fetch: Callable[[ModelSettings], LocalArtifact | None],
        runtime_for: RuntimeFor | None = None,
        adopt: Adopt,
        start_process: StartProcess | None = None,
    ) -> None:
        self._plugins = plugins
        self._runtime_for = runtime_for
        self._adopt = adopt
        self._start_process = start_process
        self._fetch = fetch
        self._prepare = prepare
        self._warm_up = warm_up
        self._run_async = run_async
        self._links = links
        self._main_thread = main_thread
        self._server_of = server_of
        self._load_timeout = load_timeout
        #: The share of the machine's cores that this worker has.
        self._cores = cores
        self._metrics = metrics
        self._guard = threading.Condition()
        #: The model that loads with plain names for its modules.
        self._alone_now: ModelVersion | None = None
        #: Held while names of modules are changed, which takes no code of a model.
        self._naming = threading.Lock()

    def start(self, model: ModelVersion) -> None:
        """Load a model's runtime and give the model what it answers with. Raises whatever the runtime raises.

        Where it raises, the model is to be stopped all the same. It has a runtime then only if `load` has succeeded, and
        `stop` calls `unload` for that one.
        """
        if model.settings.candidates:
            self._choose_runtime(model)
        settings = model.settings
        if settings.process is not None:
            model.artifact = model.artifact or self._fetch(settings)
            assert (
                self._start_process is not None
            )  # because a process of a model's own gets its settings without `process`
            self._start_process(model, with_artifact(settings, model.artifact))
            return
        with self._naming:
            model.codes = codes = codes_of(settings, self._links)
        code = codes.implementation
        runtime_class = self._runtime_class(model, code)
        model.codecs = self._codecs(model, codes)
        check_threads(runtime_class)
        run = self._thread_for(model, runtime_class)
        model.artifact = model.artifact or self._fetch(settings)
        settings = _with_extra(with_artifact(settings, model.artifact), runtime_class)
        with self._beside_others(runtime_class, model, code), self._extra_told(settings):
            runtime: Runtime = run(partial(make_runtime, runtime_class, settings), loads=True)
            if self._metrics is not None:
                runtime.metric_reporter = model.metrics = self._metrics(model.name, model.wire_version)
            self._give_server(runtime, model)
            self._give_cores(runtime)
            self._check_loaded(run(runtime.load, loads=True))
            model.runtime = runtime
            check_predict(runtime)
            self._prepare(model, runtime)
            self._warm_up(model)
        runtime.ready = True

    def _choose_runtime(self, model: ModelVersion) -> None:
        """Fetch the model's file, and name the runtime of its content in the model's settings."""
        model.artifact = artifact = self._fetch(model.settings)
        # Only of what is elsewhere the name leaves the runtime open, and a process of a model's own gets it chosen.
        assert artifact is not None
        assert self._runtime_for is not None
        runtime = self._runtime_for(model.settings, artifact.path)
        model.settings = replace(model.settings, runtime=runtime, candidates=())

    def _give_server(self, runtime: Runtime, model: ModelVersion) -> None:
        """Set `runtime.server`, unless the runtime has something of its own under that name."""
        if type(runtime).server is Runtime.server and "server" not in vars(runtime):
            runtime.server = self._server_of(model)

    def _give_cores(self, runtime: Runtime) -> None:
        """Set `runtime.cores`, unless the runtime has something of its own under that name."""
        if type(runtime).cores is Runtime.cores:
            vars(runtime).setdefault("cores", self._cores)

    def stop(self, model: ModelVersion) -> None:
        """Unload a model's runtime, in which no request runs any more, and keep nothing of it."""
        runtime = model.runtime
        model.drop()
        try:
            if runtime is not None:
                outcome = self._thread_for(model, type(runtime))(runtime.unload)
                if inspect.iscoroutine(outcome):
                    self._run_async(outcome)
        except BaseException as error:
            if is_from_signal(error):
                raise
            log.exception(
                "Model '%s' raised while unloading; it is gone all the same.", model.title, exc_info=from_call(error)
            )
        self.forget(model)

    def forget(self, model: ModelVersion) -> None:
        """End a model's own thread and its gauges, take its modules out of sys.modules, and let its artifact go."""
        if model.metrics is not None:
            model.metrics.close()
        if model.artifact is not None:
            model.artifact.release()
        if model.thread is not None:
            model.thread.stop()
        if model.codes is not None:
            with self._naming:
                model.codes.forget()

    def loads_beside_others(self, settings: ModelSettings) -> bool:
        """Return whether the runtime is a registered one with `parallel_load`, or loads in a process of its own."""
        if settings.process is not None:
            return True
        if settings.runtime is None:
            return False
        try:
            runtime_class = self._plugins.load(PluginKind.RUNTIME, settings.runtime)
        except Exception:  # noqa: BLE001  the load itself says what is wrong
            return False
        return getattr(runtime_class, "parallel_load", False) is True and not getattr(
            runtime_class, "main_thread", False
        )

    def _beside_others(
        self, runtime_class: type[Runtime], model: ModelVersion, code: ModelCode
    ) -> AbstractContextManager[object]:
        """Return the context of a load: at the same time as others where the runtime has `parallel_load`, else alone."""
        if not runtime_class.parallel_load:
            return self._alone(model, code)
        return nullcontext() if model.settings.implementation is None else code.plain_names()

    @contextmanager
    def _alone(self, model: ModelVersion, code: ModelCode) -> Iterator[None]:
        """Load with the model's modules under their plain names. Raises OtherLoadHangs after `load_timeout`."""
        began = time.monotonic()
        with self._plain_names_for(model, self._load_timeout) as other:
            if other is not None:
                raise OtherLoadHangs(other.title, time.monotonic() - began)
            with code.plain_names():
                yield

    @contextmanager
    def _plain_names_for(self, model: ModelVersion, seconds: float | None) -> Iterator[ModelVersion | None]:
        """Be the only load with plain names for its modules; the other one where that is one for that many seconds."""
        with self._guard:
            if not self._guard.wait_for(lambda: self._alone_now is None, seconds):
                other = self._alone_now
            else:
                other, self._alone_now = None, model
        try:
            yield other
        finally:
            with self._guard:
                if self._alone_now is model:
                    self._alone_now = None
                    self._guard.notify_all()

    def abandon(self, name: str) -> None:
        """Let other loads begin beside the one of that model, which is not waited for any more."""
        with self._guard:
            if self._alone_now is not None and self._alone_now.name == name:
                self._alone_now = None
                self._guard.notify_all()

    def _runtime_class(self, model: ModelVersion, code: ModelCode) -> type[Runtime]:
        settings = model.settings
        if settings.implementation is None:
            found = self._plugins.load(PluginKind.RUNTIME, settings.runtime or "")
        else:
            # Beside another load where that takes long, because it may hang, and this model may not need to wait for it.
            with self._plain_names_for(model, _IMPORT_WAITS), code.plain_names():
                found = code.attribute(settings.implementation)
                if isinstance(found, type) and not issubclass(found, Runtime):
                    found = self._adopt(found, settings) or found
        return as_runtime_class(found, settings.implementation or settings.runtime)

    @contextmanager
    def _extra_told(self, settings: ModelSettings) -> Iterator[None]:
        """Say of a failed import that an extra of the runtime's distribution is not installed, where that is so."""
        try:
            yield
        except ImportError as error:
            row = None if settings.runtime is None else self._plugins.find(PluginKind.RUNTIME, settings.runtime)
            if row is None or not row.missing_extra:
                raise
            raise ExtraMissing(row, error) from error

    def _codecs(self, model: ModelVersion, codes: Codes) -> Mapping[str, Codec]:
        """Return the codecs that the model's own folder, or that of its defaults, brings, by content type."""
        settings = model.settings
        if settings.implementation is None and not settings.codecs:
            return {}
        with self._plain_names_for(model, _IMPORT_WAITS):
            codecs = codecs_of(settings, codes)
        installed = self._plugins.names(PluginKind.CODEC)
        for content_type, codec in codecs.items():
            instead = ", in place of the installed one" if content_type in installed else ""
            log.info("Model '%s' has '%s' as its codec of '%s'%s.", model.title, name_of(codec), content_type, instead)
        return codecs

    def _thread_for(self, model: ModelVersion, runtime_class: type[Runtime]) -> Run:
        """Return the function that calls `load` or `unload` in the thread that the runtime asks for."""
        if runtime_class.main_thread:
            return self._main_thread.run
        if runtime_class.same_thread and model.thread is None:
            model.thread = OwnThread(f"srv-model-{model.name}")
        return _call_here if model.thread is None else model.thread.run

    def _check_loaded(self, outcome: Any) -> None:
        if inspect.iscoroutine(outcome):
            outcome = self._run_async(outcome)
        if inspect.isgenerator(outcome) or inspect.isasyncgen(outcome):
            raise LoadedLater(outcome)
        if outcome is False or (isinstance(outcome, np.bool_) and not outcome):
            raise LoadedNothing


def _call_here(call: Callable[[], Any], *, loads: bool = False) -> Any:  # noqa: ARG001  the same signature as MainThread.run
    return call()


def _with_extra(settings: ModelSettings, runtime_class: type[Runtime]) -> ModelSettings:
    if runtime_class.extra is None:
        return settings
    try:
        extra = runtime_class.extra().load(dict(settings.parameters.extra))
    except marshmallow.ValidationError as error:
        raise BadExtra(error) from None
    return replace(settings, parameters=replace(settings.parameters, extra=extra))

"""Loads and unloads models: requests find the change at once, and the generation before is unloaded in the background."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

import msgspec

from srv.discovery import Plugins
from srv.errors import LoadFailed, is_from_signal
from srv.fetching.artifacts import LocalArtifact
from srv.model_settings import ModelSettings
from srv.models.change_locks import Change, ChangeLocks
from srv.models.instances import Adopt, Instances, MetricsOf, RunAsync, RuntimeFor, StartProcess, nobody_adopts
from srv.models.load_errors import reason_of, shown_traceback
from srv.models.main_thread import MainThread
from srv.models.module_names import Links
from srv.models.registry import ModelState, ModelVersion, Registry
from srv.models.retirements import Retirements
from srv.models.slow_loads import SlowSteps
from srv.models.telling import Telling
from srv.runtime import Runtime
from srv.server import Server

log = logging.getLogger(__name__)

#: Seconds that an unload waits for a load of the same model, before it takes the model's lock away from that.
UNLOAD_WAITS = 5.0
#: Seconds that whoever changed a model waits until what served before is gone, which mostly takes milliseconds.
_COURTESY = 0.5


class ModelEvents(Protocol):
    """Listener for the outcome of loads and unloads."""

    def model_loaded(self, model: ModelVersion, seconds: float) -> None:
        """The model serves."""

    def model_reloaded(self, model: ModelVersion, previous: ModelVersion, seconds: float) -> None:
        """The model serves in place of the previous one; called after `model_loaded`."""

    def model_failed(self, model: ModelVersion, reason: str) -> None:
        """The model could not be loaded."""

    def model_unloaded(self, model: ModelVersion) -> None:
        """The model is gone."""


class _Begun(msgspec.Struct, frozen=True):
    """A model that was loaded and does not serve yet, with what the registry has in its place."""

    model: ModelVersion
    before: ModelVersion | None
    placeholder: ModelVersion | None
    seconds: float


def _nothing() -> None:
    """Do nothing before the models change."""


class Loader:
    """Brings models into the registry and takes them out. Safe to call from several threads; loads of a model take turns.

    `before` is called when a change is certain and has not been made, while no other change is made; where it raises,
    nothing changes. No call waits for requests that run in a model that serves no longer, nor for its `unload`.
    """

    def __init__(
        self,
        registry: Registry,
        plugins: Plugins,
        *,
        prepare: Callable[[ModelVersion, Runtime], None],
        warm_up: Callable[[ModelVersion], None],
        run_async: RunAsync,
        events: ModelEvents,
        links: Links,
        main_thread: MainThread,
        server_of: Callable[[ModelVersion], Server],
        cores: int,
        load_timeout: float | None = None,
        metrics: MetricsOf | None = None,
        fetch: Callable[[ModelSettings], LocalArtifact | None],
        runtime_for: RuntimeFor,
        adopt: Adopt = nobody_adopts,
        start_process: StartProcess | None = None,
    ) -> None:
        self._registry = registry
        self._instances = Instances(
            plugins,
            prepare=prepare,
            warm_up=warm_up,
            run_async=run_async,
            links=links,
            main_thread=main_thread,
            server_of=server_of,
            load_timeout=load_timeout,
            cores=cores,
            metrics=metrics,
            fetch=fetch,
            runtime_for=runtime_for,
            adopt=adopt,
            start_process=start_process,
        )
        self._events = events
        self._links = links
        self._load_timeout = load_timeout
        self._changes = ChangeLocks(self._instances.abandon)
        #: Held while what serves changes, which takes no code of a model.
        self._changing = threading.Lock()
        self._telling = Telling()
        self._steps = SlowSteps()
        self._retirements = Retirements(
            stop=self._instances.stop, idle=self._unloaded, gone=self._gone, steps=self._steps, limit=load_timeout
        )

    def tells_here(self) -> bool:
        """Return whether plugins are told of a model by this thread at the moment."""
        return self._telling.is_here()

    # -- loading -------------------------------------------------------------------------------------------------------

    def load(self, settings: ModelSettings, *, overtakes: bool = False) -> ModelVersion:
        """Load a model and serve it. A model of the same name and version serves until then.

        With `overtakes` it does not wait for a load of the model that hangs; what that loads will not serve. Raises
        LoadFailed with the reason; a model that served before still does.
        """
        seconds = 0.0 if overtakes else self._load_timeout
        with self._changes.loading(settings.name, seconds=seconds, overtakes=overtakes) as change:
            begun = self._begin(settings)
            served = self._serve([begun], change)
        self._retirements.wait(_COURTESY, served)
        return begun.model

    def load_together(self, several: Sequence[ModelSettings]) -> list[LoadFailed]:
        """Load models at the same time, and serve those that could be loaded. Return the failures, in order."""
        failures: list[LoadFailed] = []
        workers = min(len(several), os.cpu_count() or 1)
        with (
            self._changes.loading_several([each.name for each in several], seconds=self._load_timeout) as changes,
            ThreadPoolExecutor(max_workers=workers, thread_name_prefix="srv-load") as pool,
        ):
            for settings, loading in [(each, pool.submit(self._begin, each)) for each in several]:
                try:
                    self._serve([loading.result()], changes[settings.name])
                except LoadFailed as error:
                    failures.append(error)
        return failures

    def loads_beside_others(self, settings: ModelSettings) -> bool:
        """Return whether the runtime is a registered one with `parallel_load`."""
        return self._instances.loads_beside_others(settings)

    def load_all(
        self,
        versions: Sequence[ModelSettings],
        *,
        before: Callable[[], object] = _nothing,
        overtaken: Callable[[], object] = _nothing,
    ) -> list[ModelVersion]:
        """Load all versions that a model is to have, then replace all versions that serve in one step.

        Returns the models that served before and are let go now. `overtaken` is called where an unload does not wait for
        this load. Raises LoadFailed with the reason of the first that fails; every version that served before still does.
        """
        name = versions[0].name
        begun: list[_Begun] = []
        with self._changes.loading(name, seconds=self._load_timeout, overtaken=overtaken) as change:
            try:
                for settings in versions:
                    begun.append(self._begin(settings))  # noqa: PERF401  those before the one that fails are kept
            except LoadFailed:
                self._take_back(begun)
                raise
            there = {each.model.version for each in begun}
            kept = self._registry.kept(name)
            gone = [model for version, model in kept.items() if version not in there]
            return self._serve(begun, change, gone=gone, before=before)

    def _begin(self, settings: ModelSettings) -> _Begun:
        """Load a model that gets no requests yet."""
        model = ModelVersion(settings)
        before = self._registry.kept(model.name).get(model.version)
        placeholder: ModelVersion | None = None
        if before is None or not before.is_loaded:
            placeholder = ModelVersion(settings)
            placeholder.state = ModelState.LOADING
            self._registry.put(placeholder)
        started = time.monotonic()
        begun = _Begun(model, before, placeholder, 0.0)
        try:
            with self._steps.watching(model, "loading"):
                self._instances.start(model)
        except BaseException as error:  # neither sys.exit() nor a panic in Rust may end the loader's thread
            if is_from_signal(error):
                raise
            self._failed(begun, error)
            raise LoadFailed(f"Model '{model.title}' could not be loaded: {model.reason}") from error
        return _Begun(model, before, placeholder, time.monotonic() - started)

    def _serve(
        self,
        begun: Sequence[_Begun],
        change: Change,
        *,
        gone: Sequence[ModelVersion] = (),
        before: Callable[[], object] = _nothing,
    ) -> list[ModelVersion]:
        """Give requests to models that were loaded. Return the models that they replace, whose unload begins."""
        try:
            with self._changing:
                change.check()
                before()
                served = [model for model in (*(each.before for each in begun), *gone) if model is not None]
                served = [model for model in served if model.is_loaded]
                for model in served:
                    model.is_down = False
                for each in begun:
                    each.model.state = ModelState.UNAVAILABLE if each.model.is_down else ModelState.READY
                for model in gone:
                    model.state = ModelState.UNLOADING
                self._registry.exchange(begun[0].model.name, [each.model for each in begun], gone=gone)
        except BaseException:
            self._take_back(begun)
            raise
        for each in begun:
            log.info("Model '%s' loaded in %.2f s.", each.model.title, each.seconds)
            with self._telling:
                self._events.model_loaded(each.model, each.seconds)
                if each.before is not None and each.before in served:
                    self._events.model_reloaded(each.model, each.before, each.seconds)
        self._retirements.begin(served)
        return served

    def _failed(self, begun: _Begun, error: BaseException) -> None:
        """Log why a load failed, tell the plugins, and unload what was loaded."""
        model = begun.model
        model.reason = reason_of(error, model.settings)
        model.state = ModelState.UNAVAILABLE
        log.error(
            "Model '%s' could not be loaded: %s",
            model.title,
            model.reason,
            exc_info=shown_traceback(error),
            extra={"load_failed": model.title},
        )
        if begun.placeholder is None:
            assert begun.before is not None
            begun.before.reason = f"it serves, and loading it again failed: {model.reason}"
        elif self._is_kept(begun.placeholder):
            self._registry.put(model)
        self._let_go(model)
        with self._telling:  # because models that load beside each other may fail at once
            self._events.model_failed(model, model.reason)

    def _take_back(self, begun: Sequence[_Begun]) -> None:
        """Unload models that were loaded and never served, and restore the registry."""
        for each in begun:
            each.model.state = ModelState.UNKNOWN
            if each.placeholder is not None and self._is_kept(each.placeholder):
                if each.before is not None:
                    self._registry.put(each.before)
                else:
                    self._registry.remove(each.placeholder)
            self._let_go(each.model)

    def _let_go(self, model: ModelVersion) -> None:
        """Unload a model that never served, waiting a moment for that."""
        if model.runtime is None:
            model.drop()
            self._instances.forget(model)
            return
        self._retirements.begin([model])
        self._retirements.wait(_COURTESY, [model])

    def _is_kept(self, model: ModelVersion) -> bool:
        return self._registry.kept(model.name).get(model.version) is model

    # -- outages -------------------------------------------------------------------------------------------------------

    def went_down(self, model: ModelVersion, reason: str) -> None:
        """Take a model out of service for now, because the process that it runs in has ended."""
        with self._changing:
            if model.state is ModelState.READY or model.is_down or model.state is ModelState.UNKNOWN:
                model.is_down, model.reason = True, reason
                if model.state is ModelState.READY:
                    model.state = ModelState.UNAVAILABLE
                    self._registry.settle()

    def came_up(self, model: ModelVersion) -> None:
        """Let a model serve again that was out of service for now."""
        with self._changing:
            if model.is_down:
                model.is_down, model.reason = False, ""
                if model.state is ModelState.UNAVAILABLE:
                    model.state = ModelState.READY
                    self._registry.settle()

    def refuse(self, settings: ModelSettings, reason: str) -> None:
        """Put a model that cannot be tried into the registry, so that the index tells the reason."""
        model = ModelVersion(settings)
        model.state = ModelState.UNAVAILABLE
        model.reason = reason
        self._registry.put(model)
        with self._telling:
            self._events.model_failed(model, model.reason)

    # -- unloading -----------------------------------------------------------------------------------------------------

    def unload(self, model: ModelVersion) -> None:
        """Stop serving a model and unload it."""
        self._unload(model, seconds=UNLOAD_WAITS)

    def unload_all(
        self, name: str, *, before: Callable[[], object] = _nothing, seconds: float = UNLOAD_WAITS
    ) -> list[ModelVersion]:
        """Stop serving all versions of a model, begin to unload them, and return those.

        Waits that many seconds for a load of the model; what that loads later does not serve. Raises UnknownModel.
        """
        with self._changes.unloading(name, seconds=seconds) as has_overtaken, self._changing:
            versions = self._registry.versions(name).values()
            before()
            going = self._stop_serving(versions)
        if has_overtaken:
            log.warning(
                "Model '%s' is unloaded, though a load of it has not ended. What that loads will not serve.", name
            )
        self._retirements.begin(going)
        return going

    def wait_gone(
        self, models: Collection[ModelVersion] | None = None, seconds: float | None = _COURTESY
    ) -> list[ModelVersion]:
        """Wait until these models, or all that serve no longer, are unloaded; return those that are not."""
        return self._retirements.wait(seconds, models)

    def close(self, seconds: float = 60.0) -> None:
        """Unload all models at the end of the process, waiting that many seconds at most."""
        until = time.monotonic() + seconds
        for model in self._registry.models():
            if model.is_loaded:
                self._unload(model, seconds=0.0)
        left = self._retirements.wait(until - time.monotonic())
        for model in left:
            log.error(
                "Model '%s' has not unloaded within %g s, and the process ends without that.", model.title, seconds
            )
        self._links.close()

    def _unload(self, model: ModelVersion, *, seconds: float) -> None:
        with self._changes.unloading(model.name, seconds=seconds), self._changing:
            going = self._stop_serving([model])
        self._retirements.begin(going)
        self._retirements.wait(_COURTESY, going)

    def _stop_serving(self, models: Collection[ModelVersion]) -> list[ModelVersion]:
        """Give models no more requests. Return those that served."""
        going = [model for model in models if model.is_loaded]
        for model in models:
            if model.state is ModelState.LOADING:
                self._unloaded(model)
        for model in going:
            model.state, model.is_down = ModelState.UNLOADING, False
        self._registry.settle()
        return going

    def _unloaded(self, model: ModelVersion) -> None:
        """Set the state of a model that was to be unloaded; a model that was replaced keeps its state."""
        if model.state in (ModelState.UNLOADING, ModelState.LOADING):
            model.state = ModelState.UNAVAILABLE
            model.reason = "unloaded"
            self._registry.settle()

    def _gone(self, model: ModelVersion) -> None:
        """Tell plugins that a model is unloaded, unless it was loaded again meanwhile."""
        if model.reason != "unloaded":
            return
        with self._telling:
            now = self._registry.kept(model.name).get(model.version)
            if now is None or now.state is not ModelState.READY:
                self._events.model_unloaded(model)

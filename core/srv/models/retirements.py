"""Retirements: models that serve no longer are unloaded in the background, each in a thread of its own.

A model is unloaded when its last request has ended. An open stream, a predict or an unload that hangs keeps nobody waiting:
it is named in the log.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable
from functools import partial

from srv.models.registry import ModelVersion
from srv.models.slow_loads import SlowSteps

log = logging.getLogger(__name__)


class _Retirement:
    """The unload of one model."""

    def __init__(self, model: ModelVersion) -> None:
        self.model = model
        self.is_ending = False


class Retirements:
    """Unloads models. `stop` unloads one; `idle` is called when its last request has ended, `gone` after the unload."""

    def __init__(
        self,
        *,
        stop: Callable[[ModelVersion], None],
        idle: Callable[[ModelVersion], None],
        gone: Callable[[ModelVersion], None],
        steps: SlowSteps,
        limit: float | None,
    ) -> None:
        self._stop = stop
        self._idle = idle
        self._gone = gone
        self._steps = steps
        self._limit = limit
        self._guard = threading.Condition()
        self._going: list[_Retirement] = []

    def begin(self, models: Iterable[ModelVersion]) -> None:
        """Begin to unload models, and return at once. `idle` has been called then for models without running requests."""
        for model in models:
            if model.wait_idle is None or model.wait_idle(0.0):
                self._idle(model)
            retirement = _Retirement(model)
            with self._guard:
                self._going.append(retirement)
            threading.Thread(target=self._let_go, args=(retirement,), name="srv-unload", daemon=True).start()

    def wait(self, seconds: float | None, models: Iterable[ModelVersion] | None = None) -> list[ModelVersion]:
        """Wait until these models, or all, are unloaded; return those that are not after that many seconds."""
        until = None if seconds is None else time.monotonic() + seconds
        waited = None if models is None else {id(model) for model in models}
        with self._guard:
            while True:
                left = [each.model for each in self._going if waited is None or id(each.model) in waited]
                rest = None if until is None else until - time.monotonic()
                if not left or (rest is not None and rest <= 0):
                    return left
                self._guard.wait(rest)

    def _let_go(self, retirement: _Retirement) -> None:
        model = retirement.model
        try:
            if model.wait_idle is not None and not model.wait_idle(0.0):
                with self._steps.watching(model, "waiting for its last request before it is unloaded"):
                    model.wait_idle(None)
                self._idle(model)
            with self._steps.watching(model, "unloading", limit=self._limit, over=partial(self._give_up, retirement)):
                self._stop(model)
        finally:
            self._end(retirement)

    def _give_up(self, retirement: _Retirement) -> None:
        """Treat a model as gone whose unload takes too long."""
        log.error(
            "Model '%s' has not unloaded within %g s (load_timeout). What it holds is given back when the worker ends.",
            retirement.model.title,
            self._limit,
        )
        self._end(retirement)

    def _end(self, retirement: _Retirement) -> None:
        with self._guard:
            if retirement.is_ending:
                return
            retirement.is_ending = True
        try:
            self._gone(retirement.model)
        finally:
            with self._guard:
                self._going.remove(retirement)
                self._guard.notify_all()

"""Slow steps: log lines about loads and unloads that take long, after some seconds and then at growing intervals."""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

from srv.models.registry import ModelVersion

log = logging.getLogger(__name__)

#: Seconds until the first line about a step; each further wait is twice as long as the one before.
FIRST_LINE = 5.0


class _Step:
    """A load, an unload or a wait of one model, in the current thread."""

    def __init__(self, model: ModelVersion, doing: str, limit: float | None, over: Callable[[], object]) -> None:
        self.model = model
        self.doing = doing
        self.began = time.monotonic()
        self.wait = FIRST_LINE
        self.next_line = self.began + self.wait
        self.limit = None if limit is None else self.began + limit
        self.over = over
        self._thread = threading.get_ident()

    def due(self) -> float:
        """Return when the next line or the limit is due."""
        return self.next_line if self.limit is None else min(self.next_line, self.limit)

    def tell(self, now: float) -> None:
        """Write the line."""
        log.warning(
            "Model '%s' has been %s for %.0f s%s.",
            self.model.title,
            self.doing,
            now - self.began,
            self._where(),
        )

    def _where(self) -> str:
        """Return file, line and function of the model's own code in which the thread is, if it is there."""
        folder = self.model.settings.folder.absolute()
        frame: FrameType | None = sys._current_frames().get(self._thread)
        while frame is not None:
            path = Path(frame.f_code.co_filename)
            if path.is_relative_to(folder):
                return f"; it is in {path.relative_to(folder)}, line {frame.f_lineno}, {frame.f_code.co_name}()"
            frame = frame.f_back
        return ""


class SlowSteps:
    """Watches the steps of all models with one thread, which runs only while there are steps."""

    def __init__(self) -> None:
        self._guard = threading.Condition()
        self._steps: list[_Step] = []
        self._thread: threading.Thread | None = None

    @contextmanager
    def watching(
        self, model: ModelVersion, doing: str, *, limit: float | None = None, over: Callable[[], object] = lambda: None
    ) -> Iterator[None]:
        """Watch a block that does something, such as "loading"; call `over` after `limit` seconds."""
        step = _Step(model, doing, limit, over)
        with self._guard:
            self._steps.append(step)
            if self._thread is None:
                self._thread = threading.Thread(target=self._watch, name="srv-slow-steps", daemon=True)
                self._thread.start()
            self._guard.notify()
        try:
            yield
        finally:
            with self._guard:
                self._steps.remove(step)
                self._guard.notify()

    def doing(self) -> list[str]:
        """Return the steps that go on, in a few words each: "loading 'iris' for 62 s"."""
        now = time.monotonic()
        with self._guard:
            return [f"{step.doing} '{step.model.title}' for {now - step.began:.0f} s" for step in self._steps]

    def _watch(self) -> None:
        while True:
            with self._guard:
                if not self._steps:
                    self._thread = None
                    return
                due = min(step.due() for step in self._steps)
                if due > time.monotonic():
                    self._guard.wait(due - time.monotonic())
                    continue
                now = time.monotonic()
                late = [step for step in self._steps if step.due() <= now]
            for step in late:
                with suppress(
                    Exception
                ):  # a handler of the user's may raise, and the other steps are watched all the same
                    _act(step, now)


def _act(step: _Step, now: float) -> None:
    if step.limit is not None and step.limit <= now:
        step.limit = None
        step.over()
        return
    step.wait *= 2
    step.next_line = now + step.wait
    step.tell(now)

"""A worker's health: whether its threads still lead, answer and run requests, or hang, and which models hold them."""

from __future__ import annotations

import logging
import sys
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import FrameType
from typing import Protocol

from srv.busy_threads import BusyThreads
from srv.cancellation import Caller
from srv.errors import listed, quoted
from srv.planes.readiness import Readiness
from srv.safe_logging import reopen_standard_streams
from srv.serve.worker_status import StatusPipe
from srv.settings import ServerSettings

log = logging.getLogger(__name__)

#: Seconds of silence after which a worker no longer shows that it lives. The launcher waits for worker_timeout then.
_SILENCE = 3.0
#: Seconds between two looks that mean that the process was stopped meanwhile.
_PAUSE = 5.0
#: The files whose frames say nothing about where a model hangs.
_SRV = str(Path(__file__).parents[1]) + "/"
_WAITING = (_SRV, threading.__file__)


class Face(Protocol):
    """Threads that run the requests of one face."""

    @property
    def threads(self) -> int:
        """How many requests may run at once."""

    @property
    def busy(self) -> BusyThreads:
        """The requests that run."""


class WorkerHealth:
    """Looks at the threads of a worker, and tells the launcher and the clients what is wrong.

    `faces` gives the threads of each face by its name, `leader_looked` when the thread that leads for HTTP has looked
    around last, `loop_silence` for how many seconds the event loop has not answered.
    """

    def __init__(
        self,
        settings: ServerSettings,
        *,
        faces: Callable[[], Mapping[str, Face]],
        leader_looked: Callable[[], float | None],
        loop_silence: Callable[[float], float],
        readiness: Readiness,
        status: StatusPipe,
    ) -> None:
        self._stuck_timeout = settings.stuck_timeout
        self._replaces = settings.on_stuck == "replace"
        #: How long a request may take that has no deadline of its own.
        self._longest = max(settings.request_timeout, settings.load_timeout)
        self._faces = faces
        self._leader_looked = leader_looked
        self._loop_silence = loop_silence
        self._readiness = readiness
        self._status = status
        self._looked = self._resumed = time.monotonic()
        self._named: set[Caller] = set()
        self._silence = ""
        self._asked_for_successor = False

    def check(self, now: float) -> bool:
        """Look, tell what has changed, and return whether the worker should show that it lives.

        To be called about once a second.
        """
        if now - self._looked > _PAUSE:
            self._resumed = now  # after Ctrl-Z and fg everybody is late
        self._looked = now
        reopen_standard_streams()
        self._tell_silence(self._find_silence(now))
        self._tell_stuck(self._look_at_faces(now))
        return not self._silence

    def _tell_silence(self, silence: str) -> None:
        if silence != self._silence:
            self._silence = silence
            self._status.unresponsive(silence)
            if silence:
                log.error("This worker gives no sign of life until that changes: %s for %.0f s.", silence, _SILENCE)

    def _tell_stuck(self, stuck: str) -> None:
        if stuck and not self._readiness.stuck:
            ends = "another one is to take its place" if self._replaces else "it is unready until that changes"
            log.error("This worker is stuck, and %s: %s.", ends, stuck)
            if self._replaces and not self._asked_for_successor:
                self._asked_for_successor = True
                self._status.spent("it is stuck (stuck_timeout)")
        elif self._readiness.stuck and not stuck:
            log.warning("This worker is stuck no longer.")
        self._readiness.stuck = stuck

    def _find_silence(self, now: float) -> str:
        looked = self._leader_looked()
        if looked is not None and now - max(looked, self._resumed) > _SILENCE:
            return "the thread that leads for HTTP did not look around"
        if min(self._loop_silence(now), now - self._resumed) > _SILENCE:
            return "the event loop of the async models did not answer"
        return ""

    def _look_at_faces(self, now: float) -> str:
        """Name the models whose requests hang, and return why no thread of a face is free; "" where one is."""
        stuck: list[str] = []
        hanging: list[tuple[int, Caller]] = []
        for name, face in self._faces().items():
            overdue = [each for each in face.busy if self._overdue(each[1], now) > self._stuck_timeout]
            hanging += overdue
            if overdue and len(overdue) >= face.threads:
                stuck.append(
                    f"all {face.threads} threads for {name} hang in requests that are past their deadline by "
                    f"{self._stuck_timeout:g} s (stuck_timeout), of {_models_of(caller for _, caller in overdue)}"
                )
        self._name(hanging, now)
        return " and ".join(stuck)

    def _overdue(self, caller: Caller, now: float) -> float:
        """Return for how many seconds an answer is overdue, or less than 0."""
        due = caller.due if caller.due is not None else caller.received + self._longest
        return now - max(due, self._resumed)

    def _name(self, hanging: list[tuple[int, Caller]], now: float) -> None:
        """Log once for each request that hangs which model holds its thread, and where in its code."""
        fresh = [(thread, caller) for thread, caller in hanging if caller not in self._named]
        self._named = {caller for _, caller in hanging}
        by_place: Counter[tuple[str, str]] = Counter()
        longest: dict[tuple[str, str], float] = {}
        for thread, caller in fresh:
            key = (_model_of(caller), _place_of(thread, caller.model))
            by_place[key] += 1
            longest[key] = max(longest.get(key, 0.0), now - caller.received)
        for (model, place), count in by_place.items():
            log.warning(
                "%s: %s for %.0f s, past the deadline by more than stuck_timeout. Python cannot end %s%s.",
                model,
                "a request hangs" if count == 1 else f"{count} requests hang",
                longest[model, place],
                "it" if count == 1 else "them",
                f". It stands at {place}" if place else "",
            )


def _model_of(caller: Caller) -> str:
    return "What asks no model" if caller.model is None else f"Model {quoted(caller.model)}"


def _models_of(callers: Iterable[Caller]) -> str:
    names = {caller.model for caller in callers}
    known = listed(quoted(name) for name in names if name is not None)
    return "no model" if known == "none" else f"model {known}" if len(names) == 1 else f"models {known}"


def _place_of(thread: int, model: str | None) -> str:
    """Return the line at which a request hangs: of the model's own code, or else of the library that waits.

    "" where srv itself waits, or nobody knows.
    """
    own = next((each.ident for each in threading.enumerate() if each.name == f"srv-model-{model}"), None)
    frames = [*_frames_of(own if own is not None else thread)]
    frame = next((each for each in frames if _is_of_model(each)), None)
    frame = frame or next((each for each in frames if not _is_waiting(each)), None)
    if frame is None:
        return ""
    (place,) = traceback.extract_stack(frame, limit=1)
    return f"{place.filename}:{place.lineno} in {place.name}"


def _frames_of(thread: int) -> Iterator[FrameType]:
    """Yield a thread's frames, the innermost first."""
    frame = sys._current_frames().get(thread)
    while frame is not None:
        yield frame
        frame = frame.f_back


def _is_of_model(frame: FrameType) -> bool:
    return str(frame.f_globals.get("__name__", "")).startswith("srv.model.")


def _is_waiting(frame: FrameType) -> bool:
    return frame.f_code.co_filename.startswith(_WAITING)

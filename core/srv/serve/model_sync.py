"""Model sync: every worker of a server serves the same models.

A worker that has changed a model writes the change to the run directory and orders the others to follow. A worker that
cannot follow is not ready, and tries again.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Any

import msgspec

from srv.errors import DeadlinePassed, SrvError, said_by
from srv.planes.modelplane import ModelPlane
from srv.planes.readiness import Readiness
from srv.serve.control_socket import ask
from srv.serve.run_directory import RunDirectory

log = logging.getLogger(__name__)

#: Seconds before the first try again, and at most; each wait is twice as long as the one before.
_FIRST_WAIT, _LONGEST_WAIT = 1.0, 60.0


class CannotFollow(SrvError):
    """This worker cannot repeat a change that another worker made while this one started."""


class _Outdated(Exception):
    """A newer order about the same model has come."""


class Missed(msgspec.Struct, frozen=True):
    """An order that was not followed yet, and the reason."""

    order: Mapping[str, Any]
    generation: int
    reason: str


class Follower:
    """Follows orders of other workers; of several about one model the newest counts. Safe to call from any thread.

    Until `begin` has returned True, orders are kept, because the worker still loads its first models. A worker that
    misses anything is not ready.
    """

    def __init__(self, plane: ModelPlane, readiness: Readiness) -> None:
        self._plane = plane
        self._readiness = readiness
        self._guard = threading.Lock()
        self._newest: dict[str, int] = {}
        self._missed: dict[str, Missed] = {}
        self._retrying: set[str] = set()
        self._following = 0
        self._generation = 0
        self._begun = False
        self._ends = threading.Event()

    @property
    def generation(self) -> int:
        """Return the number of the last change that this worker knows of."""
        return self._generation

    def hear(self, order: Mapping[str, Any], generation: int) -> str | None:
        """Repeat the change of another worker. Return why that failed, if it did; it is tried again later."""
        name = order["name"]
        with self._guard:
            self._note(name, generation)
            if not self._begun and self._newest[name] > generation:
                return None
            if not self._begun:
                self._miss(name, Missed(order, generation, "it is still catching up with them."))
                return None
        reason = self._follow(order, generation)
        if reason is not None:
            self._retry(name)
        return reason

    def done(self, name: str, generation: int) -> None:
        """Note that this worker has changed a model itself; missed orders about that model are dropped."""
        with self._guard:
            self._note(name, generation)
            self._miss(name, None)

    def begin(self, generation: int, newest: int) -> bool:
        """Return whether this worker, with the models of one generation, serves those of the newest.

        Does what it has heard meanwhile. Raises SrvError where it cannot; it is not ready then. Where it gives False,
        the state has to be read again.
        """
        while True:
            with self._guard:
                self._generation = max(self._generation, generation)
                waiting = list(self._missed.values())
                if not waiting:
                    self._begun = newest <= self._generation
                    return self._begun
            for missed in waiting:
                reason = self._follow(missed.order, missed.generation)
                if reason is not None:
                    raise CannotFollow(reason)

    def end(self) -> bool:
        """Stop all retries. Return whether an order is being followed at this moment."""
        self._ends.set()
        return self._following > 0

    def _follow(self, order: Mapping[str, Any], generation: int) -> str | None:
        """Follow an order, unless a newer one has come. Return why that failed, if it did."""
        name = order["name"]
        reason = None

        def check() -> None:
            if self._newest[name] > generation:
                raise _Outdated

        with self._guard:
            self._following += 1
        try:
            check()
            self._plane.follow(order, check)
        except _Outdated:
            return None
        except BaseException as error:  # noqa: BLE001  code of models runs here, in a thread of srv's own
            reason = _sentence(error, order)
        finally:
            with self._guard:
                self._following -= 1
        if self._ends.is_set():  # its models are unloaded, which fails no load of the others: it serves nobody any more
            return None
        with self._guard:
            if self._newest[name] > generation:
                return None
            self._miss(name, None if reason is None else Missed(order, generation, reason))
        if reason is not None:
            log.error("This worker is not ready, because it cannot follow the others: %s", reason)
        return reason

    def _note(self, name: str, generation: int) -> None:
        self._newest[name] = max(generation, self._newest.get(name, 0))
        self._generation = max(generation, self._generation)

    def _miss(self, name: str, missed: Missed | None) -> None:
        """Note or drop a missed order of a model. A worker without missed orders is ready."""
        if missed is None:
            self._missed.pop(name, None)
        else:
            self._missed[name] = missed
        reasons = dict.fromkeys(each.reason for each in self._missed.values())
        self._readiness.behind = " ".join(reasons) or None

    def _retry(self, name: str) -> None:
        """Retry the missed order of a model in a thread of its own, because a load may hang."""
        with self._guard:
            if name in self._retrying:
                return
            self._retrying.add(name)
        threading.Thread(target=self._try_again, args=(name,), name="srv-follow", daemon=True).start()

    def _try_again(self, name: str) -> None:
        wait = _FIRST_WAIT
        while not self._ends.wait(wait):
            with self._guard:
                missed = self._missed.get(name)
                if missed is None:
                    self._retrying.discard(name)
                    return
            self._follow(missed.order, missed.generation)
            if not self._missed:
                log.info("This worker has caught up with the others.")
            wait = min(2 * wait, _LONGEST_WAIT)


class OtherWorkers:
    """All workers of the server except this one. `done` is called for each change that this worker makes."""

    def __init__(
        self, directory: RunDirectory, pid: int, *, load_timeout: float, done: Callable[[str, int], None]
    ) -> None:
        self._directory = directory
        self._pid = pid
        self._load_timeout = load_timeout
        self._done = done

    @contextmanager
    def changing(self, name: str, *, seconds: float | None = None) -> Iterator[Callable[[], object]]:
        """Keep every other worker from changing a model meanwhile; calling what this gives lets them before.

        Raises DeadlinePassed where another worker changes it for that many seconds, or `load_timeout`.
        """
        seconds = self._load_timeout if seconds is None else min(seconds, self._load_timeout)
        with ExitStack() as stack:
            try:
                release = stack.enter_context(self._directory.changing(name, seconds))
            except TimeoutError:
                raise DeadlinePassed(seconds) from None
            yield release

    def write(self, name: str, versions: Sequence[str | None]) -> int:
        """Write which versions of a model all workers are to serve. Raises OSError where the disk does not take it.

        A worker that starts after this reads it, and one that has registered before is told.
        """
        generation = self._directory.change(name, versions)
        self._done(name, generation)
        return generation

    def tell(self, order: Mapping[str, Any], generation: int) -> Sequence[str]:
        """Send an order to all other workers at the same time. Return a sentence for each that could not follow.

        A worker that is dead or dies meanwhile needs no order: the one that takes its place reads the state. Raises
        DeadlinePassed where workers take longer than `load_timeout`, and none has failed.
        """
        others = {pid: address for pid, address in self._directory.registered().items() if pid != self._pid}
        if not others:
            return ()
        question = {"ask": "follow", "order": dict(order), "generation": generation}
        until = time.monotonic() + self._load_timeout
        with ThreadPoolExecutor(len(others), thread_name_prefix="srv-tell") as pool:
            outcomes = list(pool.map(lambda address: _told(address, question, until), others.values()))
        late = [str(pid) for pid, outcome in zip(others, outcomes, strict=True) if isinstance(outcome, TimeoutError)]
        if late:
            log.error(
                "Workers %s did not %s model '%s' in time (load_timeout).", ", ".join(late), order["do"], order["name"]
            )
        failures = [
            f"Worker {pid}: {outcome.rstrip('.')}."
            for pid, outcome in zip(others, outcomes, strict=True)
            if isinstance(outcome, str)
        ]
        if late and not failures:
            raise DeadlinePassed(self._load_timeout)
        return [*failures, *(f"Worker {pid}: it did not answer within {self._load_timeout:g} s." for pid in late)]


def _told(address: str, question: Mapping[str, Any], until: float) -> str | TimeoutError | None:
    """Return why a worker could not follow; None where it has followed, or is dead."""
    try:
        answer = ask(address, question, timeout=max(0.001, until - time.monotonic()))
    except TimeoutError as error:
        return error
    except (ConnectionError, FileNotFoundError, json.JSONDecodeError):
        return None
    except OSError as error:
        return f"it could not be asked: {error.strerror}."
    failed = answer.get("failed")
    return None if failed is None else str(failed)


def _sentence(error: BaseException, order: Mapping[str, Any]) -> str:
    if isinstance(error, SrvError):
        return str(error)
    log.error("Model '%s' could not be %sed.", order["name"], order["do"], exc_info=error)
    return f"{type(error).__name__}: {said_by(error)}".rstrip(": ") + "."

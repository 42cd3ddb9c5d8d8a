"""Keeping one worker abreast of the others: it does what they have done, and tries again what it could not."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from typing import Any

import msgspec

from srv.dataplane import Readiness
from srv.errors import SrvError
from srv.modelplane import ModelPlane

log = logging.getLogger(__name__)

#: Seconds before the first try again, and at most; each wait is twice as long as the one before.
_FIRST_WAIT, _LONGEST_WAIT = 1.0, 60.0


class Missed(msgspec.Struct, frozen=True):
    """An order that is yet to be followed, and why it has not been."""

    order: Mapping[str, Any]
    generation: int
    reason: str


class Follower:
    """Follows orders, one at a time; of several about one model the last word counts. Safe to call from any thread.

    Until it has begun, orders are kept, because the worker still loads its first models. A worker that misses
    anything is not ready.
    """

    def __init__(self, plane: ModelPlane, readiness: Readiness) -> None:
        self._plane = plane
        self._readiness = readiness
        self._guard = threading.Lock()
        self._turn = threading.Lock()
        self._newest: dict[str, int] = {}
        self._missed: dict[str, Missed] = {}
        self._generation = 0
        self._begun = False
        self._ends = threading.Event()
        self._retrying: threading.Thread | None = None

    @property
    def generation(self) -> int:
        """The last change of the models that this worker has heard of."""
        return self._generation

    def hear(self, order: Mapping[str, Any], generation: int) -> str | None:
        """Do what another worker has done. Gives why that was not possible, and tries again later."""
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
            self._retry()
        return reason

    def done(self, name: str, generation: int) -> None:
        """This worker has changed a model itself; what it missed of that one does not matter any more."""
        with self._guard:
            self._note(name, generation)
            self._miss(name, None)

    def begin(self, generation: int, newest: int) -> bool:
        """Whether this worker, with the models of one generation, serves what is served in the newest.

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
        """Try nothing again; gives whether an order is being followed at this moment."""
        self._ends.set()
        return self._turn.locked()

    def _follow(self, order: Mapping[str, Any], generation: int) -> str | None:
        name = order["name"]
        reason = None
        with self._turn:
            if self._newest[name] > generation:
                return None
            try:
                self._plane.follow(order)
            except (Exception, SystemExit) as error:  # noqa: BLE001  a model's code runs here, and nobody else would hear of it
                reason = _sentence(error, order)
            with self._guard:
                self._miss(name, None if reason is None else Missed(order, generation, reason))
        if reason is not None:
            log.error("This worker is not ready, because it cannot follow the others: %s", reason)
        return reason

    def _note(self, name: str, generation: int) -> None:
        self._newest[name] = max(generation, self._newest.get(name, 0))
        self._generation = max(generation, self._generation)

    def _miss(self, name: str, missed: Missed | None) -> None:
        """Remember, or forget, that an order is yet to be followed; the worker is ready where there is none."""
        if missed is None:
            self._missed.pop(name, None)
        else:
            self._missed[name] = missed
        reasons = dict.fromkeys(each.reason for each in self._missed.values())
        self._readiness.behind = " ".join(reasons) or None

    def _retry(self) -> None:
        with self._guard:
            if self._retrying is None:
                self._retrying = threading.Thread(target=self._try_again, name="srv-follow", daemon=True)
                self._retrying.start()

    def _try_again(self) -> None:
        wait = _FIRST_WAIT
        while not self._ends.wait(wait):
            with self._guard:
                missed = list(self._missed.values())
                if not missed:
                    self._retrying = None
                    return
            for each in missed:
                self._follow(each.order, each.generation)
            if not self._missed:
                log.info("This worker has caught up with the others.")
            wait = min(2 * wait, _LONGEST_WAIT)


class CannotFollow(SrvError):
    """What another worker has done while this one started cannot be done here."""


def _sentence(error: BaseException, order: Mapping[str, Any]) -> str:
    if isinstance(error, SrvError):
        return str(error)
    log.error("Model '%s' could not be %sed.", order["name"], order["do"], exc_info=error)
    return f"{type(error).__name__}: {error}".rstrip(": ") + "."

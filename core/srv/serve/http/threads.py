"""The HTTP worker's threads: those that lead and run requests, and the watchdog's. One that dies is replaced."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from threading import get_ident

from srv.logs import safely
from srv.serve.http.app_runner import AppRunner
from srv.serve.http.connections import Exchange
from srv.serve.http.leader import Leader
from srv.serve.http.scheduler import Scheduler
from srv.serve.http.watchdog import Watchdog

log = logging.getLogger(__name__)


class Threads:
    """One thread more than may run requests, so that one can always lead, and the watchdog's."""

    def __init__(self, scheduler: Scheduler, leader: Leader, runner: AppRunner, watchdog: Watchdog) -> None:
        self._scheduler = scheduler
        self._leader = leader
        self._runner = runner
        self._watchdog = watchdog
        self._threads: list[threading.Thread] = []
        self._guard = threading.Lock()  # because a model may ask for more threads while the first ones start
        self._looked = 0.0

    def start(self) -> None:
        """Start all of them."""
        with self._guard, self._scheduler.lead:  # nobody leads before all are there
            self._add(self._scheduler.threads.most + 1)
            self._threads.append(begun(self._watchdog.run, "srv-http-watchdog"))

    def grow(self, count: int) -> None:
        """Have so many threads that run requests, if that is more than so far."""
        with self._guard:
            more = count - self._scheduler.threads.most
            if more > 0:
                if self._threads:
                    self._add(more)
                self._scheduler.threads.most = count  # they are there now

    def replace_dead(self) -> None:
        """Start another thread for each one that has died, and let another one lead if the one that led has died."""
        with self._guard:
            if self._scheduler.stopped:
                return
            for place, thread in enumerate(self._threads):
                if not thread.is_alive():
                    safely(log.error, "The thread %s has died; another one takes its place.", thread.name)
                    if thread.ident is not None:
                        self._scheduler.recover_lead(thread.ident)
                    watches = thread.name == "srv-http-watchdog"
                    self._threads[place] = begun(self._watchdog.run if watches else self._work, thread.name)
            # Nobody leads, nobody has since the last look, and nobody will: who was about to has died at it.
            if self._scheduler.leader == 0 and self._leader.looked == self._looked:
                self._scheduler.recover_lead(0)
            self._looked = self._leader.looked if self._scheduler.leader == 0 else 0.0

    def stop(self, patience: float) -> None:
        """Have them end, and wait at most so many seconds; what still runs is left to run."""
        self._scheduler.stopped = True
        self._watchdog.wake()
        until = time.monotonic() + patience
        for thread in self._threads:
            self._scheduler.poller.wake()
            thread.join(max(0.0, until - time.monotonic()))

    def _add(self, count: int) -> None:
        for _ in range(count):
            self._threads.append(begun(self._work, f"srv-http-{len(self._threads)}"))

    def _work(self) -> None:
        """Lead when the lead is free; run what comes of it, and what waits; again."""
        scheduler = self._scheduler
        exchange: Exchange | None = None
        takes_lead = False
        while not scheduler.stopped:
            try:
                if exchange is None:
                    takes_lead = True
                    scheduler.lead.acquire()
                    scheduler.leader = get_ident()
                    takes_lead = False
                    exchange = self._leader.lead()
                while exchange is not None:
                    self._runner.run(exchange)
                    exchange = scheduler.next(exchange)
            except BaseException:  # noqa: BLE001  by its identifier a thread can be told to raise anything, anywhere
                safely(log.exception, "A thread of the HTTP worker failed, and goes on.")
                if takes_lead or scheduler.leader == get_ident():
                    scheduler.recover_lead(scheduler.leader if scheduler.leader == get_ident() else 0)
                takes_lead = False
                if exchange is not None:
                    exchange = scheduler.abandon(exchange)


def begun(target: Callable[[], object], name: str) -> threading.Thread:
    """Start a daemon thread."""
    thread = threading.Thread(target=target, name=name, daemon=True)
    thread.start()
    return thread

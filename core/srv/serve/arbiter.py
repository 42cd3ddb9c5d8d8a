"""gunicorn's master, in the launcher: reads what its workers report, and replaces them without a gap."""

from __future__ import annotations

import errno
import logging
import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, NoReturn

from srv.errors import SrvError
from srv.processes.endings import Backoff
from srv.processes.thread_dumps import log_dump
from srv.serve.gunicorn_app import GunicornApp
from srv.serve.gunicorn_internals import HaltServer
from srv.serve.listening import Listener
from srv.serve.master_loop import MasterLoop, Stop
from srv.serve.reload_checks import ReloadChecks
from srv.serve.signals import HEARD_BY_WORKERS, RETIRE, SHOW
from srv.serve.systemd import notify_systemd
from srv.serve.worker_status import WorkerReport
from srv.serve.worker_table import WorkerEntry, WorkerTable, how_it_ended

log = logging.getLogger("srv.serve")

#: Seconds beyond graceful_timeout for unloading models and stopping hooks, of a worker that was replaced.
_TO_UNLOAD = 5.0
#: Seconds between two looks at the workers that mean that this process was stopped; it waits for one round at most.
_PAUSE = 2.0
#: Seconds after which a load is worth a line, and between further lines.
_SLOW, _STILL = 1.0, 10.0
#: Seconds between showing where a worker hangs and killing it.
_TO_SHOW = 1.0
#: Seconds between two looks at what a worker writes of its threads.
_DUMPING = 0.05
#: How often in a row a worker may fail to start before the server was ready.
_FIRST_TRIES = 3

#: Errors that say nothing of what was asked for, but that descriptors or memory have run out.
_NO_ROOM = {errno.EMFILE, errno.ENFILE, errno.ENOMEM}


class StartFailed(SrvError):
    """The server was never ready; the sentence is the worker's own."""


class WorkerDied(StartFailed):
    """A worker ended before the server was ready."""

    def __init__(self, how: str, doing: str) -> None:
        super().__init__(f"A worker {how} while {doing}.")


class CannotStartWorker(StartFailed):
    """The system has no room for another process."""

    def __init__(self, error: Exception) -> None:
        is_of_system = isinstance(error, OSError) and error.errno
        why = os.strerror(error.errno) if is_of_system else f"{type(error).__name__}: {error}"  # type: ignore[attr-defined]
        super().__init__(f"A worker could not be started: {why}.")


class Master(MasterLoop):
    """Replaces workers that end or grow old. Imports nothing of a user's, and calls no hook.

    Workers of one cohort read the repository together. Old ones, and those that have answered their max_requests,
    serve until as many fresh ones as are wanted have reported ready. One reload runs at a time and one may be pending,
    which begins when the old workers of the one before have gone.
    """

    def __init__(self, app: GunicornApp, listener: Listener, *, ready: Callable[[str], None]) -> None:
        self.table = WorkerTable()
        self.failure: SrvError | None = None
        self._ready = ready
        self._checks = ReloadChecks(app.settings, app.take_pair)
        self._been_ready = False
        self._has_loaded = False
        self._reloading = False
        self._reload_pending = False
        self._reload_began = 0.0
        self._cohort = 1
        self._backoff = Backoff()
        self._failed_starts = 0
        self._has_terminal = _terminal()
        self._looked = self._resumed = time.monotonic()
        super().__init__(app, listener)

    # -- what workers report -------------------------------------------------------------------------------------------

    def patience(self) -> float:
        """Return how many seconds it is to the next start of a worker, or how long a round is."""
        if any(worker.dump.is_growing() for worker in self.WORKERS.values()):
            return _DUMPING
        return self._backoff.wait(time.monotonic()) or super().patience()

    def listen(self) -> None:
        """Take what workers report."""
        for report in self.app.status.received():
            entry = self.table.get(report.pid)
            if entry is not None and not self._stopping:
                self._step("take in a worker's report", partial(self._take, entry, report))

    def _take(self, entry: WorkerEntry, report: WorkerReport) -> None:
        if report.what == "doing":
            entry.does(report.text)
        elif report.what == "spent":
            if report.text:
                log.warning("A worker (process %d) is replaced: %s.", entry.pid, report.text)
            entry.stale = True
        elif report.what == "unresponsive":
            entry.silence = report.text
        elif report.what == "loaded":
            entry.loaded = self._has_loaded = True
        elif report.what == "failed":
            self._failed(entry, report.text)
        else:
            entry.ready_since = time.monotonic()
            entry.models = report.text
            self._look_at_gate()
            if not self._been_ready and self.table.complete(self.num_workers):
                self._first_ready(entry)

    def _first_ready(self, entry: WorkerEntry) -> None:
        self._been_ready = True
        self.app.directory.arrive()
        notify_systemd("READY=1")
        self._ready(entry.models)

    def _failed(self, entry: WorkerEntry, sentence: str) -> None:
        if not (self._been_ready or entry.is_successor):
            self._give_up(StartFailed(sentence))
        if self._is_coming(entry):
            self._abandon(sentence)
        elif not entry.leaving:
            log.error("A worker is not ready, and tries again: %s", sentence)

    def _give_up(self, failure: SrvError) -> NoReturn:
        self.failure = failure
        raise HaltServer(str(failure), 1)

    def tell_progress(self) -> None:
        """Log which loads take long."""
        now = time.monotonic()
        told = set()
        for entry in self.table:
            if self._stopping or not entry.is_slow(now, first=_SLOW, again=_STILL):
                continue
            if entry.doing not in told:
                log.info("%s … (%.0f s)" if entry.told else "%s …", *entry.progress(now))
            told.add(entry.doing)
            entry.told = now

    # -- who is there, who comes, who goes -----------------------------------------------------------------------------

    def manage_workers(self) -> None:
        """Start who is missing, let go who is too many, and retire the old when the fresh are ready."""
        self._step("keep the run directory", self.app.directory.keep)
        self._begin_pending_reload()
        self._look_at_gate()
        fresh = self.table.fresh()
        if len(fresh) < self.num_workers and not self._backoff.wait(time.monotonic()):
            self._start_workers(self.num_workers - len(fresh))
        # Too many after SIGTTOU: those that serve nothing yet go first, then the oldest.
        for entry in sorted(fresh, key=lambda each: each.ready)[: max(0, len(fresh) - self.num_workers)]:
            self._retire(entry)
        if self.table.complete(self.num_workers):
            if self._reloading:
                self._reloading = False
                self.app.directory.arrive()
                log.info("Reloaded: new workers serve %s; the old ones finish what they have.", fresh[-1].models)
            for entry in self.table.stale():
                self._retire(entry)

    def _start_workers(self, count: int) -> None:
        """Fork so many workers. Where the system has no room for one, the others serve on, and it is tried later."""
        for _ in range(count):
            try:
                self.spawn_worker()
            except Exception as error:
                if os.getpid() != self.pid:
                    raise  # because this is a worker
                self._cannot_start(CannotStartWorker(error))
                return
            self._failed_starts = 0

    def _cannot_start(self, failure: CannotStartWorker) -> None:
        self._failed_starts += 1
        if not self._been_ready and self._failed_starts >= _FIRST_TRIES:
            self._give_up(failure)
        if self._reloading:
            self._abandon(str(failure))
            return
        wait = self._backoff.failed(time.monotonic(), least=1.0)
        log.error("%s The next try is in %g s.", failure, wait)

    def spawn_worker(self) -> Any:
        """Fork one. A signal for it waits until it can hear; what it raises in the end ends its process only."""
        self.app.gate.close()
        self.listen()  # a worker that passes the gate has said before that it is loaded
        is_front = not self.others_serve()
        if not is_front:
            self._look_at_gate()
        before = signal.pthread_sigmask(signal.SIG_BLOCK, HEARD_BY_WORKERS)
        try:
            pid = super().spawn_worker()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        self.table.add(WorkerEntry(pid, self._cohort, is_front, is_successor=self._has_loaded))
        return pid

    def _look_at_gate(self) -> None:
        """Open the gate where no worker takes clients that it cannot answer, or where one loads for too long."""
        front = self.table.front()
        if front is not None and time.monotonic() - front.started > self.app.settings.load_timeout:
            front.is_front = False
            front = None
        if front is None:
            self.app.gate.open()

    @property
    def cohort(self) -> int:
        """The number of the workers that are forked now and read code together."""
        return self._cohort

    def reads_repository(self) -> bool:
        """Return whether a worker that is forked now reads the repository; else it serves what the others serve."""
        return self._reloading or not self._been_ready

    def others_serve(self) -> bool:
        """Return whether another worker takes the clients, so that one that is forked now lets them in when it can."""
        return any((entry.ready or entry.loaded or entry.is_front) and not entry.leaving for entry in self.table)

    def _retire(self, entry: WorkerEntry) -> None:
        entry.leave_by = time.monotonic() + self.cfg.graceful_timeout + _TO_UNLOAD
        self.kill_worker(entry.pid, RETIRE)

    def reap_workers(self) -> None:
        """Learn who has ended, after what they still had to say."""
        self._reap()
        for entry in self.table:
            if entry.pid not in self.WORKERS:  # gunicorn has missed it when it sent a signal
                self._ended(entry.pid, 0)

    def _reap(self) -> None:
        with suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if not pid:
                    return
                self.listen()
                if self.app.supervisor.ended(pid, status):
                    continue
                worker = self.WORKERS.pop(pid, None)
                if worker is not None:
                    self._show(pid, worker, ended=True)
                    self._ended(pid, status)
                    worker.tmp.close()
                    worker.dump.close()

    def _ended(self, pid: int, status: int) -> None:
        entry = self.table.remove(pid)
        self.app.directory.forget(pid)
        if entry is None or self._stopping or (entry.leaving and entry.cause is None):
            return
        self.app.directory.count_death()
        how = entry.cause or how_it_ended(status)
        if not self._has_loaded:
            self._give_up(WorkerDied(how, entry.doing))
        if self._is_coming(entry):
            self._abandon(str(WorkerDied(how, entry.doing)))
            return
        wait = self._backoff.died(entry.ready_since, time.monotonic())
        log.error(
            "A worker (process %d) %s%s. Another one takes its place%s.",
            pid,
            how,
            "" if entry.ready else f" while {entry.doing}",
            f" in {wait:g} s" if wait else "",
        )

    def murder_workers(self) -> None:
        """Kill those who do not respond, and those who were told to go and are still there."""
        now = time.monotonic()
        if now - self._looked > _PAUSE:
            self._resumed = now  # after Ctrl-Z and fg everyone is late, this process too
        self._looked = now
        for entry in self.table:
            worker = self.WORKERS.get(entry.pid)
            if worker is None:
                continue
            self._show(entry.pid, worker)
            if entry.leave_by is not None:
                if now > entry.leave_by:
                    log.warning("A worker (process %d) did not leave in time and is killed.", entry.pid)
                    self.kill_worker(entry.pid, signal.SIGKILL)
            elif now - max(worker.tmp.last_update(), self._resumed) > self.timeout:
                self._kill_silent(entry, now)

    def _show(self, pid: int, worker: Any, *, ended: bool = False) -> None:
        """Log where a worker's threads are, if it has been told to show it, or has crashed."""
        dump = worker.dump.take(ended=ended)
        if dump:
            log_dump(pid, dump)

    def _kill_silent(self, entry: WorkerEntry, now: float) -> None:
        """Have a worker that does not respond show where it hangs, and kill it a moment later."""
        if entry.shown is None:
            why = entry.silence or "it did not respond"
            entry.cause = f"was killed because {why} for {self.timeout:g} s (worker_timeout)"
            entry.shown = now
            self.kill_worker(entry.pid, SHOW)
        elif now - entry.shown >= _TO_SHOW:
            self.kill_worker(entry.pid, signal.SIGKILL)

    # -- reloads -------------------------------------------------------------------------------------------------------

    def handle_hup(self) -> None:
        """Replace all workers by ones that read code and models anew. The settings stay as they were at the start."""
        if self._has_terminal and not _terminal():
            raise Stop  # because the terminal was closed, which is no wish for new code
        if self._reloading and self.app.takes_edits:
            self._forget_coming()  # because the author's next edit counts, also where the last one never ends
        elif (self._reloading or self.table.leaving()) and not self._reload_pending:
            log.info("Another reload begins when this one has ended and the old workers have gone.")
        self._reload_pending = True

    def _begin_pending_reload(self) -> None:
        """Begin the reload that is pending, where none runs and the workers of the one before have gone."""
        if not self._reload_pending or not self._been_ready:
            return
        patience = self.app.settings.load_timeout
        if self._reloading and time.monotonic() - self._reload_began > patience:
            self._abandon(f"It did not end within {patience:g} s (load_timeout), and another one was asked for.")
        if self._reloading or self.table.leaving():
            return
        self._reload_pending = False
        problem = self._checks.problem()
        if problem is None:
            self._begin_reload()
        else:
            log.error("The reload failed, and the old workers go on: %s", problem)

    def _begin_reload(self) -> None:
        log.info("Reloading: %d new workers read code and models; the old ones serve until then.", self.num_workers)
        self._forget_coming()  # also what a worker of a failed reload has written after the end of that
        self._reloading = True
        self._reload_began = time.monotonic()
        self._cohort += 1
        self._backoff = Backoff()
        for entry in self.table.fresh():
            entry.stale = True

    def _is_coming(self, entry: WorkerEntry) -> bool:
        return self._reloading and entry.cohort == self._cohort

    def _abandon(self, sentence: str) -> None:
        log.error("The reload failed, and the old workers go on: %s", sentence)
        self._forget_coming()
        for entry in self.table.stale():
            entry.stale = False

    def _forget_coming(self) -> None:
        """End the reload that runs: its workers go, and what they have read counts no more."""
        self.app.directory.abandon()
        for entry in self.table:
            if self._is_coming(entry) and not entry.leaving:
                self._retire(entry)
        self._reloading = False

    def handle_usr1(self) -> None:
        """Have every worker show where its threads are."""
        self.kill_workers(SHOW)


def _terminal() -> bool:
    """Return whether this process has a terminal that is still there."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError as error:
        return error.errno in _NO_ROOM
    return True

"""gunicorn's master, in the launcher: it hears how far its workers are, and replaces them without a gap."""

from __future__ import annotations

import logging
import os
import queue
import select
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NoReturn

from gunicorn import systemd
from gunicorn.arbiter import Arbiter
from gunicorn.errors import HaltServer

from srv.errors import SrvError
from srv.serve.application import Application
from srv.serve.crew import Backoff, Crew, Member
from srv.serve.endings import hear_endings
from srv.serve.listening import Listener
from srv.serve.reports import Report
from srv.serve.workers import HEARD_BY_WORKERS, RETIRE, SHOW

log = logging.getLogger("srv.serve")

#: Seconds beyond graceful_timeout for unloading models and stopping hooks; then the worker is killed.
_TO_UNLOAD = 5.0
#: Seconds that a worker has which was told to go at once.
_AT_ONCE = 2.0
#: A second Ctrl-C within this time is the same one, passed on by a shell or a parent.
_SAME_KEYSTROKE = 0.5
#: Seconds between two looks at the workers that mean that this process was stopped; it waits for one at most.
_PAUSE = 2.0
#: Seconds after which a load is worth a line, and between further lines.
_SLOW, _STILL = 1.0, 10.0


class StartFailed(SrvError):
    """The server was never ready; the sentence is the worker's own."""


class WorkerDied(StartFailed):
    """A worker ended before the server was ready."""

    def __init__(self, how: str, doing: str) -> None:
        super().__init__(f"A worker {how} while {doing}.")


class Master(Arbiter):  # type: ignore[misc]  # gunicorn has no types
    """Runs in the launcher's only thread. Imports nothing of a user's, and calls no hook.

    Workers of one cohort read the repository together. Old ones, and those that have answered their max_requests,
    serve until as many fresh ones as are wanted have reported ready.
    """

    app: Application

    def __init__(self, app: Application, listener: Listener, *, ready: Callable[[str], None]) -> None:
        self.crew = Crew()
        self.failure: SrvError | None = None
        self._ready = ready
        self._been_ready = False
        self._reloading = False
        self._reload_when_ready = False
        self._cohort = 1
        self._backoff = Backoff()
        self._stopping = False
        self._has_terminal = _terminal()
        self._ignores_hangups = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        self._looked = self._resumed = time.monotonic()
        self._woken, self._wake = os.pipe()
        for end in (self._woken, self._wake):
            os.set_blocking(end, False)
        super().__init__(app)
        self.LISTENERS = [listener.socket]

    # -- the loop, and what it waits for -------------------------------------------------------------------------------

    def start(self) -> None:
        """As gunicorn has it, without telling systemd yet: nothing is ready."""
        address = os.environ.pop("NOTIFY_SOCKET", None)
        super().start()
        if address is not None:
            os.environ["NOTIFY_SOCKET"] = address

    def init_signals(self) -> None:
        """As gunicorn has it, and each signal ends the wait in `wait_for_signals`."""
        super().init_signals()
        if self._ignores_hangups:  # nohup
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.set_wakeup_fd(self._wake, warn_on_full_buffer=False)
        hear_endings()

    def wait_for_signals(self, timeout: float = 1.0) -> list[int]:
        """Wait for signals and for what workers say, whichever comes first."""
        waiting = select.poll()
        waiting.register(self._woken, select.POLLIN)
        waiting.register(self.app.reports, select.POLLIN)
        waiting.poll(1000 * min(timeout, self._backoff.wait(time.monotonic()) or timeout))
        with suppress(BlockingIOError):
            os.read(self._woken, 4096)
        self._listen()
        self._tell_progress()
        signals: list[int] = []
        with suppress(queue.Empty):
            while True:
                signals.append(self.SIG_QUEUE.get_nowait())
        return signals

    def _listen(self) -> None:
        for report in self.app.reports.heard():
            member = self.crew.get(report.pid)
            if member is not None and not self._stopping:
                self._hear(member, report)

    def _hear(self, member: Member, report: Report) -> None:
        if report.what == "doing":
            member.does(report.text)
        elif report.what == "spent":
            member.stale = True
        elif report.what == "failed":
            self._failed(member, report.text)
        else:
            member.ready_since = time.monotonic()
            member.models = report.text
            if not self._been_ready and self.crew.complete(self.num_workers):
                self._first_ready(member)

    def _first_ready(self, member: Member) -> None:
        self._been_ready = True
        self.app.directory.arrive()
        systemd.sd_notify("READY=1", self.log)
        self._ready(member.models)
        if self._reload_when_ready:
            self.handle_hup()

    def _failed(self, member: Member, sentence: str) -> None:
        if not self._been_ready:
            self._give_up(StartFailed(sentence))
        if self._is_coming(member):
            self._abandon(sentence)
        else:
            log.error("A worker is not ready, and tries again: %s", sentence)

    def _give_up(self, failure: SrvError) -> NoReturn:
        self.failure = failure
        raise HaltServer(str(failure), 1)

    def _tell_progress(self) -> None:
        now = time.monotonic()
        told = set()
        for member in self.crew:
            if (
                self._stopping
                or member.ready
                or member.leaving
                or now - member.since < _SLOW
                or now - (member.told or 0) < _STILL
            ):
                continue
            if member.doing not in told:
                log.info("%s … (%.0f s)" if member.told else "%s …", *_progress(member, now))
            told.add(member.doing)
            member.told = now

    # -- who is there, who comes, who goes -----------------------------------------------------------------------------

    def manage_workers(self) -> None:
        """Start who is missing, let go who is too many, and retire the old when the fresh are ready."""
        fresh = self.crew.fresh()
        if len(fresh) < self.num_workers and not self._backoff.wait(time.monotonic()):
            for _ in range(self.num_workers - len(fresh)):
                self.spawn_worker()
        # Too many after SIGTTOU: those that serve nothing yet go first, then the oldest.
        for member in sorted(fresh, key=lambda each: each.ready)[: max(0, len(fresh) - self.num_workers)]:
            self._retire(member)
        if self.crew.complete(self.num_workers):
            if self._reloading:
                self._reloading = False
                self.app.directory.arrive()
                log.info("Reloaded: new workers serve %s; the old ones finish what they have.", fresh[-1].models)
            for member in self.crew.stale():
                self._retire(member)

    def spawn_worker(self) -> Any:
        """Fork one. A signal for it waits until it can hear; what it raises in the end ends its process only."""
        before = signal.pthread_sigmask(signal.SIG_BLOCK, HEARD_BY_WORKERS)
        try:
            pid = super().spawn_worker()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        self.crew.join(Member(pid, self._cohort))
        return pid

    def reads_repository(self) -> bool:
        """Whether a worker that is forked now reads the repository; else it serves what its siblings serve."""
        return self._reloading or not self._been_ready

    def others_serve(self) -> bool:
        """Whether a worker that is forked now may take its time before it lets clients in."""
        return any(member.ready and member.leave_by is None for member in self.crew)

    def _retire(self, member: Member) -> None:
        member.leave_by = time.monotonic() + self.cfg.graceful_timeout + _TO_UNLOAD
        self.kill_worker(member.pid, RETIRE)

    def reap_workers(self) -> None:
        """Learn who has ended, after what they still had to say."""
        with suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if not pid:
                    return
                self._listen()
                worker = self.WORKERS.pop(pid, None)
                if worker is not None:
                    worker.tmp.close()
                    self._ended(pid, status)

    def _ended(self, pid: int, status: int) -> None:
        self.app.directory.forget(pid)
        member = self.crew.leave(pid)
        if member is None or self._stopping or (member.leaving and member.cause is None):
            return
        how = member.cause or _how(status)
        if not self._been_ready:
            self._give_up(WorkerDied(how, member.doing))
        if self._is_coming(member):
            self._abandon(str(WorkerDied(how, member.doing)))
            return
        wait = self._backoff.died(member, time.monotonic())
        log.error(
            "A worker (process %d) %s%s. Another one takes its place%s.",
            pid,
            how,
            "" if member.ready else f" while {member.doing}",
            f" in {wait:g} s" if wait else "",
        )

    def murder_workers(self) -> None:
        """Kill those who do not respond, and those who were told to go and are still there."""
        now = time.monotonic()
        if now - self._looked > _PAUSE:
            self._resumed = now  # after Ctrl-Z and fg everyone is late, this process too
        self._looked = now
        for member in self.crew:
            worker = self.WORKERS.get(member.pid)
            if worker is None:
                continue
            if member.leave_by is not None:
                if now > member.leave_by:
                    log.warning("A worker (process %d) did not leave in time and is killed.", member.pid)
                    self.kill_worker(member.pid, signal.SIGKILL)
            elif now - max(worker.tmp.last_update(), self._resumed) > self.timeout:
                member.cause = f"was killed because it did not respond for {self.timeout:g} s (worker_timeout)"
                self.kill_worker(member.pid, signal.SIGKILL if worker.aborted else SHOW)
                worker.aborted = True

    # -- signals -------------------------------------------------------------------------------------------------------

    def handle_hup(self) -> None:
        """Replace all workers by ones that read code and models anew. The settings stay as they were at the start."""
        if self._has_terminal and not _terminal():
            raise StopIteration  # not a wish for new code: the terminal was closed
        if not self._been_ready:
            self._reload_when_ready = True
            return
        self._reload_when_ready = False
        log.info("Reloading: %d new workers read code and models; the old ones serve until then.", self.num_workers)
        self._forget_coming()  # also what a worker of a failed reload has written after the end of that
        self._reloading = True
        self._cohort += 1
        self._backoff = Backoff()
        for member in self.crew.fresh():
            member.stale = True

    def _is_coming(self, member: Member) -> bool:
        return self._reloading and member.cohort == self._cohort

    def _abandon(self, sentence: str) -> None:
        log.error("The reload failed, and the old workers go on: %s", sentence)
        self._forget_coming()
        self._reloading = False
        for member in self.crew.stale():
            member.stale = False

    def _forget_coming(self) -> None:
        self.app.directory.abandon()
        for member in self.crew:
            if self._is_coming(member) and not member.leaving:
                self._retire(member)

    def handle_int(self) -> None:
        """Ctrl-C: as SIGTERM."""
        raise StopIteration

    def handle_usr1(self) -> None:
        """Have every worker show where its threads are."""
        self.kill_workers(SHOW)

    def handle_usr2(self) -> None:
        """Changing the server's own code under running connections is not offered."""
        log.warning("SIGUSR2 does nothing here; SIGHUP reads code and models anew.")

    # -- the end -------------------------------------------------------------------------------------------------------

    def halt(self, reason: str | None = None, exit_status: int = 0) -> NoReturn:  # noqa: ARG002  gunicorn calls it so
        """Stop the workers and leave the loop; why is told by the launcher."""
        self.stop(graceful=exit_status == 0)
        raise SystemExit(exit_status)

    def stop(self, graceful: bool = True) -> None:  # noqa: FBT001, FBT002  gunicorn calls it so
        """Tell all workers to go, and wait until they are gone."""
        self._stopping = True
        for listener in self.LISTENERS:
            listener.close()
        self.LISTENERS = []
        began = time.monotonic()
        patience = self.app.settings.drain_delay + self.cfg.graceful_timeout + _TO_UNLOAD if graceful else _AT_ONCE
        self._tell_all(signal.SIGTERM if graceful else signal.SIGQUIT)
        self.reap_workers()
        while self.WORKERS and (left := began + patience - time.monotonic()) > 0:
            again = {signal.SIGINT, signal.SIGQUIT}.intersection(self.wait_for_signals(left))
            if again and graceful and time.monotonic() - began > _SAME_KEYSTROKE:
                graceful = False
                patience = time.monotonic() - began + _AT_ONCE
                self._tell_all(signal.SIGQUIT)
            self.reap_workers()
        self._tell_all(signal.SIGKILL)
        for pid in list(self.WORKERS):
            with suppress(ChildProcessError):
                os.waitpid(pid, 0)

    def _tell_all(self, sig: int) -> None:
        for pid in list(self.WORKERS):
            with suppress(ProcessLookupError):
                os.kill(pid, sig)


def _terminal() -> bool:
    """Whether this process has a terminal that is still there."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True


def _progress(member: Member, now: float) -> tuple[Any, ...]:
    return (member.doing, now - member.since) if member.told else (member.doing,)


def _how(status: int) -> str:
    """How a process ended, as it goes on after 'a worker'."""
    code = os.waitstatus_to_exitcode(status)
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    return f"was killed by {name}" + (" (out of memory?)" if -code == signal.SIGKILL else "")

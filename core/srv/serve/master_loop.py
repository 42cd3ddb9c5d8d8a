"""The loop of gunicorn's master, as srv runs it: no failed step ends it, and what ends it is told."""

from __future__ import annotations

import logging
import os
import queue
import select
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import NoReturn

from srv.serve.gunicorn_app import GunicornApp
from srv.serve.gunicorn_internals import Arbiter, HaltServer
from srv.serve.listening import Listener
from srv.serve.signals import unblock_stop_signals

log = logging.getLogger("srv.serve")

#: Seconds beyond graceful_timeout for unloading models and stopping hooks; then a worker is killed. Few, because whoever
#: stops a server has set a time for that.
_TO_UNLOAD = 1.0
#: Seconds that a worker has which was told to go at once.
_AT_ONCE = 2.0
#: A second Ctrl-C within this time is the same one, passed on by a shell or a parent.
_SAME_KEYSTROKE = 0.5
#: Seconds that one round of the loop waits at most, and that it waits after a step that failed.
_ROUND, _AFTER_FAILURE = 1.0, 0.5
#: Seconds in which a failure that comes again is not logged again.
_SAME_FAILURE = 30.0


class Stop(BaseException):
    """A signal asks the server to end."""


class MasterLoop(Arbiter):  # type: ignore[misc]  # gunicorn has no types
    """Runs in the launcher's only thread: one step after the other, then a wait for signals and reports.

    A step that fails does not end the loop: the log says what failed, and the next round tries again.
    """

    app: GunicornApp

    def __init__(self, app: GunicornApp, listener: Listener) -> None:
        self._stopping = False
        self._failures: dict[str, float] = {}
        self._ignores_hangups = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        self._woken, self._wake = os.pipe()
        for end in (self._woken, self._wake):
            os.set_blocking(end, False)
        super().__init__(app)
        self.LISTENERS = [listener.socket]

    # -- the loop, and what it waits for -------------------------------------------------------------------------------

    def run(self) -> NoReturn:
        """Supervise until a signal asks for the end, or the start has failed."""
        self.start()
        try:
            while True:
                self._step("start workers", self.manage_workers)
                self._step("wait for signals", self._wait)
                self._step("read what workers report", self.listen)
                self._step("tell how far loads are", self.tell_progress)
                for sig in self._signals():
                    self._step(f"do what {signal.Signals(sig).name} asks for", getattr(self, _HANDLERS[sig]))
                self._step("learn which workers have ended", self.reap_workers)
                self._step("look for workers that do not respond", self.murder_workers)
        except Stop:
            self.halt()
        except HaltServer as ended:
            self.halt(reason=ended.reason, exit_status=ended.exit_status)

    def _step(self, what: str, step: Callable[[], object]) -> None:
        """Run a step of the loop; log its exception, and wait a moment so that one that lasts does not spin."""
        try:
            step()
        except Exception as error:
            if os.getpid() != self.pid:
                raise  # because this is a worker
            if self._is_news(f"{what}: {error!r}"):
                log.exception("The launcher could not %s, and tries again.", what)
            time.sleep(_AFTER_FAILURE)

    def _is_news(self, failure: str) -> bool:
        """Return whether this failure was not logged a moment ago."""
        now = time.monotonic()
        self._failures = {what: at for what, at in self._failures.items() if now - at < _SAME_FAILURE}
        return self._failures.setdefault(failure, now) == now

    def start(self) -> None:
        """Start as gunicorn does, without telling systemd yet: nothing is ready."""
        address = os.environ.pop("NOTIFY_SOCKET", None)
        super().start()
        if address is not None:
            os.environ["NOTIFY_SOCKET"] = address

    def init_signals(self) -> None:
        """Queue signals as gunicorn does, and have each end the wait of the loop."""
        super().init_signals()
        if self._ignores_hangups:  # nohup
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.set_wakeup_fd(self._wake, warn_on_full_buffer=False)
        unblock_stop_signals()

    def _wait(self, timeout: float = _ROUND) -> None:
        """Wait for a signal or a report, whichever comes first."""
        waiting = select.poll()
        waiting.register(self._woken, select.POLLIN)
        waiting.register(self.app.status, select.POLLIN)
        wait = self.app.supervisor.wait(time.monotonic())
        if wait == 0.0 and not self._stopping:
            waiting.register(self.app.supervisor, select.POLLIN)
        came = waiting.poll(1000 * min(timeout, self.patience(), wait or timeout))
        if any(descriptor == self.app.supervisor.fileno() for descriptor, _ in came):
            self._step("start the supervisor of the model processes", self.app.supervisor.start)
        with suppress(BlockingIOError):
            os.read(self._woken, 4096)

    def _signals(self) -> Iterator[int]:
        """Take the signals that have come. SIGCHLD only ends the wait, because each round looks for ended workers."""
        with suppress(queue.Empty):
            while True:
                sig = self.SIG_QUEUE.get_nowait()
                if sig in _HANDLERS:
                    yield sig

    # -- what is to be supervised --------------------------------------------------------------------------------------

    def patience(self) -> float:
        """Return how many seconds a wait may last before there is something to do."""
        return _ROUND

    def listen(self) -> None:
        """Take what workers report."""
        raise NotImplementedError

    def tell_progress(self) -> None:
        """Log what takes long."""
        raise NotImplementedError

    def handle_hup(self) -> None:
        """Reload."""
        raise NotImplementedError

    def handle_usr1(self) -> None:
        """Have every worker show where its threads are."""
        raise NotImplementedError

    # -- other signals -------------------------------------------------------------------------------------------------

    def handle_term(self) -> None:
        """End the server, letting requests finish."""
        raise Stop

    def handle_int(self) -> None:
        """End the server as SIGTERM does; Ctrl-C."""
        raise Stop

    def handle_quit(self) -> None:
        """End the server at once."""
        self.stop(False)  # noqa: FBT003  gunicorn calls it so
        raise Stop

    def handle_usr2(self) -> None:
        """Say that changing the server's own code under running connections is not offered."""
        log.warning("SIGUSR2 does nothing here; SIGHUP reads code and models anew.")

    # -- the end -------------------------------------------------------------------------------------------------------

    def halt(self, reason: str | None = None, exit_status: int = 0) -> NoReturn:  # noqa: ARG002  gunicorn calls it so
        """Stop the workers and leave the loop; the launcher tells why."""
        self.stop(graceful=exit_status == 0)
        raise SystemExit(exit_status)

    def stop(self, graceful: bool = True) -> None:  # noqa: FBT001, FBT002  gunicorn calls it so
        """Tell all workers to go, and wait until they are gone."""
        self._stopping = True
        for listener in self.LISTENERS:
            listener.close()
        self.LISTENERS = []
        began = time.monotonic()
        to_finish = self.app.settings.drain_delay + self.cfg.graceful_timeout
        patience = to_finish + _TO_UNLOAD if graceful else _AT_ONCE
        self._tell_all(signal.SIGTERM if graceful else signal.SIGQUIT)
        self.app.supervisor.drain()
        self._step("learn which workers have ended", self.reap_workers)
        while self.WORKERS and (left := began + patience - time.monotonic()) > 0:
            self._wait(min(left, _ROUND))
            self._step("read what workers report", self.listen)
            again = {signal.SIGINT, signal.SIGQUIT}.intersection(self._signals())
            if again and graceful and time.monotonic() - began > _SAME_KEYSTROKE:
                graceful = False
                patience = time.monotonic() - began + _AT_ONCE
                self._tell_all(signal.SIGQUIT)
            self._step("learn which workers have ended", self.reap_workers)
        self._tell_all(signal.SIGKILL)
        for pid in list(self.WORKERS):
            with suppress(ChildProcessError):
                os.waitpid(pid, 0)
        self.app.supervisor.stop(max(_TO_UNLOAD, began + patience - time.monotonic()))

    def _tell_all(self, sig: int) -> None:
        for pid in list(self.WORKERS):
            with suppress(ProcessLookupError):
                os.kill(pid, sig)


#: What each signal calls. Others do nothing here.
_HANDLERS = {
    getattr(signal, f"SIG{name}"): f"handle_{name.lower()}"
    for name in ("HUP", "QUIT", "INT", "TERM", "TTIN", "TTOU", "USR1", "USR2")
}

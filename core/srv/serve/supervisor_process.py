"""The supervisor's process: started by exec when the first worker asks for a model process, and again where it dies."""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from srv.processes.endings import Backoff, ended_by

if TYPE_CHECKING:
    import subprocess

log = logging.getLogger("srv.serve")


#: Seconds between two looks whether it has ended.
_BETWEEN_LOOKS = 0.02


class SupervisorProcess:
    """The supervisor as the process that starts it has it: the launcher, or a command that loads models by itself.

    Made before the first fork. Workers come to one end of a pair of sockets, each with a connection for itself; at the other
    end they wait until a supervisor takes them. With `prints_to_stderr` what models print does not go to stdout.
    """

    def __init__(self, *, level: str, form: str, prints_to_stderr: bool = False) -> None:
        self._workers_end, self._own_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._level, self._form = level, form
        self._popen: subprocess.Popen[bytes] | None = None
        self._started = 0.0
        self._backoff = Backoff()
        self._prints_to_stderr = prints_to_stderr
        self._draining = False

    def fileno(self) -> int:
        """Return the end at which workers wait for a supervisor; while one runs, it takes them."""
        return self._own_end.fileno()

    def runs(self) -> bool:
        """Return whether one was started and has not ended, where nobody else waits for processes."""
        if self._popen is not None and self._popen.poll() is not None:
            self._popen = None
        return self._popen is not None

    def wait(self, now: float) -> float | None:
        """Return after how many seconds one may be started for those who wait; None while one runs."""
        return None if self._popen is not None else self._backoff.wait(now)

    def reach(self, connection: socket.socket) -> None:
        """Send a worker's connection to whoever supervises, now or soon. Called in the worker."""
        socket.send_fds(self._workers_end, [b"w"], [connection.fileno()])

    def start(self) -> None:
        """Start a supervisor, which takes those who wait."""
        import subprocess  # here, because most servers start none

        self._popen = subprocess.Popen(  # noqa: S603  the program is this Python
            [
                *(sys.executable, "-P", "-m", "srv.processes.supervisor"),
                *(str(self._own_end.fileno()), str(os.getpid()), self._level, self._form),
            ],
            stdin=subprocess.DEVNULL,
            stdout=2 if self._prints_to_stderr else None,
            pass_fds=(self._own_end.fileno(),),
        )
        self._started = time.monotonic()

    def ended(self, pid: int, status: int) -> bool:
        """Note that a process has ended, with its status from `waitpid`; return whether it was the supervisor."""
        if self._popen is None or pid != self._popen.pid:
            return False
        self._popen.returncode = os.waitstatus_to_exitcode(status)
        how = ended_by(self._popen.returncode)
        self._popen = None
        if self._draining:
            return True
        wait = self._backoff.died(self._started, time.monotonic())
        log.error(
            "The supervisor of the model processes (process %d) %s. Another one is started%s when a worker asks for it.",
            pid,
            how,
            f" in {wait:g} s" if wait else "",
        )
        return True

    def release(self) -> None:
        """Leave the supervisor's end to the launcher, in a worker."""
        self._own_end.close()

    def close(self) -> None:
        """Close both ends."""
        self._workers_end.close()
        self._own_end.close()

    def drain(self) -> None:
        """Have the supervisor end what no worker uses, and itself when no worker is left."""
        self._draining = True
        if self._popen is not None:
            self._popen.send_signal(signal.SIGTERM)

    def stop(self, seconds: float) -> None:
        """Wait until it has ended, which it was told to; kill it after that many seconds, and its processes with it."""
        popen, self._popen = self._popen, None
        if popen is None:
            return
        with suppress(OSError):
            popen.send_signal(signal.SIGTERM)
        until = time.monotonic() + seconds
        while popen.poll() is None and time.monotonic() < until:
            time.sleep(_BETWEEN_LOOKS)
        if popen.poll() is None:
            popen.kill()
            popen.wait()


class OwnSupervisor:
    """A supervisor for a process that loads models by itself, such as `srv check`; started when a model asks for it."""

    def __init__(self, *, level: str, form: str) -> None:
        self._level, self._form = level, form
        self._guard = threading.Lock()
        self._process: SupervisorProcess | None = None

    def reach(self, connection: socket.socket) -> None:
        """Send a connection to the supervisor. Called in any thread, which should live as long as the process."""
        with self._guard:
            if self._process is None:
                self._process = SupervisorProcess(level=self._level, form=self._form, prints_to_stderr=True)
            self._process.reach(connection)
            if not self._process.runs():
                self._process.start()

    def stop(self, seconds: float) -> None:
        """End it."""
        with self._guard:
            if self._process is not None:
                self._process.stop(seconds)
                self._process.close()
                self._process = None

"""One model process as the supervisor has it: started by exec, watched by its pidfd, told what to serve, ended."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from enum import Enum
from typing import Any, NamedTuple

from srv.channels.channel import Channel
from srv.channels.errors import BrokenFrame, ChannelClosed, OtherProtocol
from srv.channels.frames import FrameKind
from srv.errors import SrvError
from srv.processes.endings import ended_by
from srv.processes.errors import (
    EndedWhileLoading,
    OtherVersion,
    ProcessLoadFailed,
    SrvMissing,
    StartedTooSlowly,
)
from srv.processes.thread_dumps import ThreadDump, log_dump
from srv.version import __version__

log = logging.getLogger(__name__)

#: Seconds that a message may take to a process that does not read.
_TO_SEND = 5.0
#: Seconds that a process has to end by itself after it was told to, beyond what its last requests have.
_TO_END = 5.0
#: Seconds between two questions whether a process still answers.
_BEAT = 1.0
#: Seconds without an answer after which others are asked in its place, where there are others.
_SILENCE = 2.5
#: Messages that are read at once, so that a process that floods the supervisor with them costs the others little.
_AT_ONCE = 100
#: Seconds in which an interpreter must be able to say why it cannot run srv.
_TO_EXPLAIN = 30.0


class ChildState(Enum):
    """How far a model process is."""

    STARTING = 1
    LOADING = 2
    SERVING = 3
    ENDED = 4


class ChildProgram(NamedTuple):
    """How a model process is started: the interpreter, its environment variables, and what runs between fork and exec."""

    python: str
    environ: Mapping[str, str]
    before_exec: Callable[[], None] | None = None


class Child:
    """One model process, from its start to its end. Used in the supervisor's thread alone.

    `loaded` is called with the description of its model when it serves, `ended` once with how it ended, which is an error
    where it never served.
    """

    def __init__(
        self,
        title: str,
        order: Any,
        *,
        start_timeout: float,
        load_timeout: float,
        silence: float,
        memory: int | None = None,
        loaded: Callable[[Child, Mapping[str, Any]], None],
        ended: Callable[[Child, str, ProcessLoadFailed | None], None],
        silent: Callable[[Child], None] = lambda child: None,  # noqa: ARG005
    ) -> None:
        self._title = title
        self._order = order
        self._start_timeout = start_timeout
        self._load_timeout = load_timeout
        self._silence = silence
        self._memory = memory
        self._loaded = loaded
        self._ended = ended
        self._silent = silent
        self._loop = asyncio.get_running_loop()
        self._popen: subprocess.Popen[bytes] | None = None
        self._control: Channel | None = None
        self._watched: int | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._beat: asyncio.TimerHandle | None = None
        self._python = ""
        self._failure: ProcessLoadFailed | None = None
        #: Where its faulthandler writes as it crashes.
        self._dump = ThreadDump()
        #: Why it is killed, where the supervisor does it, as it goes on after 'its process'.
        self._cause: str | None = None
        self._answered = 0.0
        self.state = ChildState.STARTING
        self.ready_since: float | None = None
        #: Whether it has not answered for a while, as `silent` is told when that changes.
        self.is_silent = False
        self.description: Mapping[str, Any] = {}

    @property
    def pid(self) -> int:
        """The process, or 0 where it was never started."""
        return self._popen.pid if self._popen is not None else 0

    # -- its life ------------------------------------------------------------------------------------------------------

    def start(self, program: ChildProgram) -> None:
        """Start the process. Where the system cannot, that is how it has ended."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._python = program.python
        try:
            self._popen = subprocess.Popen(  # noqa: S603  the operator names the interpreter
                [
                    *(program.python, "-I", "-m", "srv.modelprocess"),
                    *(str(theirs.fileno()), str(os.getpid()), str(self._dump.fileno())),
                    self._title,  # for those who look at the list of processes
                ],
                stdin=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(), self._dump.fileno()),
                env=dict(program.environ),
                start_new_session=True,
                preexec_fn=program.before_exec,
            )
        except (OSError, subprocess.SubprocessError) as error:
            ours.close()
            why = error.strerror if isinstance(error, OSError) else str(error)
            self._failure = ProcessLoadFailed(f"process: {program.python} could not be started: {why}.")
            self._loop.call_soon(self._end, "could not be started")
            return
        finally:
            theirs.close()
        self._control = Channel(ours)
        self._loop.add_reader(self._control.fileno(), self._read)
        self._watched = os.pidfd_open(self._popen.pid)
        self._loop.add_reader(self._watched, self._reap)
        self._timer = self._loop.call_later(self._start_timeout, self._too_slow, self._start_timeout)

    def connect(self, descriptor: int) -> bool:
        """Hand a worker's socket to the process; return whether it could be."""
        return self._send({"what": "connect"}, descriptor)

    def stop(self, seconds: float) -> None:
        """Let the process finish what it has, unload and end; after so many seconds it is killed."""
        if self.state is ChildState.ENDED:
            return
        self._cause = self._cause or "was stopped"
        self._set_timer(seconds + _TO_END, lambda: self.kill("was stopped, did not end in time and was killed"))
        if not self._send({"what": "stop", "seconds": seconds}):
            self.kill("was stopped")

    def kill(self, cause: str) -> None:
        """End the process now, because of `cause`, as it goes on after 'its process'."""
        self._cause = cause
        if self._popen is not None and self.state is not ChildState.ENDED:
            with suppress(ProcessLookupError):
                self._popen.kill()

    # -- what it says --------------------------------------------------------------------------------------------------

    def _read(self) -> None:
        try:
            for _ in range(_AT_ONCE):
                frame = None if self._control is None else self._control.receive(until=0.0)
                if frame is None:
                    return
                for descriptor in frame.descriptors:
                    os.close(descriptor)
                if isinstance(frame.head, dict):
                    self._take(frame.head)
        except OtherProtocol as error:
            self._failure = OtherVersion(self._python, error.theirs, error.ours, __version__)
            self.kill(str(self._failure))
            self._close()
        except SrvError as error:
            if isinstance(error, BrokenFrame) or not isinstance(error, ChannelClosed):
                self.kill(f"sent what no model process sends, and was killed: {error}")
            elif self._cause is None:
                # Where it has closed its descriptors and lives on, nobody can tell it anything any more.
                self._loop.call_later(_BEAT, self._kill_deaf)
            self._close()

    def _kill_deaf(self) -> None:
        if self.state is not ChildState.ENDED:
            self.kill("closed its connection to the server, and was killed")

    def _take(self, said: Mapping[str, Any]) -> None:
        self._answered = time.monotonic()
        match said:
            case {"what": "hello"} if self.state is ChildState.STARTING:
                self.state = ChildState.LOADING
                self._set_timer(self._load_timeout, lambda: self._too_slow(self._load_timeout))
                self._send({"what": "start", "order": self._order})
                self._ask()
            case {"what": "loaded", "model": dict() as description} if self.state is ChildState.LOADING:
                self._set_timer(None)
                self.state = ChildState.SERVING
                self.ready_since = time.monotonic()
                self.description = description
                self._loaded(self, description)
            case {"what": "failed", "reason": str() as reason} if self.state is ChildState.LOADING:
                self._failure = ProcessLoadFailed(reason)
                self.stop(0.0)
            case {"what": "hangs", "why": str() as why}:
                self.kill(f"was killed because {why}")

    def _ask(self) -> None:
        """Ask whether the process still answers; kill it where it has not for too long."""
        if self.state is ChildState.ENDED or self._control is None:
            return
        if time.monotonic() - self._answered > self._silence + _BEAT:
            self.kill(f"was killed because it did not respond for {self._silence:g} s (worker_timeout)")
            return
        self._set_silent(time.monotonic() - self._answered > _SILENCE)
        self._send({"what": "ping"})
        self._beat = self._loop.call_later(_BEAT, self._ask)

    def _set_silent(self, is_silent: bool) -> None:  # noqa: FBT001  it is what is set
        if is_silent != self.is_silent and self.state is ChildState.SERVING:
            self.is_silent = is_silent
            self._silent(self)

    def _too_slow(self, seconds: float) -> None:
        self._failure = StartedTooSlowly(seconds)
        self.kill("was killed because it took too long to start")

    def _send(self, head: Mapping[str, Any], *descriptors: int) -> bool:
        if self._control is None:
            return False
        try:
            self._control.send(FrameKind.STATUS, 0, head, until=time.monotonic() + _TO_SEND, descriptors=descriptors)
        except SrvError:
            return False
        return True

    # -- its end -------------------------------------------------------------------------------------------------------

    def _reap(self) -> None:
        assert self._popen is not None
        code = self._popen.wait()
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._popen.pid, signal.SIGKILL)  # what the model has started ends with it
        self._read()  # what it said last
        dump = self._dump.take(ended=True)
        if dump:
            log_dump(self._popen.pid, dump, f"the process of model '{self._title}'")
        if self.state is ChildState.STARTING and self._failure is None and self._cause is None and code == 1:
            self._unwatch()
            self._explaining = self._loop.create_task(self._explain(code))
            return
        # It may have ended by itself a moment before it was killed.
        self._end(self._cause if self._cause is not None and code in (0, -signal.SIGKILL) else ended_by(code))

    async def _explain(self, code: int) -> None:
        """Learn why an interpreter did not come as far as srv."""
        why = await asyncio.to_thread(why_not, [self._python, "-I", "-c", "import srv.modelprocess"])
        if why is not None:
            self._failure = SrvMissing(self._python, why, __version__)
        self._end(ended_by(code))

    def _end(self, how: str) -> None:
        if self.state is ChildState.ENDED:
            return
        served = self.state is ChildState.SERVING
        self.state = ChildState.ENDED
        self._set_timer(None)
        if self._beat is not None:
            self._beat.cancel()
        self._unwatch()
        self._close()
        self._dump.close()
        self._ended(self, how, None if served else self._failure or EndedWhileLoading(how, self._memory))

    def _unwatch(self) -> None:
        if self._watched is not None:
            self._loop.remove_reader(self._watched)
            os.close(self._watched)
            self._watched = None

    def _close(self) -> None:
        if self._control is not None:
            self._loop.remove_reader(self._control.fileno())
            self._control.close()
            self._control = None

    def _set_timer(self, seconds: float | None, call: Callable[[], object] = lambda: None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None if seconds is None else self._loop.call_later(seconds, call)


def why_not(command: Sequence[str]) -> str | None:
    """Return the last line that a command prints before it fails; None where it does not fail."""
    try:
        done = subprocess.run(  # noqa: S603  as above
            command, capture_output=True, text=True, errors="replace", timeout=_TO_EXPLAIN, check=False
        )
    except (OSError, subprocess.SubprocessError) as error:
        return f"{type(error).__name__}: {error}"
    if done.returncode == 0:
        return None
    lines = done.stderr.strip().splitlines() or [ended_by(done.returncode)]
    return lines[-1][:200].rstrip(".")

"""Leases: what a worker has of the supervisor's model processes, and the connection over which it learns of them."""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from srv.channels.channel import Channel
from srv.channels.frames import Frame, FrameKind
from srv.errors import SrvError, said_by
from srv.model_settings import ModelSettings
from srv.models.following import follows_another_worker
from srv.placement import Placement
from srv.processes.descriptions import ModelDescription
from srv.processes.endings import Backoff
from srv.processes.errors import NoProcess, ProcessLoadFailed, StartedTooSlowly, SupervisorDied
from srv.processes.orders import Order, plain, read
from srv.processes.serving_processes import TO_LEARN, ServingProcess

log = logging.getLogger(__name__)

#: Seconds between two looks at what is late.
_BEAT = 1.0
#: Seconds that a message may take to a supervisor that does not read.
_TO_SEND = 10.0

#: Hands one end of a socket pair to the supervisor, which is started where there is none.
Reach = Callable[[socket.socket], None]


class ProcessLease:
    """One load of a model in its processes, as one worker has it. Safe in several threads."""

    def __init__(self, leases: Leases, number: int, asked: Mapping[str, Any], title: str) -> None:
        self._leases = leases
        self._asked = asked
        self._title = title
        self._guard = threading.Lock()
        self._settled = threading.Event()
        self._failure: SrvError | None = None
        self._turn = os.getpid()
        self._backoff = Backoff()
        #: Processes whose channel is closed, with when that was found, until the supervisor has told how they ended.
        self._dropped: list[tuple[ServingProcess, float]] = []
        #: When it is to be asked for again, because the supervisor has lost it.
        self._ask_again: float | None = None
        self.number = number
        self.members: tuple[ServingProcess, ...] = ()
        self.count = 1
        self.description: ModelDescription | None = None
        self.reason = "its process starts"
        self._went_down: Callable[[str], object] = lambda reason: None  # noqa: ARG005
        self._came_up: Callable[[], object] = lambda: None

    def wait(self, seconds: float) -> ModelDescription:
        """Wait until all processes serve. Raises ProcessLoadFailed, SupervisorDied, and StartedTooSlowly after that time."""
        if not self._settled.wait(seconds):
            raise StartedTooSlowly(seconds)
        if self._failure is not None:
            raise self._failure
        assert self.description is not None
        return self.description

    def watch(self, went_down: Callable[[str], object], came_up: Callable[[], object]) -> None:
        """Have one called with the reason where no process is left from now on, the other when there is one again."""
        with self._guard:
            self._went_down, self._came_up = went_down, came_up
            is_down = not self.members
        if is_down:
            went_down(self.reason)

    def least_busy(self) -> ServingProcess:
        """Return the process that has the fewest calls of this worker. Raises NoProcess."""
        members = self.members
        if len(members) == 1:
            return members[0]
        if not members:
            raise NoProcess(self._title, self.reason)
        self._turn = first = (self._turn + 1) % len(members)
        return min((*members[first:], *members[:first]), key=lambda member: (member.is_silent, member.in_flight))

    def drop(self, member: ServingProcess) -> None:
        """Send nothing more to a process whose channel is closed."""
        self.reason = "its process has ended"
        self._dropped.append((member, time.monotonic()))
        self._replace(member, None)

    def release(self) -> None:
        """Use the processes no longer."""
        self._leases.release(self)
        for member in self.members:
            member.leave()
        self.members = ()

    # -- in the thread that listens ------------------------------------------------------------------------------------

    def take(self, said: Mapping[str, Any], frame: Frame) -> None:
        """Take in what the supervisor says of it."""
        match said:
            case {"what": "up", "number": int() as number, "process": int() as pid, "model": model}:
                channel = Channel(socket.socket(fileno=frame.descriptors.pop()))
                self.description = read(model, ModelDescription)
                self._replace(self._member(number), ServingProcess(self._title, number, pid, channel, self._complain))
            case {"what": "down", "number": int() as number, "how": str() as how, "wait": int() | float() as wait}:
                self.reason = f"its process {how.rstrip('.')}. Another one starts{f' in {wait:g} s' if wait else ''}"
                for dropped, _ in self._dropped:
                    if dropped.pid == said["process"]:
                        dropped.ended(how)
                member = self._member(number)
                if member is not None:
                    member.ended(how)
                    self._replace(member, None)
                elif self._settled.is_set() and not self.members:
                    self._went_down(self.reason)
            case {"what": "silent", "number": int() as number, "silent": bool() as silent}:
                member = self._member(number)
                if member is not None:
                    member.is_silent = silent
            case {"what": "serves", "count": int() as count}:
                self.count = count
                self._ask_again = None
                self._settled.set()
            case {"what": "failed", "reason": str() as reason}:
                if self._settled.is_set():
                    self.lost(f"its process could not be started again: {reason}")
                else:
                    self._fail(ProcessLoadFailed(reason))

    def lost(self, reason: str, *, settled: SrvError | None = None) -> None:
        """Note that the supervisor knows nothing of it any more, and ask for it again, later and later."""
        if not self._settled.is_set():
            self._fail(settled or SupervisorDied())
            return
        wait = self._backoff.died(None, time.monotonic())
        self.reason = f"{reason.rstrip('.')}. It is started again{f' in {wait:g} s' if wait else ''}"
        self._ask_again = time.monotonic() + wait
        members, self.members = self.members, ()
        for member in (*members, *(dropped for dropped, _ in self._dropped)):
            member.ended("was ended with its supervisor")
        self._went_down(self.reason)

    def due(self, now: float) -> Mapping[str, Any] | None:
        """Return what is to be asked of the supervisor now."""
        if self._ask_again is None or now < self._ask_again:
            return None
        self._ask_again = None
        return self._asked

    def tick(self, now: float, stuck_timeout: float) -> None:
        """Look after its processes."""
        for member in self.members:
            member.tick(now, stuck_timeout)
        self._dropped = [each for each in self._dropped if not each[0].has_ended]
        for member, since in self._dropped:
            if now - since > TO_LEARN:
                self._complain(member, "it has closed its connection to a worker")

    def _fail(self, error: SrvError) -> None:
        self._failure = error
        self._settled.set()

    def _member(self, number: int) -> ServingProcess | None:
        return next((each for each in self.members if each.number == number), None)

    def _replace(self, old: ServingProcess | None, new: ServingProcess | None) -> None:
        with self._guard:
            before = self.members
            kept = tuple(each for each in before if each is not old)
            self.members = kept if new is None else (*kept, new)
            was, is_there = bool(before), bool(self.members)
        if not self._settled.is_set():
            return
        if was and not is_there:
            self._went_down(self.reason)
        elif is_there and not was:
            self._came_up()

    def _complain(self, member: ServingProcess, why: str) -> None:
        self._leases.say("kill", lease=self.number, process=member.pid, why=why)


class Leases:
    """All leases of a worker. Connects with the supervisor when the first model asks for a process."""

    def __init__(self, reach: Reach | None, *, stuck_timeout: float) -> None:
        self._reach = reach
        self._stuck_timeout = stuck_timeout
        self._guard = threading.RLock()
        self._leases: dict[int, ProcessLease] = {}
        self._number = 0
        self._channel: Channel | None = None
        #: Workers that read code together have the same one, and no processes of those before.
        self.cohort = 0
        #: Whether the worker ends, so that the processes stay for the others.
        self.leaving = False

    @property
    def can_start(self) -> bool:
        """Whether there is a way to start model processes."""
        return self._reach is not None

    def acquire(
        self,
        order: Order,
        model: ModelSettings,
        title: str,
        *,
        cache: Mapping[str, Any],
        placements: Sequence[Placement | None],
    ) -> ProcessLease:
        """Ask for processes of a model; the lease is settled when they serve, or one could not be loaded.

        `cache` says where environments are extracted, by dir and limit; `placements` where plugins want each process to run.
        """
        assert model.process is not None
        with self._guard:
            self._number += 1
            follows = follows_another_worker()
            asked = {
                "lease": self._number,
                "name": model.name,
                "version": model.version,
                "order": plain(order),
                "process": plain(model.process),
                "cache": plain(cache),
                "placements": [None if chosen is None else plain(chosen) for chosen in placements],
                "limits": {
                    "load_timeout": order.load_timeout,
                    "worker_timeout": order.worker_timeout,
                    "graceful_timeout": order.graceful_timeout,
                },
            }
            lease = self._leases[self._number] = ProcessLease(self, self._number, asked, title)
            self._connected()
            self.say("acquire", **asked, follows=follows)
        return lease

    def release(self, lease: ProcessLease) -> None:
        """Let go of a lease."""
        with self._guard:
            if self._leases.pop(lease.number, None) is not None:
                self.say("release", lease=lease.number, outdated=not self.leaving)

    def say(self, what: str, **said: Any) -> None:
        """Send something to the supervisor, if there is one."""
        channel = self._channel
        if channel is not None:
            with suppress(SrvError):
                channel.send(FrameKind.STATUS, 0, {"what": what, **said}, until=time.monotonic() + _TO_SEND)

    def close(self) -> None:
        """Let all leases go; the worker ends."""
        self.leaving = True
        with self._guard:
            for lease in [*self._leases.values()]:
                lease.release()
            channel, self._channel = self._channel, None
        if channel is not None:
            channel.close()

    def pids(self) -> list[int]:
        """Return the model processes that it uses."""
        return [member.pid for lease in [*self._leases.values()] for member in lease.members]

    def forked(self) -> None:
        """Keep nothing of the connections, in a child that a model has forked, so that their ends are noticed."""
        channels = [member.channel for lease in self._leases.values() for member in lease.members]
        nothing = os.open(os.devnull, os.O_RDWR)
        for channel in channels if self._channel is None else (self._channel, *channels):
            os.dup2(nothing, channel.fileno(), inheritable=False)
        os.close(nothing)

    def _connected(self) -> None:
        """Connect with the supervisor, where no connection is there. The caller holds the guard."""
        if self._channel is not None:
            return
        assert self._reach is not None
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._reach(theirs)
        self._channel = channel = Channel(ours)
        self.say("hello", cohort=self.cohort)
        threading.Thread(target=self._listen, args=(channel,), name="srv-leases", daemon=True).start()

    def _listen(self, channel: Channel) -> None:
        looked = time.monotonic()
        while True:
            try:
                frame = channel.receive(looked + _BEAT)
                if frame is not None:
                    self._take(frame)
            except SrvError:
                break
            except Exception:
                log.exception("What the supervisor of the model processes said could not be taken in.")
            if time.monotonic() >= looked + _BEAT:
                looked = time.monotonic()
                self._tick(looked)
        with self._guard:
            if self._channel is channel:
                self._channel = None
        if not self.leaving:
            self._recover()

    def _take(self, frame: Frame) -> None:
        said = frame.head
        lease = self._leases.get(said["lease"]) if isinstance(said, dict) else None
        try:
            if lease is not None:
                lease.take(said, frame)
        except Exception as error:
            assert lease is not None
            lease.lost("its process says what no srv says", settled=ProcessLoadFailed(f"process: {said_by(error)}"))
            raise
        finally:
            for descriptor in frame.descriptors:
                os.close(descriptor)

    def _tick(self, now: float) -> None:
        for lease in [*self._leases.values()]:
            lease.tick(now, self._stuck_timeout)
            asked = lease.due(now)
            if asked is not None:
                self.say("acquire", **asked)

    def _recover(self) -> None:
        """Find another supervisor, because the one before has ended, and ask it for what there was."""
        log.error("The supervisor of the model processes has ended; the models in processes are loaded again.")
        with self._guard:
            leases = [*self._leases.values()]
        for lease in leases:
            lease.lost("its supervisor ended")
        with self._guard:
            if self._leases and not self.leaving:
                self._connected()

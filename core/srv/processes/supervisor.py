"""The supervisor: a process beside the workers that starts and watches model processes, and connects workers to them."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from srv import logs
from srv.channels.channel import Channel
from srv.channels.frames import FrameKind
from srv.errors import SrvError
from srv.processes.groups import Group, Wanted
from srv.processes.programs import program_of

log = logging.getLogger(__name__)

#: Seconds that a message may take to a worker that does not read.
_TO_SEND = 5.0


class WorkerLease:
    """What one worker has of one group."""

    def __init__(self, send: Callable[..., bool], number: int) -> None:
        self._send = send
        self._number = number
        self.group: Group | None = None

    def tell(self, what: str, *descriptors: int, **said: Any) -> None:
        """Send something about the lease to its worker."""
        self._send({"what": what, "lease": self._number, **said}, *descriptors)


class ConnectedWorker:
    """One worker, as long as its connection lasts."""

    def __init__(self, supervisor: ProcessSupervisor, connection: socket.socket) -> None:
        self._supervisor = supervisor
        self._channel = Channel(connection)
        self._leases: dict[int, WorkerLease] = {}
        self._cohort = 0
        self._closed = False
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._channel.fileno(), self._read)

    def _read(self) -> None:
        try:
            while not self._closed and (frame := self._channel.receive(until=0.0)) is not None:
                for descriptor in frame.descriptors:
                    os.close(descriptor)
                if isinstance(frame.head, dict):
                    self._take(frame.head)
        except SrvError:
            self.close()

    def _take(self, said: Mapping[str, Any]) -> None:
        match said:
            case {"what": "hello", "cohort": int() as cohort}:
                self._cohort = cohort
            case {"what": "acquire", "lease": int() as number}:
                lease = self._leases[number] = WorkerLease(self._send, number)
                # One that follows another worker joins what that one has, also where it has joined that already.
                held = [] if said.get("follows") is True else [each.group for each in self._leases.values()]
                lease.group = self._supervisor.group_for(Wanted(said, self._cohort), held)
                lease.group.join(lease)
            case {"what": "release", "lease": int() as number, "outdated": bool() as outdated}:
                self._release(number, outdated=outdated)
            case {"what": "kill", "lease": int() as number, "process": int() as pid, "why": str() as why}:
                group = self._leases[number].group if number in self._leases else None
                if group is not None:
                    group.kill(pid, why)

    def _release(self, number: int, *, outdated: bool) -> None:
        lease = self._leases.pop(number, None)
        if lease is not None and lease.group is not None:
            lease.group.leave(lease, outdated=outdated, at_once=not self._supervisor.keeps(lease.group))

    def _send(self, head: Mapping[str, Any], *descriptors: int) -> bool:
        if self._closed:
            return False
        try:
            self._channel.send(FrameKind.STATUS, 0, head, until=time.monotonic() + _TO_SEND, descriptors=descriptors)
        except SrvError:
            self._loop.call_soon(self.close)
            return False
        return True

    def close(self) -> None:
        """Let the worker's leases go; it has ended, or does not read."""
        if self._closed:
            return
        self._closed = True
        self._loop.remove_reader(self._channel.fileno())
        self._channel.close()
        for number in [*self._leases]:
            self._release(number, outdated=False)
        self._supervisor.forget(self)


class ProcessSupervisor:
    """All groups of a server's model processes. It ends when it is told to, or its launcher is gone, and no worker is left."""

    def __init__(self, rendezvous: socket.socket, launcher: int) -> None:
        self._rendezvous = rendezvous
        self._launcher = launcher
        self._groups: list[Group] = []
        self._workers: set[ConnectedWorker] = set()
        #: Whether processes end as soon as no worker uses them.
        self.is_draining = False
        self._over = asyncio.Event()

    async def run(self) -> None:
        """Serve workers until the end."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._drain)
        self._rendezvous.settimeout(0.0)
        loop.add_reader(self._rendezvous.fileno(), self._greet)
        launcher = os.pidfd_open(self._launcher)
        loop.add_reader(launcher, self._launcher_ended, launcher)
        if os.getppid() != self._launcher:
            self._drain()
        await self._over.wait()

    def group_for(self, wanted: Wanted, held: Sequence[Group | None]) -> Group:
        """Return the newest group of a model that a worker may join, and else a new one.

        A worker that has the newest group loads the model again, and so gets a new one, which the workers that follow join.
        """
        for group in reversed(self._groups):
            if group.key == wanted.key and group.is_open and group.cohort >= wanted.cohort:
                if group in held:
                    break
                return group
        group = Group(wanted, program=program_of, over=self._forget_group)
        self._groups.append(group)
        group.begin()
        return group

    def keeps(self, group: Group) -> bool:
        """Return whether a group whose last worker has gone waits for another one: no newer one has taken its place."""
        newer = self._groups[self._groups.index(group) + 1 :] if group in self._groups else []
        return not self.is_draining and not any(each.key == group.key and each.is_open for each in newer)

    def forget(self, worker: ConnectedWorker) -> None:
        """Forget a worker that is gone."""
        self._workers.discard(worker)
        self._end_if_over()

    def _greet(self) -> None:
        """Take the connections of workers that came to the rendezvous."""
        while True:
            try:
                _, descriptors, _, _ = socket.recv_fds(self._rendezvous, 64, 4)
            except (BlockingIOError, InterruptedError):
                return
            for descriptor in descriptors:
                self._workers.add(ConnectedWorker(self, socket.socket(fileno=descriptor)))
            if not descriptors:  # nobody can come any more
                asyncio.get_running_loop().remove_reader(self._rendezvous.fileno())
                return

    def _launcher_ended(self, descriptor: int) -> None:
        asyncio.get_running_loop().remove_reader(descriptor)
        self._drain()

    def _drain(self) -> None:
        """End what no worker uses, now and from now on."""
        self.is_draining = True
        for group in [*self._groups]:
            if not group.is_used:
                group.stop()
        self._end_if_over()

    def _forget_group(self, group: Group) -> None:
        if group in self._groups:
            self._groups.remove(group)
        self._end_if_over()

    def _end_if_over(self) -> None:
        if self.is_draining and not self._groups and not self._workers:
            self._over.set()


def main(arguments: Sequence[str] | None = None) -> None:
    """Supervise until the launcher says otherwise, or is gone."""
    parser = argparse.ArgumentParser()
    parser.add_argument("rendezvous", type=int)
    parser.add_argument("launcher", type=int)
    parser.add_argument("level")
    parser.add_argument("form")
    given = parser.parse_args(arguments)
    for sig in (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):  # those of the terminal are the launcher's
        signal.signal(sig, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    logs.configure(level=given.level, form=given.form)
    asyncio.run(ProcessSupervisor(socket.socket(fileno=given.rendezvous), given.launcher).run())


if __name__ == "__main__":
    main()

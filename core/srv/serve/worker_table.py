"""The workers as the launcher knows them: what each does, who is wanted, who goes when a successor is ready."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import Any

import msgspec

from srv.processes.endings import ended_by


class WorkerEntry(msgspec.Struct):
    """One worker, from its fork to its end."""

    pid: int
    cohort: int
    #: Whether it takes clients before its models are loaded, because no other worker can: it answers liveness, and 503.
    is_front: bool = False
    #: Whether another worker had loaded before, so that a failure of this one does not end the server.
    is_successor: bool = False
    started: float = msgspec.field(default_factory=time.monotonic)
    doing: str = "starting"
    since: float = msgspec.field(default_factory=time.monotonic)
    #: Whether its models are loaded, so that it lets clients in as soon as the gate is open.
    loaded: bool = False
    ready_since: float | None = None
    models: str = ""
    #: Whether it serves until enough fresh ones are ready: its code is old, or it asked for a successor.
    stale: bool = False
    #: When it is killed, because it was told to go; None while it may stay.
    leave_by: float | None = None
    #: Why the launcher ended it, where it did.
    cause: str | None = None
    #: What keeps it from showing that it lives, in its own words; "" where it has said nothing.
    silence: str = ""
    #: When it was told to show where it hangs.
    shown: float | None = None
    #: When the log said last what it is doing.
    told: float | None = None

    @property
    def ready(self) -> bool:
        """Whether it serves its models."""
        return self.ready_since is not None

    @property
    def leaving(self) -> bool:
        """Whether it was told to go."""
        return self.leave_by is not None

    def does(self, what: str) -> None:
        """Note that it began something new."""
        self.doing, self.since, self.told = what, time.monotonic(), None

    def is_slow(self, now: float, *, first: float, again: float) -> bool:
        """Return whether the log should tell what it is doing: after `first` seconds, then every `again`."""
        if self.ready or self.leaving:
            return False
        return now - self.since >= first and now - (self.told or 0) >= again

    def progress(self, now: float) -> tuple[Any, ...]:
        """Return what it is doing, and from the second line on for how long."""
        return (self.doing, now - self.since) if self.told else (self.doing,)


class WorkerTable:
    """All workers, by pid."""

    def __init__(self) -> None:
        self._entries: dict[int, WorkerEntry] = {}

    def __iter__(self) -> Iterator[WorkerEntry]:
        return iter(list(self._entries.values()))

    def add(self, entry: WorkerEntry) -> None:
        """Add a worker that was forked."""
        self._entries[entry.pid] = entry

    def get(self, pid: int) -> WorkerEntry | None:
        """Return the worker with that pid, if it is one."""
        return self._entries.get(pid)

    def remove(self, pid: int) -> WorkerEntry | None:
        """Remove a worker that has ended."""
        return self._entries.pop(pid, None)

    def fresh(self) -> list[WorkerEntry]:
        """Return those who are meant to stay, the oldest first."""
        return [entry for entry in self._entries.values() if not entry.stale and not entry.leaving]

    def stale(self) -> list[WorkerEntry]:
        """Return those who serve until they are replaced."""
        return [entry for entry in self._entries.values() if entry.stale and not entry.leaving]

    def leaving(self) -> list[WorkerEntry]:
        """Return those who were told to go and are still there."""
        return [entry for entry in self._entries.values() if entry.leaving]

    def front(self) -> WorkerEntry | None:
        """Return the worker that takes clients and is not loaded yet, if there is one."""
        waiting = (
            entry for entry in self._entries.values() if entry.is_front and not entry.ready and not entry.leaving
        )
        return next(waiting, None)

    def complete(self, size: int) -> bool:
        """Return whether as many as are wanted are fresh and ready."""
        return sum(entry.ready for entry in self.fresh()) >= size


def how_it_ended(status: int) -> str:
    """Return how a process ended, by its status from `waitpid`, as it goes on after 'a worker'."""
    return ended_by(os.waitstatus_to_exitcode(status))

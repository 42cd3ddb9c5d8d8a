"""The workers as the master knows them: what each is doing, who is wanted, who goes when its successor is ready."""

from __future__ import annotations

import time
from collections.abc import Iterator

import msgspec


class Member(msgspec.Struct):
    """One worker, from its fork to its end."""

    pid: int
    cohort: int
    doing: str = "starting"
    since: float = msgspec.field(default_factory=time.monotonic)
    ready_since: float | None = None
    models: str = ""
    #: It serves until enough fresh ones are ready: its code is old, or it has answered its max_requests.
    stale: bool = False
    #: When it is killed, because it was told to go; None while it may stay.
    leave_by: float | None = None
    #: Why the master ended it, where it did.
    cause: str | None = None
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
        """It began something new."""
        self.doing, self.since, self.told = what, time.monotonic(), None


class Crew:
    """All members, by pid."""

    def __init__(self) -> None:
        self._members: dict[int, Member] = {}

    def __iter__(self) -> Iterator[Member]:
        return iter(list(self._members.values()))

    def join(self, member: Member) -> None:
        """A worker was forked."""
        self._members[member.pid] = member

    def get(self, pid: int) -> Member | None:
        """The member with that pid, if it is one."""
        return self._members.get(pid)

    def leave(self, pid: int) -> Member | None:
        """A worker is gone."""
        return self._members.pop(pid, None)

    def fresh(self) -> list[Member]:
        """Those who are meant to stay, the oldest first."""
        return [member for member in self._members.values() if not member.stale and not member.leaving]

    def stale(self) -> list[Member]:
        """Those who serve until they are replaced."""
        return [member for member in self._members.values() if member.stale and not member.leaving]

    def leaving(self) -> list[Member]:
        """Those who were told to go and are still there."""
        return [member for member in self._members.values() if member.leaving]

    def complete(self, size: int) -> bool:
        """Whether as many as are wanted are fresh and ready."""
        return sum(member.ready for member in self.fresh()) >= size


class Backoff:
    """How long to wait before a worker that died is replaced: not at all, then 1 s, 2 s, 4 s, up to 30 s."""

    def __init__(self, longest: float = 30.0, steady: float = 60.0) -> None:
        self._longest = longest
        self._steady = steady
        self._failures = 0
        self._not_before = 0.0

    def died(self, member: Member, now: float) -> float:
        """Count a death and tell the wait that follows; a worker that served for a while starts the count anew."""
        if member.ready_since is not None and now - member.ready_since > self._steady:
            self._failures = 0
        wait = 0.0 if self._failures == 0 else min(2.0 ** (self._failures - 1), self._longest)
        self._failures += 1
        self._not_before = now + wait
        return wait

    def wait(self, now: float) -> float:
        """Seconds until a worker may be started; 0 means now."""
        return max(0.0, self._not_before - now)

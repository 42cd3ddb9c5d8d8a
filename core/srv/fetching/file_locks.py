"""Locks on files, over all processes of a machine; the system takes them back from a process that dies."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable
from pathlib import Path

#: Seconds between two tries for a lock that another process has.
_PAUSE = 0.1


class FileLock:
    """A lock that was taken. It may be released more than once."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def release(self) -> None:
        """Give the lock back."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            fcntl.flock(descriptor, fcntl.LOCK_UN)  # because a child that a model forked has the descriptor too
            os.close(descriptor)


def try_lock(path: Path, *, shared: bool = False) -> FileLock | None:
    """Take the lock of a file, which is made if it is not there; None where another process has it, or the folder is gone."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        if _is_still(path, descriptor):
            return FileLock(descriptor)
    except BlockingIOError:
        pass
    except BaseException:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None


def lock(path: Path, *, until: float, waiting: Callable[[float], object]) -> FileLock | None:
    """Take the lock of a file in a folder that is made if it is gone, or None at that time of the monotonic clock.

    `waiting` is called with the seconds that have passed, again and again.
    """
    began = time.monotonic()
    while True:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        taken = try_lock(path)
        now = time.monotonic()
        if taken is not None or now >= until:
            return taken
        waiting(now - began)
        time.sleep(min(_PAUSE, until - now))


def _is_still(path: Path, descriptor: int) -> bool:
    """Return whether the file of that path is the one that was opened; another process may have removed it."""
    try:
        return os.path.samestat(path.stat(follow_symlinks=False), os.fstat(descriptor))
    except FileNotFoundError:
        return False

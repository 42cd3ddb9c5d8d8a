"""Memory and locks that all processes of a server share, made before the first fork: no path leads to them."""

from __future__ import annotations

import fcntl
import hashlib
import os
import struct
import tempfile
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

#: Where a document begins, and how many bytes it has.
_HEADER = struct.Struct("<QQ")
#: Seconds between two tries to lock: waiting for a lock of the system cannot be given a time.
_BETWEEN_TRIES = 0.01


class AnonymousFile:
    """A file without a path, in memory where the system has such files; closed when nobody refers to it any more."""

    def __init__(self, name: str) -> None:
        if hasattr(os, "memfd_create"):
            self._descriptor = os.memfd_create(name)  # the name is for those who debug
        else:
            with tempfile.TemporaryFile() as file:
                self._descriptor = os.dup(file.fileno())
        self.close = weakref.finalize(self, os.close, self._descriptor)

    def fileno(self) -> int:
        """Return its descriptor."""
        return self._descriptor


class SharedDocument:
    """A few bytes that are replaced as a whole, or where that fails, not at all. Who reads or writes holds a lock."""

    def __init__(self, name: str, content: bytes) -> None:
        self._file = AnonymousFile(name)
        self._write_at(0, _HEADER.pack(_HEADER.size, 0))
        self.write(content)

    def read(self) -> bytes:
        """Return what was written last."""
        return os.pread(self._file.fileno(), *reversed(self._place()))

    def write(self, content: bytes) -> None:
        """Replace the document. Raises OSError where there is no room for it; it stays as it was then."""
        start, size = self._place()
        room_before = start - _HEADER.size
        place = _HEADER.size if len(content) <= room_before else start + size
        self._write_at(place, content)
        self._write_at(0, _HEADER.pack(place, len(content)))

    def _place(self) -> tuple[int, int]:
        start, size = _HEADER.unpack(os.pread(self._file.fileno(), _HEADER.size, 0))
        return start, size

    def _write_at(self, place: int, content: bytes) -> None:
        written = 0
        while written < len(content):
            written += os.pwrite(self._file.fileno(), content[written:], place + written)


class SharedLocks:
    """Locks by name, over processes and threads. A process that dies lets go of its own."""

    def __init__(self) -> None:
        self._file = AnonymousFile("srv-locks")
        self._changed = threading.Condition()
        self._held: set[int] = set()

    @contextmanager
    def held(self, name: str, seconds: float) -> Iterator[Callable[[], object]]:
        """Hold a lock; calling what this gives lets it go before the end.

        Raises TimeoutError where another thread or process holds it for so long.
        """
        until = time.monotonic() + seconds
        # One byte of the file for each name: the system locks bytes, for a process as a whole.
        byte = int.from_bytes(hashlib.sha256(name.encode()).digest()[:7])
        with self._changed:
            if not self._changed.wait_for(lambda: byte not in self._held, seconds):
                raise TimeoutError
            self._held.add(byte)
        let_go = _once(partial(self._let_go, byte))
        try:
            while not self._locked(byte):
                if time.monotonic() > until:
                    raise TimeoutError
                time.sleep(_BETWEEN_TRIES)
            yield let_go
        finally:
            let_go()

    def _locked(self, byte: int) -> bool:
        try:
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, byte)
        except (BlockingIOError, PermissionError):
            return False
        return True

    def _let_go(self, byte: int) -> None:
        fcntl.lockf(self._file, fcntl.LOCK_UN, 1, byte)
        with self._changed:
            self._held.discard(byte)
            self._changed.notify_all()


def _once(call: Callable[[], object]) -> Callable[[], None]:
    """Return a function that makes the call the first time only."""
    called = threading.Lock()

    def call_once() -> None:
        if called.acquire(blocking=False):
            call()

    return call_once

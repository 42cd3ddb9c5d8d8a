"""Thread dumps: a process's faulthandler writes into memory, and whoever watches it logs what it wrote."""

from __future__ import annotations

import fcntl
import logging
import os

from srv.processes.shared_memory import AnonymousFile

log = logging.getLogger("srv.serve")


class ThreadDump:
    """Memory that a worker's faulthandler writes to, also while a thread holds the interpreter lock, and at a crash.

    Made before the fork. The launcher asks again and again; what has stopped growing between two looks is whole.
    """

    def __init__(self) -> None:
        self._file = AnonymousFile("srv-dump")
        # Each write goes to the end, also after what was there has been taken.
        fcntl.fcntl(self._file, fcntl.F_SETFL, fcntl.fcntl(self._file, fcntl.F_GETFL) | os.O_APPEND)
        self._size = 0

    def fileno(self) -> int:
        """Return the descriptor that faulthandler writes to."""
        return self._file.fileno()

    def is_growing(self) -> bool:
        """Return whether there is something that `take` will give later."""
        return self._size > 0

    def take(self, *, ended: bool = False) -> str:
        """Return what was written once it is whole, or now where the process has ended; "" where there is nothing."""
        size = os.fstat(self.fileno()).st_size
        if size == 0 or (size != self._size and not ended):
            self._size = size
            return ""
        text = os.pread(self.fileno(), size, 0).decode(errors="replace")
        os.ftruncate(self.fileno(), 0)
        self._size = 0
        return text

    def close(self) -> None:
        """Give the memory back."""
        self._file.close()


def log_dump(pid: int, dump: str, whose: str = "a worker") -> None:
    """Log where a process's threads are, as one record with the dump as its stack."""
    message = "Where the threads of %s (process %d) are:"
    log.handle(log.makeRecord(log.name, logging.WARNING, "", 0, message, (whose, pid), None, sinfo=dump.rstrip("\n")))

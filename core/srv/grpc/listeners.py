"""The sockets that grpcio has on a port, which grpcio gives no way to reach."""

from __future__ import annotations

import contextlib
import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

#: The descriptors of this process: Linux, and the others.
_DESCRIPTORS = (Path("/proc/self/fd"), Path("/dev/fd"))


def stop_listening(port: int) -> int:
    """Let nobody connect to that port of this process any more, and return how many sockets listened.

    A client that is told to go connects anew at once. While this worker listens it may be led back here, to be cut off
    in the next moment, and would then wait a second before it tries again.
    """
    closed = 0
    for copy in sockets_on(port):
        if is_listener(copy):
            copy.shutdown(socket.SHUT_RDWR)
            closed += 1
    return closed


def descriptors() -> list[int]:
    """Return the descriptors that this process has open; none where the system does not tell."""
    folder = next((folder for folder in _DESCRIPTORS if folder.is_dir()), None)
    names = os.listdir(folder) if folder is not None else ()  # noqa: PTH208  names, not paths
    return [int(name) for name in names if name.isdecimal()]


def sockets_on(port: int) -> Iterator[socket.socket]:
    """Yield a copy of each socket of this process on that port; the copy is closed when the next one is asked for."""
    for descriptor in descriptors():
        with contextlib.suppress(OSError):  # because it is gone meanwhile
            if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
                continue
            with socket.socket(fileno=os.dup(descriptor)) as copy:
                if copy.family in (socket.AF_INET, socket.AF_INET6) and copy.getsockname()[1] == port:
                    yield copy


def is_listener(sock: socket.socket) -> bool:
    """Return whether a socket takes connections."""
    return bool(sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))

"""Closes the listening sockets of grpcio, which has no way to close them before it tells its clients to go."""

from __future__ import annotations

import contextlib
import os
import socket
import stat
from pathlib import Path

#: The descriptors of this process: Linux, and the others.
_DESCRIPTORS = (Path("/proc/self/fd"), Path("/dev/fd"))


def stop_listening(port: int) -> int:
    """Let nobody connect to that port of this process any more, and give how many sockets listened.

    A client that is told to go connects anew at once. While this worker listens it may be led back here, to be cut off
    in the next moment, and would then wait a second before it tries again.
    """
    folder = next((folder for folder in _DESCRIPTORS if folder.is_dir()), None)
    if folder is None:
        return 0
    closed = 0
    for name in os.listdir(folder):  # noqa: PTH208  one that is gone meanwhile is no error
        with contextlib.suppress(OSError, ValueError):
            closed += _shut(int(name), port)
    return closed


def _shut(descriptor: int, port: int) -> bool:
    if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
        return False
    with socket.socket(fileno=os.dup(descriptor)) as copy:
        listens = copy.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
        if not listens or copy.family not in (socket.AF_INET, socket.AF_INET6) or copy.getsockname()[1] != port:
            return False
        copy.shutdown(socket.SHUT_RDWR)
        return True

"""Servers to be timed: started on a core of their own, waited for, measured with all their children."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

PATIENCE = 60.0
#: The server's core and the client's; the same one where there is no other.
CORES = sorted(os.sched_getaffinity(0))
SERVER_CORE, CLIENT_CORE = CORES[0], CORES[-1]


@dataclass(frozen=True)
class Server:
    """A server that listens."""

    name: str
    port: int
    pid: int

    def cpu(self) -> float:
        """Seconds of CPU that the process and its children have used."""
        return sum(spent(pid) for pid in tree(self.pid))


def tree(pid: int) -> Iterator[int]:
    """A process and all below it."""
    yield pid
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            yield from tree(int(child))


def spent(pid: int) -> float:
    """Seconds of CPU of one process: of its threads to the nanosecond."""
    threads = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((thread / "schedstat").read_text().split()[0]) for thread in threads) / 1e9


def free_port() -> int:
    """A port that is free at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def listens(port: int) -> bool:
    """Ready is whoever listens."""
    socket.create_connection(("127.0.0.1", port), timeout=5).close()
    return True


def says_ready(port: int) -> bool:
    """Ready is who says so."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/v2/health/ready")
        return connection.getresponse().status == HTTPStatus.OK
    finally:
        connection.close()


@contextmanager
def started(name: str, command: Sequence[str], port: int, ready: Callable[[int], bool] = listens) -> Iterator[Server]:
    """Run a command that serves on the port, on the server's core, until the block ends."""
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", PINNED, str(SERVER_CORE), *command],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            if not gets_ready(port, process, ready):
                log.seek(0)
                sys.exit(f"A server does not serve. It said:\n{log.read()}")
            yield Server(name, port, process.pid)
        finally:
            with suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
            process.wait(PATIENCE)


#: A new program on a core, with the pid of this one.
PINNED = "import os, sys; os.sched_setaffinity(0, {int(sys.argv[1])}); os.execv(sys.argv[2], sys.argv[2:])"


def gets_ready(port: int, process: subprocess.Popen[bytes], ready: Callable[[int], bool]) -> bool:
    """Whether the server says sooner or later that it is ready."""
    until = time.monotonic() + PATIENCE
    while process.poll() is None and time.monotonic() < until:
        with suppress(OSError, http.client.HTTPException):
            if ready(port):
                return True
        time.sleep(0.05)
    return False

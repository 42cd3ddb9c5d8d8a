"""Servers to be timed: started on a core of their own, waited for, measured with all their children."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

PATIENCE = 60.0
#: The server's core and the client's; the same one where there is no other.
CORES = sorted(os.sched_getaffinity(0))
SERVER_CORE, CLIENT_CORE = CORES[0], CORES[-1]


class DoesNotServe(Exception):
    """A server ended, or was not ready for too long; the last of what it said is the message."""


@dataclass(frozen=True)
class Server:
    """A server that is ready. `ready_after` is how many seconds that took."""

    name: str
    port: int
    pid: int
    grpc_port: int = 0
    ready_after: float = 0.0

    def cpu(self) -> float:
        """Seconds of CPU, user and system, that the process and all below it have used."""
        return sum(spent(pid) for pid in tree(self.pid))

    def pss(self) -> float:
        """Megabytes of memory of the process and all below it; what some share is counted once."""
        return sum(proportional(pid) for pid in tree(self.pid)) / 1e6

    def get(self, path: str) -> Any:
        """The JSON that it answers."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            connection.request("GET", path)
            return json.loads(connection.getresponse().read())
        finally:
            connection.close()


def tree(pid: int) -> Iterator[int]:
    """A process and all below it that live."""
    yield pid
    with suppress(FileNotFoundError, ProcessLookupError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                yield from tree(int(child))


def spent(pid: int) -> float:
    """Seconds of CPU of one process: of its threads, also those that have ended, and of children that have ended."""
    with suppress(OSError):
        clock = (~pid << 3) | 2  # what clock_getcpuclockid(3) makes; to the nanosecond, where /proc/PID/stat has ticks
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ended = sum(map(int, fields[13:15])) / os.sysconf("SC_CLK_TCK")
        return time.clock_gettime(clock) + ended
    return 0.0


def proportional(pid: int) -> int:
    """Bytes of memory of one process, its share of what it shares."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0


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


def has_loaded(models: Iterable[str]) -> Callable[[int], bool]:
    """Ready is who says of each model that it is; of whole servers not all peers can be believed."""

    def ready(port: int) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            for model in models:
                connection.request("GET", f"/v2/models/{model}/ready")
                answer = connection.getresponse()
                answer.read()
                if answer.status != HTTPStatus.OK:
                    return False
            return True
        finally:
            connection.close()

    return ready


@contextmanager
def started(
    name: str,
    command: Sequence[str],
    port: int,
    *,
    ready: Callable[[int], bool] = listens,
    grpc_port: int = 0,
    folder: Path | None = None,
    environ: Mapping[str, str] | None = None,
    cores: Iterable[int] = (SERVER_CORE,),
) -> Iterator[Server]:
    """Run a command that serves on the port, on the server's core, until the block ends."""
    with tempfile.TemporaryFile("w+") as log:
        began = time.perf_counter()
        process = subprocess.Popen(
            pinned(command, cores),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=folder,
            env={**clean(os.environ), **(environ or {})},
            start_new_session=True,
        )
        try:
            took = ready_after(port, process, ready, began)
            if took is None:
                log.seek(0)
                raise DoesNotServe(f"{name} does not serve. It said: {log.read()[-600:].strip()}")
            yield Server(name, port, process.pid, grpc_port, took)
        finally:
            end(process)


def pinned(command: Sequence[str], cores: Iterable[int]) -> list[str]:
    """The command, on these cores only."""
    return ["taskset", "-c", ",".join(map(str, cores)), *command]


def clean(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment without what would set up a server otherwise than the benchmark says."""
    return {name: value for name, value in environ.items() if not name.startswith(("SRV_", "MLSERVER_", "PYTHON"))}


def ready_after(
    port: int, process: subprocess.Popen[bytes], ready: Callable[[int], bool], began: float
) -> float | None:
    """How long after its beginning the server said that it is ready; None if it never did."""
    while process.poll() is None and time.perf_counter() < began + PATIENCE:
        with suppress(OSError, http.client.HTTPException):
            if ready(port):
                return time.perf_counter() - began
        time.sleep(0.005)
    return None


def end(process: subprocess.Popen[bytes]) -> None:
    """Ask it to go, and see that nothing of it is left."""
    with suppress(ProcessLookupError):
        process.send_signal(signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        process.wait(10)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()

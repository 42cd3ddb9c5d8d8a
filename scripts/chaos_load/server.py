"""The server under load: a real `srv start`, its workers, and what they hold in descriptors, threads and bytes."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from chaos_load.folder import MAX_INFLIGHT

PATIENCE = 60.0
JSON = {"Content-Type": "application/json"}
PRECISION = 1024


class DoesNotServe(Exception):
    """The server ended, or was not ready for too long; the last of what it said is the message."""


@dataclass(frozen=True)
class Held:
    """Descriptors and threads: the launcher's, and those of the worker that has most."""

    launcher_descriptors: int
    launcher_threads: int
    worker_descriptors: int
    worker_threads: int

    def grown(self, before: Held, allowed: Mapping[str, int]) -> list[str]:
        """Return what has grown by more than is allowed."""
        mine, theirs = asdict(self), asdict(before)
        return [
            f"{name.replace('_', ' ')} {theirs[name]} -> {mine[name]}"
            for name, most in allowed.items()
            if mine[name] > theirs[name] + most
        ]


class Server:
    """`srv start` in a process of its own, whose output is kept."""

    def __init__(self, python: Path, folder: Path, environ: Mapping[str, str]) -> None:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("SRV_")}
        self.process = subprocess.Popen(
            [python, "-m", "srv", "start", str(folder), "--http-port", "0", "--grpc-port", "0"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**kept, **environ},
            start_new_session=True,
        )
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.http_address = self._wait_for(r"listening on http://([^\s\"]+)")
        self.grpc_address = self._wait_for(r"listening on (\S+) for gRPC")
        self._wait_for(r"(serving on )")

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as stdout:
            self.lines.extend(line.rstrip("\n") for line in stdout)

    def _wait_for(self, pattern: str) -> str:
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline and self.process.poll() is None:
            for line in list(self.lines):
                if match := re.search(pattern, line):
                    return match[1]
            time.sleep(0.05)
        self.end()
        raise DoesNotServe("\n".join(self.lines[-20:]))

    def connect(self, timeout: float = PATIENCE) -> http.client.HTTPConnection:
        """Return a new connection, which opens at its first request."""
        host, _, port = self.http_address.rpartition(":")
        return http.client.HTTPConnection(host, int(port), timeout=timeout)

    def workers(self) -> list[int]:
        """Return the pids of the launcher's children."""
        pid = self.process.pid
        with suppress(FileNotFoundError):
            return sorted(int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
        return []

    def said(self, pattern: str) -> int:
        """Return how many lines of the output fit the pattern."""
        return sum(re.search(pattern, line) is not None for line in list(self.lines))

    # -- what it holds -------------------------------------------------------------------------------------------------

    def held(self) -> Held:
        """Return what the processes hold once that no longer changes."""
        return steady(self._held)

    def _held(self) -> Held:
        workers = [counted(pid) for pid in self.workers()]
        return Held(
            *counted(self.process.pid),
            max((files for files, _ in workers), default=0),
            max((threads for _, threads in workers), default=0),
        )

    def wait_whole(self, workers: int) -> float:
        """Wait until there are as many workers as there should be, and each of them answers; return how long."""
        began = time.monotonic()
        found: set[int | None] = set()
        while not (len(self.workers()) == workers and found >= set(self.workers())):
            if time.monotonic() > began + PATIENCE:
                raise DoesNotServe(f"Of the workers {self.workers()} only {found} answered for {PATIENCE:g} s.")
            with suppress(OSError, http.client.HTTPException), closing(self.connect(5)) as connection:
                found.add(worker_of(connection))
        return time.monotonic() - began

    def free_bytes(self) -> dict[int, int]:
        """Return for each worker the largest body that it still takes: `max_inflight_bytes` less what it holds."""
        return {pid: self._largest_body(pid) for pid in self.workers()}

    def _largest_body(self, pid: int) -> int:
        fits, beyond = 0, MAX_INFLIGHT
        with closing(Line(self, pid)) as line:
            while beyond - fits > PRECISION:
                middle = (fits + beyond) // 2
                if line.takes(middle):
                    fits = middle
                else:
                    beyond = middle
        return fits

    # -- its end -------------------------------------------------------------------------------------------------------

    def stop(self) -> int:
        """Ask it to end, and return its exit code."""
        with suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(PATIENCE)
        finally:
            self.end()
        self._reader.join(PATIENCE)
        return code

    def end(self) -> None:
        """Kill whatever is left of it."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


class Line:
    """A connection to one worker, opened again where the server closed it."""

    def __init__(self, server: Server, pid: int) -> None:
        self._server = server
        self._pid = pid
        self._connection: http.client.HTTPConnection | None = None

    def takes(self, size: int) -> bool:
        """Return whether the worker takes a body of that size now."""
        data = size // 8 * 8
        described = {"name": "x", "datatype": "FP64", "shape": [data // 8], "parameters": {"binary_data_size": data}}
        head = json.dumps({"inputs": [described]}).encode()
        headers = {"Content-Type": "application/octet-stream", "Inference-Header-Content-Length": str(len(head))}
        with suppress(OSError, http.client.HTTPException):  # it refused and closed before all of the body was sent
            connection = self._opened()
            connection.request("POST", "/v2/models/sink/infer", head + bytes(data), headers)
            answer = connection.getresponse()
            answer.read()
            if answer.status == http.HTTPStatus.OK:
                return True
        self.close()
        return False

    def _opened(self) -> http.client.HTTPConnection:
        """Connect until that worker answers."""
        deadline = time.monotonic() + PATIENCE
        while self._connection is None:
            connection = self._server.connect()
            if worker_of(connection) == self._pid:
                self._connection = connection
                return connection
            connection.close()
            if time.monotonic() > deadline:
                raise DoesNotServe(f"Worker {self._pid} answers no connection.")
        return self._connection

    def close(self) -> None:
        """Close the connection, if there is one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


@contextmanager
def served(python: Path, folder: Path, environ: Mapping[str, str]) -> Iterator[Server]:
    """A server that is ready; at the end nothing of it is left."""
    server = Server(python, folder, environ)
    try:
        yield server
    finally:
        server.end()


def worker_of(connection: http.client.HTTPConnection) -> int | None:
    """Return the pid of the worker that answers on a connection; None where it refuses."""
    body = json.dumps({"inputs": [{"name": "x", "datatype": "FP64", "shape": [1, 2], "data": [0, 0]}]})
    connection.request("POST", "/v2/models/double/infer", body, JSON)
    answer = connection.getresponse()
    document: dict[str, Any] = json.loads(answer.read())
    if answer.status != http.HTTPStatus.OK:
        return None
    return int(next(output["data"][0] for output in document["outputs"] if output["name"] == "pid"))


def counted(pid: int) -> tuple[int, int]:
    """Return how many descriptors and threads a process has; none where it is gone."""
    with suppress(FileNotFoundError, ProcessLookupError):
        return len(list(Path(f"/proc/{pid}/fd").iterdir())), len(list(Path(f"/proc/{pid}/task").iterdir()))
    return 0, 0


def steady(sample: Callable[[], Held], *, timeout: float = 15.0) -> Held:
    """Return the sample that came three times, or the last one."""
    deadline = time.monotonic() + timeout
    found = [sample()]
    while time.monotonic() < deadline and (len(found) < 4 or len(set(found[-4:])) > 1):
        time.sleep(0.25)
        found.append(sample())
    return found[-1]

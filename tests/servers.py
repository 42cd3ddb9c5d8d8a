"""Real servers for tests: start `srv start` on a folder, wait for what it says, ask it, stop it."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from textwrap import indent
from typing import Any, TypeVar
from urllib.parse import urlsplit

Waited = TypeVar("Waited")

#: Far beyond what anything here takes, so that a slow machine is not a failed test.
PATIENCE = 60.0


@dataclass(frozen=True)
class Answer:
    """What the server answered over HTTP."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body, which must be JSON."""
        return json.loads(self.body)


def write_model(
    folder: Path, name: str = "double", *, load: str = "return True", predict: str = "return 2 * x"
) -> Path:
    """Write a model into a folder of its own: bodies of `load(self)` and of `predict(self, x)`, of one line or more."""
    place = folder / name
    place.mkdir(parents=True, exist_ok=True)
    (place / "model-settings.json").write_text(json.dumps({"implementation": "models.Model"}))
    (place / "models.py").write_text(
        "import os, signal, sys, time\nfrom pathlib import Path\nimport numpy as np\nfrom srv import Runtime\n\n"
        f"class Model(Runtime):\n    def load(self):\n{indent(load, ' ' * 8)}\n\n"
        f"    def predict(self, x: np.ndarray) -> np.ndarray:\n{indent(predict, ' ' * 8)}\n"
    )
    return place


def numbers(*values: float) -> dict[str, Any]:
    """A request for a model of `write_model`."""
    return {"inputs": [{"name": "x", "datatype": "FP64", "shape": [len(values)], "data": list(values)}]}


class Server:
    """`srv start` in a process of its own. Its output is read by a thread, so that waiting for a line needs no sleep."""

    def __init__(
        self, folder: Path, *flags: str, environ: Mapping[str, str] | None = None, python: str | Path = sys.executable
    ) -> None:
        environment = {
            name: value
            for name, value in os.environ.items()
            # Which would cut lines in pieces, and lead away from the temporary files of a test.
            if not name.startswith("SRV_") and name not in ("PYTHONUNBUFFERED", "XDG_RUNTIME_DIR")
        }
        self.process = subprocess.Popen(
            [python, "-m", "srv", "start", str(folder), *free_ports(environ or {}), *flags],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**environment, **(environ or {})},
            start_new_session=True,
        )
        self.lines: list[str] = []
        self._more = threading.Condition()
        self._silent = False
        threading.Thread(target=self._read, daemon=True).start()

    # -- what it says --------------------------------------------------------------------------------------------------

    @property
    def output(self) -> str:
        """Everything printed so far, both streams."""
        return "\n".join(self.lines)

    def wait_for(self, pattern: str, *, times: int = 1, timeout: float = PATIENCE) -> re.Match[str]:
        """The match of the line that fits the pattern, the n-th of them. Fails where the server ends without one."""

        def found() -> re.Match[str] | None:
            matches = [match for line in self.lines if (match := re.search(pattern, line))]
            return matches[times - 1] if len(matches) >= times else None

        with self._more:
            self._more.wait_for(lambda: found() or self._silent, timeout)
        match = found()
        if match is None:
            raise AssertionError(f"The server did not say {pattern!r} ({times} times). It said:\n{self.output}")
        return match

    def url(self) -> str:
        """Where it listens; known before anything is loaded."""
        return self.wait_for(r'listening on ((?:http://|unix:)[^\s"]+)').group(1)

    def wait_ready(self) -> Server:
        """Wait until it has said that it serves."""
        self.wait_for("serving on ")
        return self

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as stdout:
            for line in stdout:
                with self._more:
                    self.lines.append(line.rstrip("\n"))
                    self._more.notify_all()
        with self._more:
            self._silent = True
            self._more.notify_all()

    # -- what it answers -----------------------------------------------------------------------------------------------

    def connect(self, *, timeout: float = PATIENCE) -> http.client.HTTPConnection:
        """A connection of one's own, for several requests."""
        address = urlsplit(self.url())
        assert address.hostname is not None
        return http.client.HTTPConnection(address.hostname, address.port, timeout=timeout)

    def get(self, path: str, *, timeout: float = PATIENCE) -> Answer:
        """One request on a connection of its own."""
        return self.request("GET", path, timeout=timeout)

    def post(self, path: str, document: Any, *, timeout: float = PATIENCE) -> Answer:
        """One request with a body of JSON."""
        return self.request("POST", path, json.dumps(document).encode(), timeout=timeout)

    def request(self, method: str, path: str, body: bytes | None = None, *, timeout: float = PATIENCE) -> Answer:
        """One request on a connection of its own."""
        connection = self.connect(timeout=timeout)
        try:
            return ask(connection, method, path, body)
        finally:
            connection.close()

    # -- its processes -------------------------------------------------------------------------------------------------

    def workers(self) -> list[int]:
        """The pids of its workers, the oldest first."""
        pid = self.process.pid
        try:
            return sorted(int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
        except FileNotFoundError:
            return []

    def workers_without(self, gone: list[int], count: int) -> list[int] | None:
        """Return the workers once there are so many and none of them is one of `gone`; else None. They are listed once."""
        workers = self.workers()
        return workers if len(workers) == count and not set(workers) & set(gone) else None

    def send(self, sig: int) -> None:
        """Send a signal to the launcher only."""
        self.process.send_signal(sig)

    def press_ctrl_c(self) -> None:
        """What a terminal does: SIGINT to every process of the server."""
        os.killpg(self.process.pid, signal.SIGINT)

    def wait(self, *, timeout: float = PATIENCE) -> int:
        """Wait until it has ended by itself, and give its exit code; all it printed is in `output` then."""
        code = self.process.wait(timeout)
        with self._more:
            self._more.wait_for(lambda: self._silent, timeout)
        return code

    def stop(self, sig: int = signal.SIGTERM, *, timeout: float = PATIENCE) -> int:
        """Ask it to end, and give its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(sig)
        return self.wait(timeout=timeout)

    def kill(self) -> None:
        """Kill all of it, workers included, so that it can clear nothing away."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def end(self) -> None:
        """End it at once, in whatever state it is; nothing of it is left."""
        with suppress(subprocess.TimeoutExpired):
            self.process.send_signal(signal.SIGQUIT)
            self.process.wait(5)
        self.kill()


def free_ports(environ: Mapping[str, str]) -> list[str]:
    """The flags that take a free port for each face; none for gRPC where the environment has its own word."""
    return ["--http-port", "0", *([] if "SRV_GRPC_PORT" in environ else ["--grpc-port", "0"])]


def ask(connection: http.client.HTTPConnection, method: str, path: str, body: bytes | None = None) -> Answer:
    """One request on a connection that stays open."""
    headers = {} if body is None else {"Content-Type": "application/json"}
    connection.request(method, path, body=body, headers=headers)
    response = connection.getresponse()
    return Answer(response.status, dict(response.getheaders()), response.read())


@contextmanager
def launched(
    folder: Path, *flags: str, environ: Mapping[str, str] | None = None, python: str | Path = sys.executable
) -> Iterator[Server]:
    """A server that was just started, on a free port; at the end nothing of it is left."""
    server = Server(folder, *flags, environ=environ, python=python)
    try:
        yield server
    finally:
        server.end()


@contextmanager
def running(
    folder: Path, *flags: str, environ: Mapping[str, str] | None = None, python: str | Path = sys.executable
) -> Iterator[Server]:
    """A server that is ready, on a free port; at the end nothing of it is left."""
    with launched(folder, *flags, environ=environ, python=python) as server:
        yield server.wait_ready()


def eventually(condition: Callable[[], Waited], *, timeout: float = PATIENCE) -> Waited:
    """What the condition gives as soon as that is true; for what no line of output tells."""
    deadline = time.monotonic() + timeout
    while not (outcome := condition()):
        if time.monotonic() > deadline:
            raise AssertionError("What was waited for did not come.")
        time.sleep(0.02)
    return outcome

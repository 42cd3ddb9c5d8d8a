"""Real servers for tests: `srv start` in a process of its own, asked over HTTP, stopped in order."""

from __future__ import annotations

import http.client
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from srv.runtime import Runtime
from srv.tensors import EMPTY
from srv.testing.answers import Answer
from srv.testing.client import Asker
from srv.testing.folders import NOTHING, Given, by_import, folder_of, import_root

#: Far beyond what anything should take, so that a slow machine is not a failed test.
PATIENCE = 60.0
_GRPC = re.compile(r"gRPC on ([^\s\",]+)")
_READY = re.compile(r"serving on (http://[^\s\"]+):(?:\s|$)")


class ServerProcess(Asker):
    """`srv start` on a folder, in a process of its own, on free ports.

    Its output is read by a thread, so that waiting for a line needs no sleep. `stop` ends it in order, `kill` at once.
    """

    def __init__(self, folder: Path, *flags: str, environ: Mapping[str, str] = EMPTY) -> None:
        self.folder = folder
        self._lines: list[str] = []
        self._more = threading.Condition()
        self._silent = False
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("SRV_")}
        self.process = subprocess.Popen(  # noqa: S603 - the program is this Python
            [sys.executable, "-P", "-m", "srv", "start", str(folder), *_free_ports(), *flags],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env={**inherited, "PYTHONUNBUFFERED": "1", **environ},
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, name="srv-testing-output", daemon=True)
        self._reader.start()

    @property
    def logs(self) -> str:
        """Everything it has printed so far, both streams."""
        with self._more:
            return "\n".join(self._lines)

    def wait_for(self, pattern: str | re.Pattern[str], *, timeout: float = PATIENCE) -> re.Match[str]:
        """The first line of output that fits the pattern. Raises AssertionError where the server ends without one."""
        match: re.Match[str] | None = None

        def found() -> bool:
            nonlocal match
            match = next((hit for line in self._lines if (hit := re.search(pattern, line))), None)
            return match is not None

        with self._more:
            self._more.wait_for(lambda: found() or self._silent, timeout)
        if match is None:
            state = "ended" if self._silent else f"went on for {timeout:g} seconds"
            raise AssertionError(f"The server {state} without saying {_shown(pattern)}. It said:\n{self.logs}")
        return match

    @property
    def url(self) -> str:
        """The address at which it serves, such as ``http://127.0.0.1:41234``; waits until it is ready."""
        return self.wait_for(_READY).group(1)

    @property
    def grpc_address(self) -> str:
        """The address at which it serves gRPC, such as ``127.0.0.1:41235``; waits until it is ready."""
        return self.wait_for(_GRPC).group(1)

    def request(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        *,
        headers: Mapping[str, str] = EMPTY,
        timeout: float = PATIENCE,
    ) -> Answer:
        """Send one request as it stands, on a connection of its own."""
        address = urlsplit(self.url)
        connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=timeout)
        try:
            connection.request(method, path, body=body, headers=dict(headers))
            response = connection.getresponse()
            names = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, names, response.read())
        finally:
            connection.close()

    def stop(self, *, timeout: float = PATIENCE) -> int:
        """Ask it to end, as a container's engine does, and give its exit code; its logs are whole then."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(timeout)
        self._reader.join(timeout)
        return code

    def kill(self) -> None:
        """Kill it with all of its workers."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self._reader.join(PATIENCE)

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as stdout:
            for line in stdout:
                with self._more:
                    self._lines.append(line.rstrip("\n"))
                    self._more.notify_all()
        with self._more:
            self._silent = True
            self._more.notify_all()


#: The name that srv.testing exports.
Server = ServerProcess


@contextmanager
def srv_server(
    *models: Given,
    settings: Mapping[str, Any] = NOTHING,
    flags: Sequence[str] = (),
    environ: Mapping[str, str] = EMPTY,
) -> Iterator[ServerProcess]:
    """A real server of these models, ready; at the end it is asked to stop and must do so with exit code 0.

    Each model is a folder, settings as in the file, a runtime's class, or what `srv.testing.model` gives; a class is
    imported in the server by its module's name, so it must stand at the top of a module. `settings` are the server's,
    as in settings.json. Raises AssertionError with all that the server said where it does not start or end as it
    should.
    """
    roots: list[str] = []

    def refer(runtime_class: type[Runtime]) -> str:
        name = by_import(runtime_class)
        root = import_root(runtime_class)
        if root is not None:
            roots.append(str(root))
        return name

    with ExitStack() as afterwards:
        folder = afterwards.enter_context(folder_of(models, settings, refer))
        server = ServerProcess(folder, *flags, environ={**_python_path(roots), **environ})
        afterwards.callback(server.kill)
        server.wait_for(_READY)
        yield server
        code = server.stop()
        if code != 0:
            raise AssertionError(f"The server ended with exit code {code} and not with 0. It said:\n{server.logs}")


def _python_path(roots: Sequence[str]) -> dict[str, str]:
    """Return the variables by which the server finds the classes' modules; none if it finds them anyway."""
    if not roots:
        return {}
    inherited = os.environ.get("PYTHONPATH")
    return {"PYTHONPATH": os.pathsep.join([*dict.fromkeys(roots), *([inherited] if inherited else [])])}


def _free_ports() -> list[str]:
    """Return the flags for free ports on both faces; the server says which it took."""
    return ["--http-port", "0", "--grpc-port", "0"]


def _shown(pattern: str | re.Pattern[str]) -> str:
    return repr(pattern if isinstance(pattern, str) else pattern.pattern)

"""What is done to the server while clients ask: models loaded again, workers killed, all workers replaced."""

from __future__ import annotations

import http.client
import json
import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import closing, suppress
from http import HTTPStatus
from pathlib import Path
from typing import Protocol, Self

from chaos_load.folder import write_edition
from chaos_load.records import Disturbances
from chaos_load.rest import Editions
from chaos_load.server import PATIENCE, Server

#: What the server says where a new worker did not come up.
FAILED = "The reload failed"


class Client(Protocol):
    """Something that asks the server, again and again."""

    name: str

    def once(self) -> None:
        """Ask once and record the outcome."""

    def close(self) -> None:
        """Let go of what is held."""


class Crowd:
    """Runs each client in a thread of its own, from the block's beginning to its end."""

    def __init__(self, clients: Iterable[Client]) -> None:
        self._stop = threading.Event()
        self.errors: list[str] = []
        self._threads = [threading.Thread(target=self._ask_on, args=(client,), name=client.name) for client in clients]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def wait(self, seconds: float) -> None:
        """Let the clients ask for so long."""
        time.sleep(seconds)

    def _ask_on(self, client: Client) -> None:
        try:
            while not self._stop.is_set():
                client.once()
        except Exception as error:  # noqa: BLE001 - a client that fails is a fault of the load, and is reported
            self.errors.append(f"{client.name}: {type(error).__name__}: {error}")
        finally:
            client.close()


class Disturber:
    """Loads, kills and replaces at intervals, each from a thread of its own, until the block ends."""

    def __init__(
        self, server: Server, folder: Path, editions: Editions, *, load: float, kill: float, hup: float
    ) -> None:
        self.done = Disturbances()
        self._server, self._folder, self._editions = server, folder, editions
        self._stop = threading.Event()
        steps: list[tuple[float, Callable[[], None]]] = [(load, self._load), (kill, self._kill), (hup, self._replace)]
        self._threads = [threading.Thread(target=self._repeat, args=each) for each in steps if each[0]]

    def __enter__(self) -> Disturbances:
        for thread in self._threads:
            thread.start()
        return self.done

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _repeat(self, seconds: float, step: Callable[[], None]) -> None:
        due = time.monotonic() + seconds
        while not self._stop.wait(max(0.0, due - time.monotonic())):
            step()
            due = max(due + seconds, time.monotonic())

    def _load(self) -> None:
        """Write an edition of the model and have it loaded everywhere."""
        number = self._editions.written + 1
        self._editions.written = number
        write_edition(self._folder, number)
        try:
            with closing(self._server.connect()) as connection:
                connection.request("POST", "/v2/repository/models/edited/load", b"{}")
                answer = connection.getresponse()
                body = answer.read()
        except (OSError, http.client.HTTPException) as error:
            self.done.loads[type(error).__name__] += 1
            return
        if answer.status == HTTPStatus.OK:
            self._editions.loaded = number
            self.done.loads["ok"] += 1
        else:
            with suppress(ValueError):
                body = json.loads(body)["error"]
            self.done.loads[f"{answer.status} {body!s:.100}"] += 1

    def _kill(self) -> None:
        """Kill a worker."""
        if workers := self._server.workers():
            pid = random.choice(workers)
            self.done.kills.append((time.monotonic(), pid))
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _replace(self) -> None:
        """Send SIGHUP to the launcher, and wait until the workers of before have gone or the reload has failed."""
        before, began = set(self._server.workers()), time.monotonic()
        failed = self._server.said(FAILED)
        place = len(self.done.replacements)
        self.done.replacements.append((began, began + PATIENCE))
        self._server.process.send_signal(signal.SIGHUP)
        while before & set(self._server.workers()) and time.monotonic() < began + PATIENCE:
            if self._server.said(FAILED) > failed:  # as it must where a new worker was killed while it started
                self.done.failed_replacements += 1
                break
            time.sleep(0.05)
        self.done.replacements[place] = (began, time.monotonic() + 1.0)

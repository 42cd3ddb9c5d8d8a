"""A worker's control socket: on each connection one line of JSON asked, one answered."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

Answer = Callable[[Any], Mapping[str, Any]]

#: Seconds for a question to arrive: only our own processes ask, and they ask at once.
_PATIENCE = 5.0


class ControlThread(threading.Thread):
    """Answers questions until it is closed or the process ends, each in a thread of its own: some take minutes."""

    def __init__(self, listening: socket.socket, answer: Answer) -> None:
        super().__init__(name="srv-control", daemon=True)
        self._listening = listening
        self._answer = answer

    def run(self) -> None:
        """Accept, and have it answered."""
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), name="srv-answer", daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError, ValueError), connection.makefile("rwb") as line:
            connection.settimeout(_PATIENCE)
            line.write(json.dumps(self._answer(json.loads(line.readline()))).encode() + b"\n")

    def close(self) -> None:
        """Answer nobody any more."""
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)  # wakes the thread, which closing does not
        self.join(_PATIENCE)
        self._listening.close()


def ask(path: Path, question: Mapping[str, Any], *, timeout: float = _PATIENCE) -> Any:
    """What the worker behind that socket answers. Raises OSError where nobody does, TimeoutError for one too slow."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(timeout)
        connection.connect(str(path))
        with connection.makefile("rwb") as line:
            line.write(json.dumps(question).encode() + b"\n")
            line.flush()
            answer = line.readline()
    if not answer:
        raise ConnectionResetError  # it has ended meanwhile
    return json.loads(answer)

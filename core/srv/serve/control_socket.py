"""Control socket of a worker: each connection carries one line of JSON as question and one as answer."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import struct
import threading
from collections.abc import Callable, Mapping
from typing import Any

Answer = Callable[[Any], Mapping[str, Any]]

#: Seconds for a question to arrive: only our own processes ask, and they ask at once.
_PATIENCE = 5.0
#: How Linux tells who has connected: process, user, group.
_PEER = struct.Struct("3i")


class ControlThread(threading.Thread):
    """Answers questions until it is closed, each in a thread of its own, because some take minutes."""

    def __init__(self, listening: socket.socket, answer: Answer) -> None:
        super().__init__(name="srv-control", daemon=True)
        self._listening = listening
        self._answer = answer

    def run(self) -> None:
        """Accept connections, and start a thread for each."""
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            if not _is_from_this_user(connection):
                connection.close()
                continue
            threading.Thread(target=self._serve, args=(connection,), name="srv-answer", daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError, ValueError), connection.makefile("rwb") as line:
            connection.settimeout(_PATIENCE)
            line.write(json.dumps(self._answer(json.loads(line.readline()))).encode() + b"\n")

    def close(self) -> None:
        """Stop answering."""
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)  # wakes the thread, which closing does not
        self.join(_PATIENCE)
        self._listening.close()


def _is_from_this_user(connection: socket.socket) -> bool:
    """Return whether whoever connected may ask: a socket without a file has no permissions of its own."""
    if not hasattr(socket, "SO_PEERCRED"):
        return True  # because the socket's folder lets nobody else in
    _, uid, _ = _PEER.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size))
    return uid in (0, os.geteuid())


def ask(address: str, question: Mapping[str, Any], *, timeout: float = _PATIENCE) -> Any:
    """Return the answer of the worker at an address. Raises OSError for no answer, TimeoutError for a slow one."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(timeout)
        connection.connect(address)
        with connection.makefile("rwb") as line:
            line.write(json.dumps(question).encode() + b"\n")
            line.flush()
            answer = line.readline()
    if not answer:
        raise ConnectionResetError  # it has ended meanwhile
    return json.loads(answer)

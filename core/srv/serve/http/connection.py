"""A client's connection: its socket, what came on it and is not used yet, what must still go out."""

from __future__ import annotations

import math
import socket
import ssl
from collections.abc import Sequence
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from srv.serve.http.chunked import Chunks
    from srv.serve.http.exchange import Exchange
    from srv.serve.http.parser import Head

Buffer = bytes | bytearray | memoryview

#: Raised where a socket has nothing to give or takes nothing more, plain or TLS.
WOULD_BLOCK = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)
#: The kernel takes at most this many buffers in one call.
MOST_BUFFERS = 1024


class Step(Enum):
    """What a connection does when no request of it is queued or running."""

    HANDSHAKE = 1
    HEAD = 2
    BODY = 3
    CHUNKS = 4
    WRITING = 5
    LINGERING = 6


class Connection:
    """Owned by the leader, except while `exchange` is set: then by the thread that runs the exchange."""

    __slots__ = (
        "alarm",
        "begun",
        "body",
        "chunks",
        "closing",
        "deadline",
        "descriptor",
        "exchange",
        "filled",
        "head",
        "held",
        "lost",
        "mask",
        "out",
        "peer",
        "received",
        "searched",
        "served",
        "server",
        "socket",
        "step",
        "tls",
    )

    def __init__(self, client: socket.socket, peer: tuple[str, str], server: tuple[str, str]) -> None:
        self.socket = client
        self.descriptor = client.fileno()
        self.peer = peer
        self.server = server
        self.tls = isinstance(client, ssl.SSLSocket)
        self.step = Step.HANDSHAKE if self.tls else Step.HEAD
        self.received = b""  # bytes that came and are not used yet
        self.searched = 0  # how many of them were searched for the head's end
        self.head: Head | None = None
        self.body: memoryview | None = None
        self.filled = 0
        self.chunks: Chunks | None = None
        self.held = 0  # bytes of the body that count as in flight
        self.exchange: Exchange | None = None
        self.out: list[Buffer] = []
        self.closing = False  # once all is out
        self.lost = False  # the client has left, or what went out cannot be completed
        self.mask = 0  # what the leader watches it for
        self.served = 0  # answers so far
        self.begun = 0  # which request has begun and has a deadline; the first one's began with the connection
        self.deadline = math.inf
        self.alarm = math.inf  # when the leader looks at the deadline next

    def receive(self, size: int) -> bytes | None:
        """Bytes that have come, none at the end, None if there is nothing yet."""
        try:
            return self.socket.recv(size)
        except WOULD_BLOCK:
            return None

    def receive_into(self, view: memoryview) -> int | None:
        """How many bytes came into the view, 0 at the end, None if there is nothing yet."""
        try:
            return self.socket.recv_into(view)
        except WOULD_BLOCK:
            return None

    def pending(self) -> bool:
        """Whether TLS holds bytes that the kernel no longer shows."""
        return isinstance(self.socket, ssl.SSLSocket) and bool(self.socket.pending())

    def send(self, parts: Sequence[Buffer]) -> bool:
        """Write what the socket takes now; True if that was all, else the rest is in `out`."""
        if len(parts) > 1 and not self.tls:
            return self._send_together(parts)
        for place, part in enumerate(parts):
            left = len(part)
            try:
                sent = self.socket.send(part)
                while sent < left and sent:
                    part = memoryview(part)[sent:]
                    left -= sent
                    sent = self.socket.send(part)
            except WOULD_BLOCK:
                self.out = [part, *parts[place + 1 :]]
                return False
        return True

    def flush(self) -> bool:
        """Write on from `out`; True once it is empty."""
        parts, self.out = self.out, []
        return self.send(parts)

    def _send_together(self, parts: Sequence[Buffer]) -> bool:
        while True:
            try:
                sent = self.socket.sendmsg(parts[:MOST_BUFFERS])
            except WOULD_BLOCK:
                self.out = list(parts)
                return False
            parts = rest_of(parts, sent)
            if not parts:
                return True

    def close(self) -> None:
        """Close the socket; what the kernel has not sent yet may be lost."""
        self.socket.close()

    def forget(self) -> None:
        """Let go of all that takes room."""
        self.received = b""
        self.head = self.body = self.chunks = None
        self.out = []


def rest_of(parts: Sequence[Buffer], sent: int) -> list[Buffer]:
    """What is left of the parts after so many bytes."""
    for place, part in enumerate(parts):
        if sent < len(part):
            return [memoryview(part)[sent:] if sent else part, *parts[place + 1 :]]
        sent -= len(part)
    return []

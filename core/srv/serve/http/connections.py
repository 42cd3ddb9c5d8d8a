"""Connections, and the exchange that each may have: what is known of them. What becomes of them is the scheduler's."""

from __future__ import annotations

import contextlib
import math
import socket
import ssl
from collections.abc import Callable, Sequence
from enum import Enum
from typing import Protocol

from srv.cancellation import Caller
from srv.planes.limits import Lease
from srv.serve.http.chunked import Chunks
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
    """A client's connection: its socket, what came on it and is not used yet, what must still go out.

    The thread that leads owns it while it has no `exchange`; while it has one, only the scheduler changes it.
    """

    __slots__ = (
        "alarm",
        "begun",
        "body",
        "body_until",
        "chunks",
        "closed",
        "closing",
        "deadline",
        "descriptor",
        "exchange",
        "filled",
        "head",
        "idle_since",
        "lease",
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
        self.body_until = math.inf  # when a body that has begun must be complete, or a response taken
        self.filled = 0
        self.chunks: Chunks | None = None
        self.lease: Lease | None = None  # of the bytes in flight: what came of a body, or what is in `out`
        self.exchange: Exchange | None = None
        self.out: list[Buffer] = []
        self.closing = False  # once all is out
        self.closed = False  # its descriptor may be another connection's by now
        self.lost = False  # the client has left, or what went out cannot be completed
        self.mask = 0  # what the leader watches it for
        self.idle_since = math.inf  # when it was let in or its last answer was out, on the monotonic clock
        self.served = 0  # answers so far
        self.begun = 0  # which request has begun and has a deadline; the first one's began with the connection
        self.deadline = math.inf
        self.alarm = math.inf  # when its timer fires, which may be before the deadline

    def receive(self, size: int) -> bytes | None:
        """Return bytes that have come, none at the end, None if there is nothing yet."""
        try:
            return self.socket.recv(size)
        except WOULD_BLOCK:
            return None

    def receive_into(self, view: memoryview) -> int | None:
        """Return how many bytes came into the view, 0 at the end, None if there is nothing yet."""
        try:
            return self.socket.recv_into(view)
        except WOULD_BLOCK:
            return None

    def pending(self) -> bool:
        """Return whether TLS holds bytes that the kernel no longer shows."""
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

    def leave_tls(self) -> None:
        """Go on without TLS, because the client does not speak it."""
        self.socket = socket.socket(fileno=self.socket.detach())
        self.socket.settimeout(0)
        self.tls = False
        self.searched = 0

    def shut_down(self) -> None:
        """Tell the client that nothing more will be sent; what it sends is dropped from now on."""
        self.received = b""
        with contextlib.suppress(OSError, ValueError):
            if isinstance(self.socket, ssl.SSLSocket):
                self.socket.unwrap()
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Close the socket and release all that takes memory; what the kernel has not sent yet may be lost."""
        self.closed = True
        self.socket.close()
        self.received = b""
        self.head = self.body = self.chunks = None
        self.out = []


def rest_of(parts: Sequence[Buffer], sent: int) -> list[Buffer]:
    """Return what is left of the parts after so many bytes."""
    for place, part in enumerate(parts):
        if sent < len(part):
            return [memoryview(part)[sent:] if sent else part, *parts[place + 1 :]]
        sent -= len(part)
    return []


class ExchangeState(Enum):
    """What becomes of an exchange. Only the scheduler changes it, under its guard."""

    RUNNING = 1  # complete; a thread runs it, or the thread that leads is about to
    WAITING = 2  # for a thread
    ANSWERING = 3  # the thread that runs it writes the response
    TAKEN = 4  # the thread that leads has written a response in place of the one that runs it


class Leading(Protocol):
    """What an exchange that was begun by the thread that leads may ask for."""

    def give_way(self, exchange: Exchange) -> object:
        """Have another thread lead, if the one that runs `exchange` leads."""

    def resume(self, exchange: Exchange, wake: Callable[[], object]) -> object:
        """Have the thread go on that runs `exchange` and waits; `wake` does that."""


class Exchange(Caller):
    """A complete request of a connection and its response; to whatever runs it, the client that waits for it."""

    __slots__ = (
        "answer", "body", "connection", "head", "leader", "lease", "lost_lead", "may_wait", "patience", "state", "thread",
        "thread_lease",
    )  # fmt: skip

    def __init__(
        self, connection: Connection, head: Head, body: memoryview, lease: Lease | None, received: float
    ) -> None:
        super().__init__(received)
        self.connection = connection
        self.head = head
        self.body = body
        self.lease = lease  # of the bytes in flight that its body takes, where that came in pieces
        #: Seconds that the model gives it, where that is not what the server gives.
        self.patience: float | None = None
        self.state = ExchangeState.RUNNING
        #: Whether its response may be sent together with others, later, by the thread that leads; then that response.
        self.may_wait = False
        self.answer: list[Buffer] = []
        #: Who had it run by the thread that leads, where that is so.
        self.leader: Leading | None = None
        #: Whether the lead was taken from the thread that runs it, which does not know yet; and which thread that is.
        self.lost_lead = False
        self.thread = 0
        #: That its thread counts as one that runs a request; None where the thread leads.
        self.thread_lease: Lease | None = None

    def until(self, request_timeout: float) -> float | None:
        """Return when the thread that leads answers in place of the one that runs this; None for a stream that has begun."""
        if self.state is not ExchangeState.RUNNING:
            return None
        return self.received + (request_timeout if self.patience is None else self.patience)

    def will_block(self) -> None:
        """Have another thread lead, if the one that runs this exchange leads."""
        if self.leader is not None:
            self.leader.give_way(self)

    def resume(self, wake: Callable[[], object]) -> None:
        """Have the thread that runs this exchange go on; where it led when it began, it leads again then, in its turn."""
        if self.leader is None:
            wake()
        else:
            self.leader.resume(self, wake)

"""The table of a worker's connections, and what is done to each: written to, settled, closed, its time limited."""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import TypeAlias

from srv.logs import safely
from srv.planes.limits import Lease, Limit
from srv.planes.request_ids import request_id
from srv.serve.http.connections import Connection, Exchange, Step
from srv.serve.http.errors import Refused, RequestTooSlow, body_of
from srv.serve.http.limits import Limits
from srv.serve.http.parser import Head
from srv.serve.http.poller import READ, WRITE, Poller
from srv.serve.http.refusal_log import AccessLog
from srv.serve.http.responses import ResponseHeads
from srv.serve.http.timers import Timers

#: Seconds for which bytes are read, and dropped, on a connection that was shut down for writing, because bytes that
#: nobody reads would reset the connection and take the response with them.
LINGER = 2.0
#: A connection that has asked for nothing may still do so for this long once the worker drains.
LAST_CHANCE = 1.0


#: Gives the headers that a refusal of the worker's has beside its own, by the request's Origin. Called under the guard.
HeadersOfRefusal: TypeAlias = Callable[[str | None], Sequence[tuple[str, str]]]


def _none(_: str | None) -> Sequence[tuple[str, str]]:
    return ()


class ConnectionTable:
    """All connections by descriptor. The scheduler calls it under its guard; `write_log` alone is called without the guard."""

    def __init__(
        self,
        limits: Limits,
        *,
        poller: Poller,
        heads: ResponseHeads,
        access_log: AccessLog,
        in_flight: Limit,
        headers_of_refusal: HeadersOfRefusal | None = None,
    ) -> None:
        self.connections: dict[int, Connection] = {}
        self.returned: deque[Connection] = deque()  # settled with more to read than the kernel shows
        self.timers = Timers()
        self.draining = False  # connections end with their present response
        self.poller = poller
        self._limits = limits
        self._heads = heads
        self._access_log = access_log
        self._in_flight = in_flight
        self._headers_of_refusal = headers_of_refusal or _none
        self._log_calls: deque[Callable[[], object]] = deque()  # to be made without the guard

    def adopt(self, connection: Connection) -> None:
        """Take in a new connection."""
        now = time.monotonic()
        self.connections[connection.descriptor] = connection
        connection.idle_since = now
        self.poller.look_at(connection, READ)
        self.timers.set(connection, now + (LAST_CHANCE if self.draining else self._limits.header_timeout))

    def settle(self, connection: Connection) -> None:
        """Decide how a connection goes on after something was written on it."""
        if connection.lost:
            self.close(connection)
            return
        now = time.monotonic()
        mask = READ
        if connection.out:
            self._count_in(connection)
            connection.step = Step.WRITING
            mask = WRITE
            connection.body_until = now + self._limits.body_total_timeout
            when = min(now + self._limits.body_timeout, connection.body_until)
        elif connection.closing:
            connection.step = Step.LINGERING
            connection.shut_down()
            when = now + LINGER
        else:
            connection.step = Step.HEAD
            connection.idle_since = now
            when = now + (LAST_CHANCE if self.draining else self._limits.keep_alive)
            if connection.received or (connection.tls and connection.pending()):
                self.returned.append(connection)
                self.poller.wake()
        if connection.mask != mask:
            self.poller.look_at(connection, mask)
        if self.timers.set(connection, when):
            self.poller.wake()

    def close(self, connection: Connection) -> None:
        """Close a connection and forget it: the one place where that is done."""
        if not connection.closed:
            del self.connections[connection.descriptor]
            self.timers.forget(connection)
            self._release(connection)
            with contextlib.suppress(OSError):
                self.poller.look_at(connection, 0)
            connection.close()
            self.poller.wake()

    def sent_more(self, connection: Connection, left: int) -> None:
        """Settle a connection on which something was sent late, unless there is more, of which so much was left before."""
        if not connection.out:
            self._release(connection)
            self.settle(connection)
        elif sum(map(len, connection.out)) < left:
            self.timers.set(connection, min(time.monotonic() + self._limits.body_timeout, connection.body_until))

    def refuse(self, connection: Connection, refused: Refused) -> None:
        """Answer what never became an exchange, and settle the connection."""
        head, connection.head = connection.head, None
        connection.body = connection.chunks = None
        connection.received = b""
        self._release(connection)
        self._write_refusal(connection, refused, head, time.monotonic())
        self.settle(connection)

    def refuse_exchange(self, exchange: Exchange, refused: Refused) -> None:
        """Write a refusal as the response of an exchange."""
        self._write_refusal(exchange.connection, refused, exchange.head, exchange.received, model=exchange.model)

    def answer(self, exchange: Exchange, status: int, line: str, body: bytes) -> None:
        """Write JSON that the worker knows itself as the response of an exchange."""
        head = exchange.head
        identity = request_id(head.fields.get("HTTP_X_REQUEST_ID"))
        closing = self.draining or not head.keep_alive
        self._write(
            exchange.connection, self._heads.own(line, (), body, identity=identity, head=head, closing=closing), closing
        )
        self._log_calls.append(lambda: self._access_log.answered(head, status, identity, exchange.received))

    def expire(self, connection: Connection, now: float) -> None:
        """End a connection without an exchange, whose time is up."""
        limits = self._limits
        if connection.step is Step.HEAD and connection.received:
            self.refuse(connection, RequestTooSlow("head", "header_timeout", limits.header_timeout))
        elif connection.step in (Step.BODY, Step.CHUNKS):
            setting = "body_total_timeout" if now >= connection.body_until else "body_timeout"
            self.refuse(connection, RequestTooSlow("body", setting, getattr(limits, setting)))
        else:
            if connection.step is Step.HANDSHAKE and connection.searched:
                self.handshake_failed(connection, "it did not end within header_timeout")
            self.close(connection)

    def drain(self, now: float) -> None:
        """Close every connection soon that asks for nothing."""
        for connection in self.connections.values():
            if connection.exchange is None and connection.step is Step.HEAD and not connection.received:
                self.timers.set(connection, now + LAST_CHANCE)

    def handshake_failed(self, connection: Connection, reason: str) -> None:
        """Log that the TLS handshake with a client failed."""
        self._log_calls.append(lambda: self._access_log.handshake_failed(connection.peer[0], reason))

    def write_log(self) -> None:
        """Write the log lines that transitions have left; whatever a handler raises is dropped."""
        with contextlib.suppress(IndexError):
            while True:
                safely(self._log_calls.popleft())

    def _write_refusal(
        self, connection: Connection, refused: Refused, head: Head | None, since: float, *, model: str | None = None
    ) -> None:
        identity = request_id(head.fields.get("HTTP_X_REQUEST_ID") if head else None)
        closing = self.draining or refused.closes or head is None or not head.keep_alive
        origin = head.fields.get("HTTP_ORIGIN") if head else refused.origin
        headers = (*refused.headers, *self._headers_of_refusal(origin))
        response = self._heads.own(
            refused.line, headers, body_of(refused), identity=identity, head=head, closing=closing
        )
        self._write(connection, response, closing)
        self._log_calls.append(lambda: self._access_log.refused(refused, head, identity, since, model=model))

    def _write(self, connection: Connection, response: bytes, closing: bool) -> None:  # noqa: FBT001
        connection.closing = closing
        try:
            connection.send([response])
        except OSError:
            connection.lost = True

    def _count_in(self, connection: Connection) -> None:
        """Count a response that the client does not take as in flight, because it takes memory as a body does."""
        if connection.lease is None:
            connection.lease = Lease(self._in_flight)
            connection.lease.grow(sum(map(len, connection.out)))

    def _release(self, connection: Connection) -> None:
        lease, connection.lease = connection.lease, None
        if lease is not None:
            lease.release()

"""Whose a connection is, and what becomes of it once an exchange or a refusal is over."""

from __future__ import annotations

import contextlib
import socket
import ssl
import time
from collections import deque
from http import HTTPStatus

from srv.inflight import InFlight
from srv.serve.http.answers import Headers, Heads, connection_line
from srv.serve.http.connection import Connection, Step
from srv.serve.http.deadlines import Deadlines
from srv.serve.http.exchange import Exchange, Switches
from srv.serve.http.followers import Followers
from srv.serve.http.journal import Journal
from srv.serve.http.limits import Limits
from srv.serve.http.parser import Head
from srv.serve.http.refusals import CallerLeft, Refused, body_of, request_id
from srv.serve.http.watch import LEFT, READ, WRITE, Watch

#: A closed connection's client is listened to for this long, because bytes that nobody reads would reset the
#: connection and take the answer with them.
LINGER = 2.0
#: A connection that has asked for nothing may still do so for this long once the worker drains.
LAST_CHANCE = 1.0


class Custody:
    """All connections. A connection is the leader's, or of the thread that runs its exchange and hands it back."""

    def __init__(
        self,
        limits: Limits,
        *,
        followers: Followers,
        watch: Watch,
        heads: Heads,
        journal: Journal,
        in_flight: InFlight,
        switches: Switches,
    ) -> None:
        self.connections: dict[int, Connection] = {}
        self.returned: deque[Connection] = deque()  # handed back with more to read than the kernel shows
        self.deadlines = Deadlines()
        self._limits = limits
        self._followers = followers
        self._watch = watch
        self._heads = heads
        self._journal = journal
        self._in_flight = in_flight
        self._switches = switches

    def adopt(self, connection: Connection) -> None:
        """Take in a new connection."""
        self.connections[connection.descriptor] = connection
        self._watch.look_at(connection, READ)
        chance = LAST_CHANCE if self._switches.draining else self._limits.header_timeout
        self.set_deadline(connection, time.monotonic() + chance)

    def set_deadline(self, connection: Connection, when: float) -> None:
        """When the leader loses patience with a connection."""
        with self._followers.guard:
            self.deadlines.set(connection, when)

    def patience(self, exchange: Exchange) -> float:
        """How many seconds an exchange may take."""
        return self._limits.patience(exchange.head.path) if exchange.patience is None else exchange.patience

    def expect(self, exchange: Exchange, seconds: float) -> None:
        """Give an exchange so many seconds from when it was complete; called by the thread that runs it."""
        exchange.patience = seconds
        with self._followers.guard:
            if exchange.connection.exchange is exchange and self.deadlines.set(
                exchange.connection, exchange.received + seconds
            ):
                self._watch.ring()

    def set_aside(self, connection: Connection) -> None:
        """Read no more of a connection whose exchange runs still: what comes on it can wait, unless it is the end."""
        with self._followers.guard:
            if connection.exchange is not None:
                self._watch.look_at(connection, LEFT)

    def leave(self, connection: Connection) -> None:
        """The client has closed its side while its exchange is there: what waits never runs, what runs is told."""
        with self._followers.guard:
            exchange = connection.exchange
            if exchange is None:
                return
            self._watch.look_at(connection, 0)
            waits = exchange in self._followers.waiting
        exchange.leave()
        if waits:
            self.overtake(exchange, CallerLeft())

    def hand_back(self, exchange: Exchange) -> None:
        """An exchange is over, or nobody waits for it any more; called by the thread that ran it."""
        if exchange.held:
            held, exchange.held = exchange.held, 0
            self._in_flight.give_back(held)
        connection = exchange.connection
        with self._followers.guard:
            if connection.exchange is exchange:
                connection.exchange = None
                connection.served += 1
                self._settle(connection)

    def refuse_exchange(self, exchange: Exchange, refused: Refused) -> None:
        """Answer an exchange with a refusal and hand it back; what had begun to be answered breaks off."""
        connection = exchange.connection
        if self._followers.may_answer(exchange):
            self._write_refusal(connection, refused, exchange.head, exchange.received)
        elif connection.exchange is exchange:
            connection.lost = True
        self.hand_back(exchange)

    def overtake(self, exchange: Exchange, refused: Refused) -> None:
        """Answer in place of the thread that has, or would have, the exchange; nothing if that answers already."""
        connection = exchange.connection
        if not self._followers.take_over(exchange):
            return
        self._write_refusal(connection, refused, exchange.head, exchange.received)
        with self._followers.guard:
            connection.exchange = None
            if self._followers.withdraw(exchange):
                self._in_flight.give_back(exchange.held)
            self._settle(connection)

    def refuse(self, connection: Connection, refused: Refused) -> None:
        """Answer what never became an exchange."""
        head, connection.head = connection.head, None
        connection.body = connection.chunks = None
        connection.received = b""
        self._release(connection)
        self._write_refusal(connection, refused, head, time.monotonic())
        with self._followers.guard:
            self._settle(connection)

    def settle(self, connection: Connection) -> None:
        """Decide how a connection of the leader's goes on after something was written on it."""
        with self._followers.guard:
            self._settle(connection)

    def discard(self, connection: Connection) -> None:
        """Close a connection and forget it."""
        if self.connections.get(connection.descriptor) is connection:
            del self.connections[connection.descriptor]
            self._release(connection)
            with contextlib.suppress(OSError):
                self._watch.look_at(connection, 0)
            connection.close()
            connection.forget()  # because its alarm, which may ring much later, still knows it
            self._watch.ring()

    def answer(self, exchange: Exchange, status: HTTPStatus, body: bytes) -> None:
        """Answer an exchange with JSON that the worker knows itself."""
        head = exchange.head
        identity = request_id(head.fields)
        line = f"{status.value} {status.phrase}"
        self._write(exchange.connection, line, (), body, identity=identity, head=head, closing=not head.keep_alive)
        self.hand_back(exchange)
        self._journal.answered(head, status, identity, exchange.received)

    def _write_refusal(self, connection: Connection, refused: Refused, head: Head | None, since: float) -> None:
        identity = request_id(head.fields if head else {})
        closing = refused.closes or head is None or not head.keep_alive
        body = body_of(refused)
        self._write(connection, refused.line, refused.headers, body, identity=identity, head=head, closing=closing)
        self._journal.refused(refused, head, identity, since)

    def _write(
        self,
        connection: Connection,
        line: str,
        headers: Headers,
        body: bytes,
        *,
        identity: str,
        head: Head | None,
        closing: bool,
    ) -> None:
        closing = closing or self._switches.draining
        lines = self._heads.lines(line)
        lines.append(f"Content-Type: application/json\r\nX-Request-Id: {identity}\r\n")
        lines.extend(f"{name}: {value}\r\n" for name, value in headers)
        lines.append(f"{connection_line(head, closing=closing)}Content-Length: {len(body)}\r\n\r\n")
        whole = "".join(lines).encode("ascii")
        connection.closing = closing
        try:
            connection.send([whole if head is not None and head.method == "HEAD" else whole + body])
        except OSError:
            connection.lost = True

    def _settle(self, connection: Connection) -> None:
        """The caller has the guard."""
        if connection.lost:
            self.discard(connection)
            return
        now = time.monotonic()
        mask = READ
        if connection.out:
            self._count_in(connection)
            connection.step = Step.WRITING
            mask = WRITE
            when = now + self._limits.body_timeout
        elif connection.closing:
            self._say_goodbye(connection)
            when = now + LINGER
        else:
            connection.step = Step.HEAD
            when = now + (LAST_CHANCE if self._switches.draining else self._limits.keep_alive)
            if connection.received or (connection.tls and connection.pending()):
                self.returned.append(connection)
                self._watch.ring()
        if connection.mask != mask:
            self._watch.look_at(connection, mask)
        if self.deadlines.set(connection, when):
            self._watch.ring()

    def _say_goodbye(self, connection: Connection) -> None:
        connection.step = Step.LINGERING
        connection.received = b""
        with contextlib.suppress(OSError, ValueError):
            if isinstance(connection.socket, ssl.SSLSocket):
                connection.socket.unwrap()
        with contextlib.suppress(OSError):
            connection.socket.shutdown(socket.SHUT_WR)

    def _count_in(self, connection: Connection) -> None:
        """An answer that the client does not take holds memory as a body does."""
        if not connection.held:
            connection.held = sum(map(len, connection.out))
            self._in_flight.take(connection.held)

    def _release(self, connection: Connection) -> None:
        held, connection.held = connection.held, 0
        self._in_flight.give_back(held)

    def flush(self, connection: Connection) -> None:
        """Write on what a client was too slow for; raises OSError if it has left."""
        left = sum(map(len, connection.out))
        if connection.flush():
            self._release(connection)
            self.settle(connection)
        elif sum(map(len, connection.out)) < left:
            self.set_deadline(connection, time.monotonic() + self._limits.body_timeout)

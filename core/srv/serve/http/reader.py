"""Turns what comes on a connection into exchanges: heads, bodies, chunks, and what is refused on the way."""

from __future__ import annotations

import re
import time

from srv.planes.limits import Lease, Limit
from srv.serve.http.before_body import HeadCheck
from srv.serve.http.chunked import Chunks
from srv.serve.http.connections import Connection, Exchange, Step
from srv.serve.http.errors import BodyOutOfMemory, InflightOverflow
from srv.serve.http.limits import MEBIBYTE, Limits
from srv.serve.http.malloc import room_for
from srv.serve.http.parse_errors import diagnose, early_fault
from srv.serve.http.parser import END, HeadReader

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
CARRIAGE_RETURN = 13
EMPTY_LINES = re.compile(rb"(?:\r\n)+")
#: What is read at once where it is not known what comes.
PIECE = 65536
#: How often a body is read on before the others get their turn; each time at most a mebibyte.
TURNS = 8


class ConnectionReader:
    """Reads connections for the thread that leads."""

    def __init__(self, limits: Limits, in_flight: Limit, check: HeadCheck) -> None:
        self._limits = limits
        self._check = check
        self._in_flight = in_flight
        self._reader = HeadReader(limits)

    def take(self, connection: Connection) -> Exchange | None:
        """Read what has come; an exchange once a request is complete.

        Raises Refused for what is answered at once, OSError where the client has left.
        """
        if connection.step is Step.BODY:
            return self._more_body(connection)
        data = connection.receive(PIECE)
        if data is None:
            return None
        if not data:
            raise ConnectionResetError
        if connection.step is Step.HEAD and not connection.received:
            return self._head(connection, data)
        return self.advance(connection, data)

    def advance(self, connection: Connection, data: bytes) -> Exchange | None:
        """Go on with bytes that were received already."""
        if connection.step is Step.CHUNKS:
            return self._more_chunks(connection, data)
        if connection.received:
            data = connection.received + data
            connection.received = b""
        return self._head(connection, data)

    def _head(self, connection: Connection, data: bytes) -> Exchange | None:
        if data[0] == CARRIAGE_RETURN and (empty := EMPTY_LINES.match(data)):
            data = data[empty.end() :]
            connection.searched = 0
            if not data:
                return None
        searched = connection.searched
        if searched and data.find(END, max(0, searched - 3)) < 0:
            self._incomplete(connection, data)
            return None
        head = self._reader.read(data)
        if head is None:
            if END in data:
                raise diagnose(data, self._limits)
            self._incomplete(connection, data)
            return None
        connection.searched = 0
        size = head.size
        if head.chunked:
            refused = self._check.refused(connection, head)
            if refused is not None:
                return refused
            connection.head = head
            connection.chunks = Chunks(self._limits)
            connection.step = Step.CHUNKS
            connection.body_until = time.monotonic() + self._limits.body_total_timeout
            if head.expects and len(data) == size:
                self._invite(connection)
            return self._more_chunks(connection, data[size:])
        end = size + head.length
        if end <= len(data):
            connection.received = data[end:]
            return Exchange(connection, head, memoryview(data)[size:end], None, time.monotonic())
        refused = self._check.refused(connection, head)
        if refused is not None:
            return refused
        connection.head = head
        self._start_body(connection, data)
        return None

    def _incomplete(self, connection: Connection, data: bytes) -> None:
        fault = early_fault(data, self._limits)
        if fault is not None:
            raise fault
        connection.received = data
        connection.searched = len(data)

    def _start_body(self, connection: Connection, data: bytes) -> None:
        head = connection.head
        assert head is not None
        if not self._in_flight.fits(head.length):
            raise InflightOverflow(self._in_flight.most)
        try:
            body = room_for(head.length)
        except MemoryError:
            raise BodyOutOfMemory from None
        have = len(data) - head.size
        body[:have] = memoryview(data)[head.size :]
        connection.body = body
        connection.filled = have
        connection.step = Step.BODY
        connection.body_until = time.monotonic() + self._limits.body_total_timeout
        self._hold(connection, have)
        if head.expects and not have:
            self._invite(connection)

    def _invite(self, connection: Connection) -> None:
        if not connection.send([CONTINUE]):
            raise ConnectionResetError  # so many answers not read that these bytes no longer fit

    def _more_body(self, connection: Connection) -> Exchange | None:
        body = connection.body
        assert body is not None
        length = len(body)
        for _ in range(TURNS):
            filled = connection.filled
            count = connection.receive_into(body[filled : filled + MEBIBYTE])
            if count is None:
                return None
            if not count:
                raise ConnectionResetError
            connection.filled = filled = filled + count
            self._hold(connection, count)
            if filled == length:
                connection.body = None
                return self._complete(connection, body)
        return None

    def _more_chunks(self, connection: Connection, data: bytes) -> Exchange | None:
        chunks = connection.chunks
        assert chunks is not None
        before = len(chunks.body)
        try:
            rest = chunks.feed(data)
        except MemoryError:
            raise BodyOutOfMemory from None
        self._hold(connection, len(chunks.body) - before)
        if rest is None:
            return None
        connection.received = rest
        connection.chunks = None
        return self._complete(connection, memoryview(chunks.body))

    def _complete(self, connection: Connection, body: memoryview) -> Exchange:
        head = connection.head
        assert head is not None
        connection.head = None
        connection.step = Step.HEAD
        lease, connection.lease = connection.lease, None
        return Exchange(connection, head, body.toreadonly(), lease, time.monotonic())

    def _hold(self, connection: Connection, count: int) -> None:
        if connection.lease is None:
            connection.lease = Lease(self._in_flight)
        if not connection.lease.grow(count):
            raise InflightOverflow(self._in_flight.most)

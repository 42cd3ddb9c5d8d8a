"""Answers written as they are produced, by the thread that produces them."""

from __future__ import annotations

import select
from collections.abc import Iterator, Sequence

from srv.serve.http.connections import Buffer, Connection


class ClientGone(ConnectionError):
    """The client left, or took nothing for too long."""


def send_all(connection: Connection, parts: Sequence[Buffer], patience: float) -> None:
    """Write all of it, waiting at most so many seconds for the client to take some. Raises OSError if it left."""
    done = connection.send(parts)
    while not done:
        writable = select.poll()
        writable.register(connection.descriptor, select.POLLOUT)
        if not writable.poll(patience * 1000):
            raise ClientGone("the client takes nothing")
        done = connection.flush()


def chunk(piece: Buffer) -> list[Buffer]:
    """Return a piece of a body as a chunk."""
    size = b"%x\r\n" % len(piece)
    return [b"".join((size, piece, b"\r\n"))] if len(piece) < 16384 else [size, piece, b"\r\n"]


class StreamWriter:
    """Writes one answer in pieces; `sent` counts the bytes of its body."""

    def __init__(self, connection: Connection, head: bytes, *, chunked: bool, patience: float) -> None:
        self.sent = 0
        self._connection = connection
        self._before: list[Buffer] = [head]
        self._chunked = chunked
        self._patience = patience

    def write(self, pieces: Iterator[Buffer]) -> None:
        """Write the head and every piece as it comes. Raises OSError if the client left."""
        for piece in pieces:
            self.sent += len(piece)
            parts = chunk(piece) if self._chunked else [piece]
            send_all(self._connection, [*self._before, *parts], self._patience)
            self._before = []
        last = b"0\r\n\r\n" if self._chunked else b""
        rest = b"".join((*self._before, last))
        if rest:
            send_all(self._connection, [rest], self._patience)


def ahead(pieces: Iterator[Buffer]) -> Iterator[Buffer]:
    """Yield the same pieces, the first of them fetched now: what raises before it can still be answered with a status."""
    first = next(pieces, None)

    def with_first() -> Iterator[Buffer]:
        if first is not None:
            yield first
            yield from pieces

    return with_first()

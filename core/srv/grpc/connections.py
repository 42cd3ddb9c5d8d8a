"""Connections of gRPC clients: so many at most; short of that, those that ask for nothing are closed.

grpcio's core turns a client away at its limit, whatever the others do. So some room is kept below the limit: there the
connections without a call are closed, the longest idle first. Their clients connect anew when they have something to ask.
"""

from __future__ import annotations

import logging
import resource
import socket
import struct
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from typing import NamedTuple

from srv.grpc.listeners import descriptors, sockets_on
from srv.limited_log import LimitedLog

log = logging.getLogger(__name__)

#: Descriptors for all else of a worker, and the least number of connections, however few files may be open.
_SPARE, _LEAST = 128, 64
#: The part of all connections that is kept free for new ones.
_ROOM = 8
#: Seconds for which a connection must have been silent: a client that goes on asking keeps its connection.
_LEAST_IDLE = 1.0
#: Where Linux's struct tcp_info has the milliseconds since data came last.
_LAST_DATA_RECEIVED = 52


def most_connections(wanted: int) -> int:
    """Return as many as wanted, or what the limit on open files, raised as far as it goes, leaves beside HTTP."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = 2 * wanted + _SPARE
    if soft != resource.RLIM_INFINITY and soft < needed:
        soft = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return wanted
    return min(wanted, max(_LEAST, soft - _SPARE - wanted))


class _Idle(NamedTuple):
    """A connection without a call: for how long it has been silent, and its client's port."""

    seconds: float
    peer: int


class IdleConnections:
    """Closes idle connections to a port where nearly as many are open as may be."""

    def __init__(self, most: int, busy_peers: Callable[[], Collection[int]]) -> None:
        self._most = most
        self._kept = max(1, most - max(1, most // _ROOM))
        self._busy_peers = busy_peers
        self._log = LimitedLog(log)

    def close_some(self, port: int) -> int:
        """Close the longest idle connections until there is room; return how many were closed."""
        if not hasattr(socket, "TCP_INFO") or len(descriptors()) <= self._kept:
            return 0
        peers: set[int] = set()
        idle: list[_Idle] = []
        busy = self._busy_peers()
        for connection, peer in _connections(port):
            peers.add(peer)
            seconds = _silent(connection)
            if peer not in busy and seconds >= _LEAST_IDLE:
                idle.append(_Idle(seconds, peer))
        closing = {each.peer for each in sorted(idle, reverse=True)[: max(0, len(peers) - self._kept)]}
        return self._close(port, closing) if closing else 0

    def _close(self, port: int, peers: Collection[int]) -> int:
        closed = 0
        for connection, peer in _connections(port):
            if peer in peers:
                with suppress(OSError):  # because its client has closed it meanwhile
                    connection.shutdown(socket.SHUT_RDWR)
                    closed += 1
        self._log.warning(
            "Nearly as many gRPC connections are open as may be, %d: the longest idle were closed to make room for others.",
            self._most,
        )
        return closed


def _connections(port: int) -> Iterator[tuple[socket.socket, int]]:
    """Yield the connections to a port, each with the port of its client."""
    for each in sockets_on(port):
        try:
            peer = each.getpeername()[1]
        except OSError:  # it listens, or holds the port, or its client has gone
            continue
        yield each, peer


def _silent(connection: socket.socket) -> float:
    """Return for how many seconds no data has come."""
    info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _LAST_DATA_RECEIVED + 4)
    (milliseconds,) = struct.unpack_from("I", info, _LAST_DATA_RECEIVED)
    return float(milliseconds) / 1000

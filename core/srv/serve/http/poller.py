"""The poller: what the thread that leads waits for, which is sockets by epoll and an eventfd that wakes it."""

from __future__ import annotations

import contextlib
import os
import select
import socket
from collections.abc import Iterable

from srv.serve.http.connections import Connection

READ = select.EPOLLIN
WRITE = select.EPOLLOUT
GONE = select.EPOLLHUP | select.EPOLLERR
#: The client will send no more, whether or not all that it has sent was read.
LEFT = select.EPOLLRDHUP
MOST_EVENTS = 256


class Poller:
    """An epoll set. Any thread may change what is watched; only the thread that leads waits."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._waker = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._epoll.register(self._waker, READ)

    def wait(self, seconds: float) -> list[tuple[int, int]]:
        """Return descriptors and what happened on them; the eventfd is not among them."""
        events = self._epoll.poll(seconds, MOST_EVENTS)
        for descriptor, _ in events:
            if descriptor == self._waker:
                with contextlib.suppress(BlockingIOError):
                    os.eventfd_read(self._waker)
                return [event for event in events if event[0] != self._waker]
        return events

    def wake(self) -> None:
        """Have the thread that leads look around, wherever it waits."""
        with contextlib.suppress(BlockingIOError):
            os.eventfd_write(self._waker, 1)

    def look_at(self, connection: Connection, mask: int) -> None:
        """Watch a connection for this, and for nothing else; for nothing at all where the mask is 0.

        A closed one is left alone, because its descriptor may be another connection's by now.
        """
        if connection.mask == mask or connection.closed:
            return
        if not mask:
            self._epoll.unregister(connection.descriptor)
        elif connection.mask:
            self._epoll.modify(connection.descriptor, mask)
        else:
            self._epoll.register(connection.descriptor, mask)
        connection.mask = mask

    def listen(self, listeners: Iterable[socket.socket]) -> None:
        """Watch listeners; of several workers the kernel wakes one."""
        for listener in listeners:
            self._epoll.register(listener.fileno(), READ | select.EPOLLEXCLUSIVE)

    def ignore(self, listeners: Iterable[socket.socket]) -> None:
        """Watch listeners no longer."""
        for listener in listeners:
            self._epoll.unregister(listener.fileno())

"""The acceptor: the listening sockets, how many connections there may be, and the start of TLS on a new one."""

from __future__ import annotations

import errno
import select
import socket
import ssl
import time
from collections.abc import Callable, Iterator, Sequence

from srv.serve.http.connections import Connection
from srv.serve.http.poller import Poller

#: How many are let in before those inside get their turn.
AT_ONCE = 64
#: The same where several workers listen, so that each gets its share.
AT_ONCE_OF_SEVERAL = 1
#: Where descriptors or memory have run out, the next try comes after this long.
RECOVERY = 0.5


class Acceptor:
    """The listeners. Shut while there are as many connections as may be; the kernel keeps the others waiting."""

    def __init__(
        self,
        listeners: Sequence[socket.socket],
        poller: Poller,
        context: ssl.SSLContext | None,
        *,
        shared: bool,
        held: Callable[[], bool],
    ) -> None:
        self.at_once = AT_ONCE_OF_SEVERAL if shared else AT_ONCE
        self._shared = shared
        self._listeners = {listener.fileno(): listener for listener in listeners}
        self._servers = {descriptor: address_of(listener) for descriptor, listener in self._listeners.items()}
        self._poller = poller
        self._context = context
        self._held = held
        self._open = False
        self._not_before = 0.0

    def __contains__(self, descriptor: int) -> bool:
        return descriptor in self._listeners

    def waited_at(self) -> list[int]:
        """Return the descriptors of the listeners at which a client waits."""
        if self._held():
            return []
        poll = select.poll()
        for descriptor in self._listeners:
            poll.register(descriptor, select.POLLIN)
        return [descriptor for descriptor, _ in poll.poll(0)]

    def open(self) -> None:
        """Begin to accept clients, unless it is not time yet, or there was no room for one a moment ago."""
        if not self._open and not self._held() and time.monotonic() >= self._not_before:
            self._poller.listen(self._listeners.values())
            self._open = True

    def shut(self) -> None:
        """Accept nobody for now."""
        if self._open:
            self._poller.ignore(self._listeners.values())
            self._open = False

    def give_way(self) -> None:
        """Leave the next client to another worker: the kernel wakes the one that has watched for longest."""
        if self._shared and self._open:
            self.shut()
            self.open()

    def close(self) -> Iterator[Connection]:
        """Accept the clients that have come already, then nobody any more."""
        self.shut()
        for descriptor, listener in self._listeners.items():
            while clients := list(self.admit(descriptor, AT_ONCE)):
                yield from clients
            listener.close()
        self._listeners.clear()

    def admit(self, descriptor: int, most: int) -> Iterator[Connection]:
        """Accept the clients that wait at a listener, at most so many. Stops where descriptors run out."""
        listener = self._listeners[descriptor]
        for _ in range(most):
            try:
                client, address = listener.accept()
            except OSError as error:
                if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                    self.shut()
                    self._not_before = time.monotonic() + RECOVERY
                if error.errno == errno.ECONNABORTED:
                    continue
                return
            client.settimeout(0)
            peer = (str(address[0]), str(address[1])) if isinstance(address, tuple) else ("", "")
            if client.family != socket.AF_UNIX:
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            try:
                if self._context is not None:
                    client = self._context.wrap_socket(client, server_side=True, do_handshake_on_connect=False)
            except OSError:  # it left before it was in
                client.close()
                continue
            yield Connection(client, peer, self._servers[descriptor])


def address_of(listener: socket.socket) -> tuple[str, str]:
    """Return host and port as WSGI has them; a Unix socket's path and no port."""
    address = listener.getsockname()
    return (str(address[0]), str(address[1])) if isinstance(address, tuple) else (str(address), "")

"""Lets clients in: the listening sockets, how many connections there may be, TLS at the door."""

from __future__ import annotations

import errno
import resource
import socket
import ssl
import time
from collections.abc import Callable, Iterator, Sequence

from srv.serve.http.connection import Connection
from srv.serve.http.watch import Watch

#: Descriptors that are not connections: listeners, logs, pipes, models' own files.
SPARE_DESCRIPTORS = 128
#: How many are let in before those inside get their turn.
AT_ONCE = 64
#: The same where several workers listen, so that each gets its share.
AT_ONCE_OF_SEVERAL = 1
#: Where descriptors or memory have run out, the next try comes after this long.
RECOVERY = 0.5


def most_connections(wanted: int) -> int:
    """As many connections as are wanted, or as the limit on open files, raised as far as it goes, allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = wanted + SPARE_DESCRIPTORS
    if soft != resource.RLIM_INFINITY and soft < needed:
        soft = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return wanted if soft == resource.RLIM_INFINITY else max(1, min(wanted, soft - SPARE_DESCRIPTORS))


class Doors:
    """The listeners. Shut while there are as many connections as may be; the kernel keeps the others waiting."""

    def __init__(
        self,
        listeners: Sequence[socket.socket],
        watch: Watch,
        context: ssl.SSLContext | None,
        *,
        shared: bool,
        held: Callable[[], bool],
    ) -> None:
        self.at_once = AT_ONCE_OF_SEVERAL if shared else AT_ONCE
        self._shared = shared
        self._listeners = {listener.fileno(): listener for listener in listeners}
        self._servers = {descriptor: address_of(listener) for descriptor, listener in self._listeners.items()}
        self._watch = watch
        self._context = context
        self._held = held
        self._open = False
        self._not_before = 0.0

    def __contains__(self, descriptor: int) -> bool:
        return descriptor in self._listeners

    def open(self) -> None:
        """Let clients in, unless it is not time yet, or there was no room for one a moment ago."""
        if not self._open and not self._held() and time.monotonic() >= self._not_before:
            self._watch.listen(self._listeners.values())
            self._open = True

    def shut(self) -> None:
        """Let nobody in for now."""
        if self._open:
            self._watch.ignore(self._listeners.values())
            self._open = False

    def give_way(self) -> None:
        """Let another worker have the next client: the kernel wakes the one that has watched for longest."""
        if self._shared and self._open:
            self.shut()
            self.open()

    def close(self) -> Iterator[Connection]:
        """Let in who has come already, then nobody any more."""
        self.shut()
        for descriptor, listener in self._listeners.items():
            while clients := list(self.admit(descriptor, AT_ONCE)):
                yield from clients
            listener.close()
        self._listeners.clear()

    def admit(self, descriptor: int, most: int) -> Iterator[Connection]:
        """Those who wait at a listener, at most so many. Shuts the doors where descriptors run out."""
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
    """Host and port as WSGI tells them; a Unix socket's path and no port."""
    address = listener.getsockname()
    return (str(address[0]), str(address[1])) if isinstance(address, tuple) else (str(address), "")

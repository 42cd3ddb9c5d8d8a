"""Servers for tests of the client that no library of the protocol would be: each connection is answered by a function."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator

OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
INFERRED = b'{"model_name":"m","outputs":[{"name":"y","datatype":"FP32","shape":[1],"data":[2]}]}'


def ok(document: bytes) -> bytes:
    """Return a whole response of HTTP with that JSON."""
    return OK % (len(document), document)


def answered(status: bytes, document: bytes, *headers: bytes) -> bytes:
    """Return a whole response of HTTP with that status, and the headers beside its length."""
    lines = [b"HTTP/1.1 " + status, b"Content-Length: %d" % len(document), *headers]
    return b"\r\n".join(lines) + b"\r\n\r\n" + document


def read_request(connection: socket.socket) -> bytes:
    """Return one request, head and body, as it came; nothing where the client has closed."""
    data = b""
    while b"\r\n\r\n" not in data:
        if not (piece := connection.recv(65536)):
            return b""
        data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    lengths = [line.split(b":")[1] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    pieces, left = [body], int(lengths[0] if lengths else 0) - len(body)
    while left > 0 and (piece := connection.recv(1 << 20)):
        pieces.append(piece)
        left -= len(piece)
    return head + b"\r\n\r\n" + b"".join(pieces)


@contextlib.contextmanager
def peer(answer: Callable[[socket.socket], None], context: ssl.SSLContext | None = None) -> Iterator[str]:
    """Listen on a port, and have each connection answered in a thread and then closed; give `host:port`."""
    listener = socket.create_server(("127.0.0.1", 0))
    threads = []

    def serve(sock: socket.socket) -> None:
        with contextlib.suppress(OSError):
            connection = context.wrap_socket(sock, server_side=True) if context else sock
            with connection:
                answer(connection)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                threads.append(threading.Thread(target=serve, args=[listener.accept()[0]], daemon=True))
                threads[-1].start()

    accepting = threading.Thread(target=accept, daemon=True)
    accepting.start()
    try:
        yield f"localhost:{listener.getsockname()[1]}"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        accepting.join(10)

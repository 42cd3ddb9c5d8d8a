"""WSGI: what an app is, and what it sees of a request."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from srv.serve.http.connections import Buffer, Exchange

Environ = dict[str, Any]


def never(method: str, path: str) -> bool:  # noqa: ARG001 - asked for each request
    """Return False: any request may block, as far as an app says nothing about that."""
    return False


@dataclass(frozen=True, slots=True)
class WsgiApp:
    """A WSGI app, and what is asked and told beside its requests."""

    call: Callable[[Environ, Callable[..., object]], Iterable[Buffer]]
    #: Whether a request, by method and path, cannot block, so that the thread that leads may run it.
    nonblocking: Callable[[str, str], bool] = never
    #: Called for each request.
    started: Callable[[], object] = int
    #: Whether the app refuses a request of this environ, whose body has not come; it must not wait. It may leave in the
    #: environ what it needs to answer so when it is called.
    refuses_by_head: Callable[[Environ], bool] | None = None


def template(scheme: str, *, multiprocess: bool) -> Environ:
    """Return what is the same in every request's environ."""
    return {
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scheme,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": multiprocess,
        "wsgi.run_once": False,
        "wsgi.input_terminated": True,
        "SCRIPT_NAME": "",
        "SERVER_SOFTWARE": "srv",
        "SERVER_PROTOCOL": "HTTP/1.1",
        # What each request has of its own stands here too, because a dict that grows is laid out anew.
        **dict.fromkeys(("REMOTE_ADDR", "REMOTE_PORT", "SERVER_NAME", "SERVER_PORT")),
        **dict.fromkeys(("wsgi.input", "srv.body", "srv.caller", "srv.received")),
    }


def environ_of(exchange: Exchange, common: Environ) -> Environ:
    """Return the environ of one request: WSGI's keys, and srv.body, srv.caller and srv.received (monotonic)."""
    head = exchange.head
    connection = exchange.connection
    body = exchange.body
    if head.environ is None:
        head.environ = {
            **common,
            **head.fields,
            "REQUEST_METHOD": head.method,
            "PATH_INFO": head.path,
            "QUERY_STRING": head.query,
            "RAW_URI": head.target.decode("ascii"),
        }
    environ = head.environ.copy()
    if head.chunked:
        # The chunks are gone: apps that look for a length find the real one.
        environ.pop("HTTP_TRANSFER_ENCODING", None)
        environ["CONTENT_LENGTH"] = str(len(body))
    environ["REMOTE_ADDR"], environ["REMOTE_PORT"] = connection.peer
    environ["SERVER_NAME"], environ["SERVER_PORT"] = connection.server
    environ["wsgi.input"] = BodyReader(body)
    environ["srv.body"] = body
    environ["srv.caller"] = exchange
    environ["srv.received"] = exchange.received
    return environ


class BodyReader:
    """A request's body as WSGI's input: complete, so no read ever waits."""

    __slots__ = ("_body", "_position")

    def __init__(self, body: memoryview) -> None:
        self._body = body
        self._position = 0

    def read(self, size: int | None = -1) -> bytes:
        """Return the next bytes, all that are left where no size is given."""
        start = self._position
        end = len(self._body) if size is None or size < 0 else min(start + size, len(self._body))
        self._position = end
        return bytes(self._body[start:end])

    def readline(self, size: int | None = -1) -> bytes:
        """Return the next line with its line feed, at most so many bytes of it."""
        start = self._position
        most = len(self._body) if size is None or size < 0 else min(start + size, len(self._body))
        while self._position < most:
            piece = bytes(self._body[self._position : min(most, self._position + 8192)])
            feed = piece.find(b"\n")
            self._position += len(piece) if feed < 0 else feed + 1
            if feed >= 0:
                break
        return bytes(self._body[start : self._position])

    def readlines(self, hint: int | None = None) -> list[bytes]:
        """Return all lines that are left; the hint is not needed, since nothing is waited for."""
        del hint
        return list(self)

    def __iter__(self) -> Iterator[bytes]:
        while line := self.readline():
            yield line

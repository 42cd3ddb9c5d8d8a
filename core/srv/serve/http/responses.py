"""Responses: heads made of what an app said and what the worker knows better, and those of the worker's own."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from email.utils import formatdate
from typing import Any

from srv.serve.http.connections import Buffer
from srv.serve.http.parser import Head

Headers = Sequence[tuple[str, str]]

#: The worker writes these itself; an app's word on them is read, not sent.
OWN = frozenset(
    {"connection", "content-length", "date", "keep-alive", "server", "transfer-encoding", "x-content-type-options"}
)
#: Up to this size of a body it goes out in one buffer with its head.
SMALL = 16384
#: How many lines each response begins with: status, server, date, and that browsers must not guess another content type.
_LINES_OF_START = 4
_BODILESS = ("204", "304", "1")
#: Start lines that are remembered until the date changes.
REMEMBERED = 256


class UnsendableResponse(Exception):
    """What an app answered cannot be sent as HTTP."""


class AppResponse:
    """What an app says before its body: WSGI's start_response is `start`."""

    __slots__ = ("headers", "status", "written")

    def __init__(self) -> None:
        self.status = ""
        self.headers: Headers = ()
        self.written: list[bytes] = []

    def start(self, status: str, headers: Headers, exc_info: Any = None) -> Callable[[bytes], object]:
        """WSGI's start_response; nothing goes out before the app has returned, so a later word replaces the former."""
        del exc_info
        self.status = status
        self.headers = headers
        return self.written.append

    def bodiless(self, method: str) -> bool:
        """Return whether no body may follow: a HEAD, or a status that has none."""
        return method == "HEAD" or self.status.startswith(_BODILESS)


class ResponseHeads:
    """Makes heads; `tick` renews their date, from any thread."""

    def __init__(self) -> None:
        self._starts: dict[str, str] = {}
        self._date = ""
        self.tick()

    def tick(self) -> None:
        """Say the present time from now on."""
        self._date = formatdate(time.time(), usegmt=True)
        self._starts = {}

    def own(
        self, status: str, headers: Headers, body: bytes, *, identity: str, head: Head | None, closing: bool
    ) -> bytes:
        """Return a whole response of the worker's own, with JSON, to the request of this head, if one was understood."""
        lines = [
            self._starts.get(status) or self._start(status),
            f"Content-Type: application/json\r\nX-Request-Id: {identity}\r\n",
            *(f"{name}: {value}\r\n" for name, value in headers),
            f"{connection_line(head, closing=closing)}Content-Length: {len(body)}\r\n\r\n",
        ]
        whole = "".join(lines).encode("ascii")
        return whole if head is not None and head.method == "HEAD" else whole + body

    def read(self, answer: AppResponse) -> tuple[list[str], str | None, bool]:
        """Return the lines that the app gave, the length that it declared, and whether it wants the connection closed."""
        status = answer.status
        lines = [self._starts.get(status) or self._start(status)]
        length = None
        closes = False
        for name, value in answer.headers:
            key = name.lower()
            if key in OWN:
                if key == "content-length":
                    length = value
                elif key == "connection":
                    closes = closes or "close" in value.lower()
            else:
                lines.append(f"{name}: {value}\r\n")
        return lines, length, closes

    def close(self, lines: list[str], framing: str) -> bytes:
        """Return the finished head of what `read` gave. Raises UnsendableResponse where a header would have broken it."""
        text = "".join(lines)
        # The first piece is several lines, each other one: what is more came out of an app's value.
        expected = len(lines) + _LINES_OF_START - 1
        if text.count("\n") != expected or text.count("\r") != expected:
            raise UnsendableResponse("a header has a line break")
        try:
            return (text + framing).encode("latin-1")
        except UnicodeEncodeError:
            raise UnsendableResponse("a header has characters beyond latin-1") from None

    def _start(self, status: str) -> str:
        if not (status[:3].isdigit() and status[3:4] in (" ", "")):
            raise UnsendableResponse("the app gave no status")
        starts = self._starts
        start = f"HTTP/1.1 {status}\r\nServer: srv\r\nDate: {self._date}\r\nX-Content-Type-Options: nosniff\r\n"
        if len(starts) < REMEMBERED:
            starts[status] = start
        return start


def connection_line(head: Head | None, *, closing: bool) -> str:
    """Return what an answer says of the connection's future; nothing where that is the version's default."""
    if closing:
        return "Connection: close\r\n"
    return "Connection: keep-alive\r\n" if head is not None and not head.version else ""


def checked_length(declared: str | None, size: int) -> str:
    """Return the line that says how long a body is. Raises UnsendableResponse where the app said something else."""
    if declared is not None and declared != str(size):
        raise UnsendableResponse("the app's Content-Length is not that of its body")
    return f"Content-Length: {size}\r\n"


def bodiless_length(answer: AppResponse, declared: str | None, size: int) -> str:
    """Return the same where the body stays away: what a GET would have said, as far as the app has said."""
    length = declared or (str(size) if size else None)
    return f"Content-Length: {length}\r\n" if length and answer.status[:3] != "204" else ""


def as_buffers(parts: Sequence[Buffer]) -> list[Buffer]:
    """Return an app's pieces without empty ones, views as views of bytes."""
    buffers: list[Buffer] = []
    for part in parts:
        if isinstance(part, memoryview):
            buffers.append(part if part.nbytes == len(part) else part.cast("B"))
        elif isinstance(part, bytes | bytearray):
            buffers.append(part)
        else:
            raise UnsendableResponse(f"the app gave {type(part).__name__} where bytes belong")
    return [buffer for buffer in buffers if buffer]

"""What an operator learns of an answer: its access-log line, and for a refusal the count."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, Protocol

from srv.serve.http.answers import Headers
from srv.serve.http.connection import Connection
from srv.serve.http.parser import Head
from srv.serve.http.refusals import Refused

#: What a line says of a request whose head was never understood.
UNREAD = {"REQUEST_METHOD": "-", "RAW_URI": "-", "PATH_INFO": "-", "QUERY_STRING": "", "SERVER_PROTOCOL": "HTTP/1.1"}


class GunicornLogger(Protocol):
    """As much of gunicorn's logger as is used here."""

    access_log_enabled: bool

    def access(self, resp: object, req: object, environ: Mapping[str, Any], request_time: timedelta) -> None:
        """Write the line of one request."""

    def exception(self, msg: str, *args: object) -> None:
        """Write a traceback."""


class Logged:
    """An answer, or a request, as gunicorn's logger reads it."""

    __slots__ = ("headers", "sent", "status")

    def __init__(self, status: str, headers: Headers, sent: int) -> None:
        self.status = status
        self.headers = headers
        self.sent = sent


class Journal:
    """Writes access lines, where they are wanted, and tells of each refusal whoever counts them."""

    def __init__(self, log: GunicornLogger, count_refusal: Callable[[Refused], object] | None) -> None:
        self.enabled = bool(getattr(log, "access_log_enabled", True))
        self._log = log
        self._count_refusal = count_refusal

    def answered(self, environ: Mapping[str, Any], status: str, headers: Headers, sent: int, seconds: float) -> None:
        """An answer went out, or what of it could."""
        if self.enabled:
            request = Logged("", headers_of(environ), 0)
            self._log.access(Logged(status, headers, sent), request, environ, timedelta(seconds=seconds))

    def refused(self, refused: Refused, head: Head | None, connection: Connection, headers: Headers, sent: int) -> None:
        """The worker answered itself; without a head where none was understood."""
        if self._count_refusal is not None:
            self._count_refusal(refused)
        if self.enabled:
            environ = {**UNREAD, **request_line_of(head), "REMOTE_ADDR": connection.peer[0]}
            self.answered(environ, f"{refused.status.value} {refused.status.phrase}", headers, sent, 0.0)

    def failed(self, sentence: str, *details: object) -> None:
        """Something raised that should not have; the traceback of the present exception goes along."""
        self._log.exception(sentence, *details)


def request_line_of(head: Head | None) -> dict[str, str]:
    """What a head says of the request, as an environ says it."""
    if head is None:
        return {}
    return {
        **head.fields,
        "REQUEST_METHOD": head.method,
        "RAW_URI": head.target.decode("ascii", "replace"),
        "PATH_INFO": head.path,
        "QUERY_STRING": head.query,
    }


def headers_of(environ: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The request's headers, by names as the wire writes them."""
    return [(key[5:].replace("_", "-"), value) for key, value in environ.items() if key.startswith("HTTP_")]

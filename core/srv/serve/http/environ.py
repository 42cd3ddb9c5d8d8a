"""What a WSGI app gets to see of a request."""

from __future__ import annotations

import sys
from typing import Any

from srv.serve.http.bodies import BodyReader
from srv.serve.http.exchange import Exchange

Environ = dict[str, Any]


def template(scheme: str, *, multiprocess: bool) -> Environ:
    """What is the same in every request's environ."""
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
    """The environ of one request: WSGI's keys, and srv.body, srv.caller and srv.received (monotonic)."""
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

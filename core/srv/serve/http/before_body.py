"""Requests that the app refuses by their head alone: their bodies are not read, and their connections end."""

from __future__ import annotations

import copy
import logging
import time
from collections.abc import Callable

from srv.logs import safely
from srv.serve.http.connections import Connection, Exchange
from srv.serve.http.parser import Head
from srv.serve.http.wsgi import Environ, environ_of

log = logging.getLogger(__name__)


class HeadCheck:
    """Asks the app about requests whose bodies have not come. Used by the thread that leads, so the app must not wait."""

    def __init__(self, refuses: Callable[[Environ], bool] | None, common: Environ) -> None:
        self._refuses = refuses
        self._common = common

    def refused(self, connection: Connection, head: Head) -> Exchange | None:
        """Return an exchange without a body for a request that the app refuses by its head; None to read the body."""
        if self._refuses is None:
            return None
        exchange = Exchange(connection, head, memoryview(b""), None, time.monotonic())
        environ = environ_of(exchange, self._common)
        try:
            if not self._refuses(environ):
                return None
        except BaseException:  # noqa: BLE001  an app may raise anything
            safely(log.exception, "The app failed to check the head of a request.")
            return None  # the app is asked again with the body
        # The body would be read as the next request, so nothing may keep the connection open.
        exchange.head = copy.copy(head)
        exchange.head.keep_alive = False
        exchange.head.environ = environ
        connection.received = b""
        return exchange

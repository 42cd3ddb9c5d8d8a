"""What an operator learns of the answers that the worker gives itself: a line in the access log, and a count."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Protocol

from srv.access_log import access_log
from srv.limited_log import LimitedLog
from srv.serve.http.errors import Refused
from srv.serve.http.parser import Head

log = logging.getLogger(__name__)

#: What a line says of a request whose head was never understood.
UNREAD = "-"


class Coded(Protocol):
    """What is counted by its code."""

    @property
    def code(self) -> str:
        """Return the stable name under which it is counted."""


class HandshakeFailed:
    """A client and the server did not come to speak TLS with each other: nothing can be answered, only counted."""

    code = "TLS_HANDSHAKE"


class AccessLog:
    """Writes a line for each answer that no app gave, and tells of each refusal whoever counts them."""

    def __init__(self, count_refusal: Callable[[Coded], object] | None = None) -> None:
        self._count_refusal = count_refusal
        self._handshakes = LimitedLog(log)

    def answered(
        self,
        head: Head | None,
        status: int,
        request_id: str,
        received: float,
        *,
        refused: Refused | None = None,
        model: str | None = None,
    ) -> None:
        """Log an answer of the worker's; without a head where none was understood. Received is monotonic time."""
        method, path = (head.method, head.path) if head else (UNREAD, UNREAD)
        outcome, reason = (refused.code, str(refused)) if refused is not None else (None, None)
        seconds = time.monotonic() - received
        access_log(method, path, status, seconds, request_id, model=model, outcome=outcome, reason=reason)

    def refused(
        self, refused: Refused, head: Head | None, request_id: str, received: float, *, model: str | None = None
    ) -> None:
        """Log and count a request that the worker refused; one that runs in a model already is counted there, at its end."""
        if self._count_refusal is not None and model is None:
            self._count_refusal(refused)
        self.answered(head, refused.status, request_id, received, refused=refused, model=model)

    def handshake_failed(self, peer: str, reason: str) -> None:
        """Count a TLS handshake that failed, and log it where no such line was written just now."""
        if self._count_refusal is not None:
            self._count_refusal(HandshakeFailed())
        self._handshakes.warning("The TLS handshake with %s failed: %s.", peer or "a client", reason)

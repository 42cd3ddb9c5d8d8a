"""What an operator learns of the answers that the worker gives itself: a line in the access log, and a count."""

from __future__ import annotations

import time
from collections.abc import Callable

from srv.logs import access_log
from srv.serve.http.parser import Head
from srv.serve.http.refusals import Refused

#: What a line says of a request whose head was never understood.
UNREAD = "-"


class Journal:
    """Writes a line for each answer that no app gave, and tells of each refusal whoever counts them."""

    def __init__(self, count_refusal: Callable[[Refused], object] | None = None) -> None:
        self._count_refusal = count_refusal

    def answered(self, head: Head | None, status: int, request_id: str, received: float) -> None:
        """The worker answered; without a head where none was understood. Received is monotonic time."""
        method, path = (head.method, head.path) if head else (UNREAD, UNREAD)
        access_log(method, path, status, time.monotonic() - received, request_id)

    def refused(self, refused: Refused, head: Head | None, request_id: str, received: float) -> None:
        """The worker refused."""
        if self._count_refusal is not None:
            self._count_refusal(refused)
        self.answered(head, refused.status, request_id, received)

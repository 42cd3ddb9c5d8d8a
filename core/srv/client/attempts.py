"""Repeated attempts: what may be asked again because the server has not run it, and after which time."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import NamedTuple, TypeVar

from srv.client.failures import ConnectionLost
from srv.errors import QueueFull, SrvError, Unavailable

_FIRST_SECONDS, _MOST_SECONDS = 0.1, 10.0
#: More make no difference, and hundreds more no number.
_MOST_DOUBLINGS = 16

Answer = TypeVar("Answer")


class Attempts(NamedTuple):
    """How often a call is tried anew, within its own time.

    Refused for want of room (429, 503) or never connected: the model has not run, and the call is tried again, after the
    server's Retry-After if it says one. A connection that was lost may have been lost after the model ran; it is tried again with
    `lost` only. An answer that came, whatever it says, and a deadline that passed are not tried again.
    """

    most: int
    lost: bool = False

    def call(
        self,
        ask: Callable[[float], Answer],
        seconds: float,
        *,
        repeatable: bool = False,
        pause: Callable[[float], object] | None = None,
    ) -> Answer:
        """Return what `ask` gives, which is told how many seconds are left. A `repeatable` call changes nothing on the server.

        `pause` waits between attempts; by itself the thread sleeps.
        """
        deadline = time.monotonic() + seconds
        for attempt in range(self.most + 1):
            left = deadline - time.monotonic()
            try:
                return ask(max(left, 0.001))
            except (QueueFull, Unavailable, ConnectionLost) as error:
                if attempt == self.most or (isinstance(error, ConnectionLost) and not (self.lost or repeatable)):
                    raise
                seconds_between = pause_after(error, attempt)
                if time.monotonic() + seconds_between >= deadline:
                    raise
            (pause or time.sleep)(seconds_between)
        raise AssertionError("the last attempt returns or raises")


def pause_after(error: SrvError, attempt: int) -> float:
    """Return the seconds to wait before another attempt: what the server says, at least; doubled each time, with chance in it."""
    backoff = min(_FIRST_SECONDS * 2.0 ** min(attempt, _MOST_DOUBLINGS), _MOST_SECONDS) * random.uniform(0.5, 1.0)  # noqa: S311 - no secret
    return max(backoff, error.retry_after or 0.0)

"""Streams that wait for their client's next request, so that a server that stops need not wait for them too."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Protocol


class StreamCall(Protocol):
    """The call of a stream."""

    def end(self) -> None:
        """End the call, from any thread."""


class IdleStreams:
    """The streams that wait, and since when. A request that has come is answered; a stream that is ended takes none."""

    def __init__(self) -> None:
        self._since: dict[StreamCall, float] = {}

    def requests(self, requests: Iterator[bytes], call: StreamCall) -> Iterator[bytes]:
        """Yield the same requests; while the next one is waited for, the stream is idle."""
        while True:
            self._since[call] = time.monotonic()
            try:
                request = next(requests)
            except StopIteration:
                return
            finally:
                waited = self._since.pop(call, None) is not None  # in one step, as in end(): only one of the two has it
            if not waited:
                return
            yield request

    def end(self, seconds: float) -> None:
        """End the streams that have been idle for so long."""
        latest = time.monotonic() - seconds
        for call, since in list(self._since.items()):
            if since <= latest and self._since.pop(call, None) is not None:
                call.end()

"""Bodies of requests: where their bytes go, and how an app reads them as a file."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator

import numpy as np

from srv.serve.http.limits import MEBIBYTE

M_TRIM_THRESHOLD = -1
M_MMAP_THRESHOLD = -3
M_ARENA_MAX = -8


def keep_freed_blocks() -> bool:
    """Have malloc reuse blocks of up to 64 MiB instead of giving each back, because fresh pages cost more than copies.

    In two arenas for all threads, because what one thread has freed another one reuses then, and no heap of freed blocks
    grows for each thread. For the whole process; False where the C library is not glibc.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    wanted = ((M_MMAP_THRESHOLD, 64 * MEBIBYTE), (M_TRIM_THRESHOLD, 256 * MEBIBYTE), (M_ARENA_MAX, 2))
    return all(mallopt(option, value) for option, value in wanted)


def room_for(length: int) -> memoryview:
    """A buffer of this length whose memory is only taken as it is written, however much was promised."""
    return np.empty(length, np.uint8).data


class BodyReader:
    """A request's body as WSGI's input: complete, so no read ever waits."""

    __slots__ = ("_body", "_position")

    def __init__(self, body: memoryview) -> None:
        self._body = body
        self._position = 0

    def read(self, size: int | None = -1) -> bytes:
        """The next bytes, all that are left where no size is given."""
        start = self._position
        end = len(self._body) if size is None or size < 0 else min(start + size, len(self._body))
        self._position = end
        return bytes(self._body[start:end])

    def readline(self, size: int | None = -1) -> bytes:
        """The next line with its line feed, at most so many bytes of it."""
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
        """All lines that are left; the hint is not needed, since nothing is waited for."""
        del hint
        return list(self)

    def __iter__(self) -> Iterator[bytes]:
        while line := self.readline():
            yield line

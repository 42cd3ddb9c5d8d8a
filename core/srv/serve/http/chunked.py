"""Takes the chunks off a chunked body as they come, within limits."""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import Enum

from srv.serve.http.errors import BodyTooLarge, BrokenRequest, HeadersTooLarge, TooManyHeaders
from srv.serve.http.limits import Limits
from srv.serve.http.parse_errors import header_fault

SIZE_LINE = re.compile(rb"([0-9A-Fa-f]{1,16})(?:[ \t]*;[\t\x20-\x7e\x80-\xff]*)?")
LONGEST_SIZE_LINE = 1024
#: Sizes and extensions may take this much, and four times what the body has: one byte a chunk is fine, for a while.
FRAMING_ALLOWED = 65536
#: They would change how the request is read, routed or trusted, after it was.
FORBIDDEN_TRAILERS = frozenset({b"host", b"content-length", b"transfer-encoding", b"trailer", b"authorization", b"te"})


class Part(Enum):
    """What the next bytes of a chunked body are."""

    SIZE = 1
    DATA = 2
    DATA_END = 3
    TRAILERS = 4
    DONE = 5


class Chunks:
    """A chunked body in the making: feed it until it gives back what came after the body."""

    __slots__ = ("_framing", "_left", "_limits", "_part", "_pending", "_trailers", "_trailers_size", "body")

    def __init__(self, limits: Limits) -> None:
        self.body = bytearray()
        self._limits = limits
        self._part = Part.SIZE
        self._pending = b""
        self._left = 0
        self._framing = 0
        self._trailers = 0
        self._trailers_size = 0

    def feed(self, data: bytes) -> bytes | None:
        """Take what came; the bytes after the body once it has ended, None while it has not. Raises Refused."""
        if self._pending:
            data = self._pending + data
            self._pending = b""
        position = 0
        while self._part is not Part.DONE:
            taken = STEPS[self._part](self, data, position)
            if taken < 0:
                self._pending = data[position:]
                return None
            position = taken
        return data[position:]

    def _line_end(self, data: bytes, position: int, longest: int) -> int:
        """Return where the line that starts here ends, or -1 if it has not yet."""
        end = data.find(b"\r\n", position)
        if end < 0:
            feed = data.find(b"\n", position)
            if feed >= 0:
                raise BrokenRequest("a chunk's line ends in a bare line feed")
        length = (len(data) if end < 0 else end) - position
        if length > longest:
            raise BrokenRequest(f"a chunk's line is longer than {longest} bytes")
        return end

    def _size(self, data: bytes, position: int) -> int:
        end = self._line_end(data, position, LONGEST_SIZE_LINE)
        if end < 0:
            return -1
        line = SIZE_LINE.fullmatch(data, position, end)
        if line is None:
            raise BrokenRequest("a chunk's size is not a hexadecimal number")
        self._left = int(line[1], 16)
        if len(self.body) + self._left > self._limits.max_body_size:
            raise BodyTooLarge(self._limits.max_body_size)
        self._framing += end + 4 - position
        if self._framing > FRAMING_ALLOWED + 4 * len(self.body):
            raise BrokenRequest("its chunks are mostly framing")
        self._part = Part.DATA if self._left else Part.TRAILERS
        return end + 2

    def _data(self, data: bytes, position: int) -> int:
        piece = data[position : position + self._left]
        if not piece:
            return -1
        self.body += piece
        self._left -= len(piece)
        if not self._left:
            self._part = Part.DATA_END
        return position + len(piece)

    def _data_end(self, data: bytes, position: int) -> int:
        end = data[position : position + 2]
        if not b"\r\n".startswith(end):
            raise BrokenRequest("a chunk is longer than it said")
        if len(end) < 2:
            return -1
        self._part = Part.SIZE
        return position + 2

    def _trailer(self, data: bytes, position: int) -> int:
        end = self._line_end(data, position, self._limits.max_header_size)
        if end < 0:
            return -1
        if end == position:
            self._part = Part.DONE
            return end + 2
        line = data[position:end]
        self._trailers += 1
        self._trailers_size += len(line) + 2
        if self._trailers > self._limits.header_count:
            raise TooManyHeaders(self._limits.header_count, "trailers")
        if self._trailers_size > self._limits.max_header_size:
            raise HeadersTooLarge(self._limits.max_header_size, "trailers")
        if fault := header_fault(line):
            raise fault
        if line.partition(b":")[0].lower() in FORBIDDEN_TRAILERS:
            raise BrokenRequest("a trailer has a name that no trailer may have")
        return end + 2


STEPS: dict[Part, Callable[[Chunks, bytes, int], int]] = {
    Part.SIZE: Chunks._size,
    Part.DATA: Chunks._data,
    Part.DATA_END: Chunks._data_end,
    Part.TRAILERS: Chunks._trailer,
}

"""Streams with a line in the access log: it comes at their end, with the whole time and the outcome."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

from srv.errors import ClientLeft, code_of

#: What is read at once of a body that is a file.
PIECE = 65536


class LoggedStream:
    """A response's stream, unchanged; `write_line` is called once when the stream is over.

    `write_line` gets the code of the error that ended the stream, or None at its end. A stream that was never begun,
    because the worker answered in place of the app, has no line.
    """

    def __init__(self, stream: Any, write_line: Callable[[str | None], object]) -> None:
        self._stream = stream
        self._write_line = write_line
        self._begun = False
        self._outcome: str | None = code_of(ClientLeft())

    def __iter__(self) -> Iterator[bytes]:
        self._begun = True
        try:
            yield from _pieces(self._stream)
            self._outcome = None
        except Exception as error:
            self._outcome = code_of(error)
            raise

    def close(self) -> None:
        """Close the stream and write the line."""
        begun, self._begun = self._begun, False
        try:
            close = getattr(self._stream, "close", None)
            if close is not None:
                close()
        finally:
            if begun:
                self._write_line(self._outcome)


def _pieces(stream: Any) -> Iterable[bytes]:
    read = getattr(stream, "read", None)
    return stream if read is None else iter(partial(read, PIECE), b"")

"""Server-sent events, read from pieces of a body as they come."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

#: UTF-8's mark, which may stand before the first line.
_MARK = b"\xef\xbb\xbf"


def events(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the data of each event; lines of one event are joined by line breaks. Comments and other fields are passed over.

    The format is that of the HTML standard, section 9.2, with line breaks as on Unix or Windows. An event that the end cuts off
    does not count.
    """
    begun: list[bytes] = []
    data: list[bytes] = []
    for piece in pieces:
        if b"\n" not in piece:
            begun.append(piece)
            continue
        *lines, rest = b"".join([*begun, piece]).split(b"\n")
        begun = [rest]
        for line in lines:
            text = line.removesuffix(b"\r").removeprefix(_MARK)
            if not text:
                if data:
                    yield b"\n".join(data)
                data = []
            elif text.startswith(b"data:"):
                data.append(text.removeprefix(b"data:").removeprefix(b" "))

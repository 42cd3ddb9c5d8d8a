"""Takes long arrays of numbers out of a request's JSON, so that its envelope is read without walking over them.

What is cut out is put back where the envelope has it as an input's data. A cut in any other place, such as inside of a
text, is found out, because the mark that stands there instead is then no input's data; and the request is read whole.
"""

from __future__ import annotations

import random

import msgspec

from srv.errors import InvalidInput
from srv.rest.envelope import RequestEnvelope, read_envelope

#: Shorter JSON is walked over as quickly as it is cut.
LARGE = 8192
_KEY = b'"data"'


def read_cut(text: bytes) -> RequestEnvelope | None:
    """The envelope of JSON with long arrays in it; None where it must be read whole. The arrays are still unread."""
    rest, arrays = _cut(text)
    if not arrays:
        return None
    try:
        envelope = read_envelope(rest)
    except InvalidInput:
        return None  # read whole, it says what the client wrote
    for tensor in envelope.inputs:
        array = arrays.pop(bytes(tensor.data), None)
        if array is not None:
            tensor.data = msgspec.Raw(array)
    return None if arrays else envelope


def _cut(text: bytes) -> tuple[bytes, dict[bytes, bytes]]:
    """The text with marks in the place of long arrays, and the arrays by mark."""
    arrays: dict[bytes, bytes] = {}
    pieces: list[bytes] = []
    number = random.getrandbits(62)  # nobody can have written it
    kept = position = 0
    while (key := text.find(_KEY, position)) >= 0:
        position = key + len(_KEY)
        start = text.find(b"[", position)
        end = text.rfind(b"]", start, _end_of_numbers(text, start)) + 1 if start >= 0 else 0
        if end - start < LARGE:
            continue
        mark = b"[%d]" % (number + len(arrays))
        arrays[mark] = text[start:end]
        pieces += (text[kept:start], mark)
        kept = position = end
    pieces.append(text[kept:])
    return b"".join(pieces), arrays


def _end_of_numbers(text: bytes, start: int) -> int:
    """Where the next text begins or the next object ends, neither of which is among numbers."""
    quote = text.find(b'"', start)
    brace = text.find(b"}", start, quote if quote >= 0 else len(text))
    return brace if brace >= 0 else quote if quote >= 0 else len(text)

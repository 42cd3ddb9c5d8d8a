"""Long arrays in a request's JSON: taken out of the text, so that the envelope is read without their numbers.

A mark stands in the text in place of each array, and the array is put back where the envelope has the mark as the data
of an input. A mark in any other place, such as inside a text, means a wrong cut: then the request is read as one.
"""

from __future__ import annotations

import os

import msgspec

from srv.errors import InvalidInput
from srv.rest.envelope import RequestEnvelope, read_envelope

#: Shorter JSON is walked over as quickly as it is cut.
LARGE = 8192
_KEY = b'"data"'


def read_cut(text: bytes) -> RequestEnvelope | None:
    """Return the envelope of JSON with long arrays, which stay text; None where the JSON must be read as one."""
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
    """Return the text with marks in place of long arrays, and the arrays by mark."""
    arrays: dict[bytes, bytes] = {}
    pieces: list[bytes] = []
    number = int.from_bytes(os.urandom(7), "big")  # random, so that no client sends such an array
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
    """Return where the next text begins or the next object ends: an array of numbers holds neither."""
    quote = text.find(b'"', start)
    brace = text.find(b"}", start, quote if quote >= 0 else len(text))
    return brace if brace >= 0 else quote if quote >= 0 else len(text)

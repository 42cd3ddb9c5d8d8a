"""Samples: values made up for a datatype and a content type, such as a model takes them."""

from __future__ import annotations

import re
import zlib
from base64 import b64encode
from struct import pack
from typing import Any

_PICTURES = re.compile(r"image|picture|photo|pixel|img", re.IGNORECASE)
#: More values than a person reads are all the same.
_FEW = 64


def sample_of(name: str, datatype: str, content_type: object, size: int) -> list[Any]:
    """Return as many values as a tensor has elements."""
    if datatype == "BYTES":
        return [_text(name, content_type)] * size
    if datatype == "BOOL":
        return [True] * size
    if datatype.startswith("FP") or datatype == "BF16":
        return [round(0.5 + place, 1) for place in range(size)] if size <= _FEW else [0.5] * size
    return [1] * size


def _text(name: str, content_type: object) -> str:
    if content_type == "base64":
        return b64encode(picture(32, 32) if _PICTURES.search(name) else b"some bytes").decode()
    if content_type == "datetime":
        return "2026-01-31T12:00:00+00:00"
    return '{"key": "value"}' if content_type == "json" else "some text"


def picture(width: int, height: int) -> bytes:
    """Return a PNG of a slope of colours."""
    rows = (
        b"\x00" + bytes(value for x in range(width) for value in (255 * x // width, 255 * y // height, 128))
        for y in range(height)
    )
    head = pack(">2I5B", width, height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(b"".join(rows))), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        pack(">I", len(data)) + kind + data + pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )

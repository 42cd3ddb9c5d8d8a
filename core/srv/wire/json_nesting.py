"""How deeply JSON is nested, checked before parsing, because parsers recurse on C's stack.

Python's recursion limit stops a parser before that stack overflows. Where a model has raised the limit, a client's deeply
nested JSON would end the process.
"""

from __future__ import annotations

import re
import sys

import numpy as np

#: Deeper JSON is refused; Python's own limit is about as much.
DEEPEST = 1000
_USUAL_LIMIT = 5000
_NOT_BRACKETS = bytes(byte for byte in range(256) if byte not in b"[]{}")
_TEXTS = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)


def is_too_deep(text: bytes) -> bool:
    """Whether JSON is nested too deeply to parse. Looks at it only where the recursion limit was raised."""
    if sys.getrecursionlimit() <= _USUAL_LIMIT or text.count(b"[") + text.count(b"{") <= DEEPEST:
        return False
    return _depth(text) > DEEPEST and _depth(_TEXTS.sub(b"", text)) > DEEPEST


def _depth(text: bytes) -> int:
    """The greatest number of brackets that are open at once, those inside of texts too."""
    brackets = np.frombuffer(text.translate(None, _NOT_BRACKETS), np.uint8)
    opened = 3 - (brackets & 6).astype(np.int64)  # 1 for an opening bracket of either kind, -1 for a closing one
    return int(opened.cumsum().max(initial=0))

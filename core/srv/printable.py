"""Text of clients, models and packages, as a log or a terminal may show it: control characters are escaped.

A line break would make a line that srv has not written, an escape sequence would move the cursor or hide text, and a mark
of direction would show words in another order.
"""

from __future__ import annotations

import re

#: Control characters of both sets, separators of lines, marks of direction, and half surrogate pairs, which no stream takes.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
#: The same in a text of several lines, in which tabs stand too.
_CONTROL_IN_LINES = re.compile(r"(?![\n\t])" + _CONTROL.pattern)


def escaped(text: str) -> str:
    """Return the text as one line."""
    return text if text.isprintable() else _CONTROL.sub(_escape, text)


def escaped_lines(text: str) -> str:
    """Return the text with its line breaks and tabs."""
    return text if text.isprintable() else _CONTROL_IN_LINES.sub(_escape, text.replace("\r\n", "\n"))


def escaped_json(text: str) -> str:
    """Return one line of JSON whose texts have no control characters, in JSON's own escapes."""
    return text if text.isprintable() else _CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _escape(found: re.Match[str]) -> str:
    return f"\\x{ord(found[0]):02x}"

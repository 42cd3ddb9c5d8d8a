"""Passwords in addresses, which are not printed."""

from __future__ import annotations

import re

_PASSWORD = re.compile(r"(?P<before>://[^:/@\s]+:)[^@/\s]+@")
_TOKEN = re.compile(r"://[^:/@\s]+@")


def masked(text: str) -> str:
    """Return a text in which the addresses show neither password nor token."""
    text = _PASSWORD.sub(r"\g<before>****@", text)
    return _TOKEN.sub(lambda found: found[0] if found[0] == "://git@" else "://****@", text)

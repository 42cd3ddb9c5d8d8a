"""Passwords in the addresses of files: refused, because the image has these files, and its layers what they name."""

from __future__ import annotations

import re
from collections.abc import Iterator

from srv_dockerfile.errors import PasswordInFile

_ADDRESS = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<user>[^\s/?#'\"<>@]*)@(?P<rest>[^\s'\"<>,;]*)", re.IGNORECASE
)
_VARIABLE = re.compile(r"\$\{(?P<name>[A-Z0-9_]+)\}")
#: Names that let nobody in by themselves.
_HARMLESS = {"", "git", "aws", "oauth2accesstoken", "__token__", "x-access-token", "oauth2", "user", "username"}


def check_passwords(place: str, text: str) -> None:
    """Raise PasswordInFile for an address with a password, or with a token in place of a name."""
    for found in _ADDRESS.finditer(text):
        name, colon, password = found["user"].partition(":")
        if _VARIABLE.sub("", password):
            raise PasswordInFile(place, f"{found['scheme']}://…@{found['rest']}")
        is_secret = not colon and _VARIABLE.sub("", name) not in _HARMLESS
        if is_secret and not found["scheme"].lower().endswith("ssh"):
            raise PasswordInFile(place, f"{found['scheme']}://…@{found['rest']}")


def variables(text: str) -> Iterator[str]:
    """Yield the variables that pip puts in for `${NAME}`."""
    yield from (found["name"] for found in _VARIABLE.finditer(text))

"""The author of the package, from the options, else from git."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass

from srv.errors import SrvError, quoted

_EMAIL = re.compile(r"[^\s@<>\"]+@[^\s@<>\"]+")


class BadAuthor(SrvError):
    """A name or an address is one that package metadata cannot hold."""

    def __init__(self, option: str, given: str, wanted: str) -> None:
        super().__init__(f"{option} {quoted(given)} is not {wanted}.")


@dataclass(frozen=True)
class Author:
    """A name, an address, both or neither; metadata and licence use what there is."""

    name: str | None = None
    email: str | None = None


def author_of(name: str | None, email: str | None) -> Author:
    """Return the author by the options, completed from git's configuration. Raises BadAuthor for an unusable option."""
    if name is not None and not _is_name(name):
        raise BadAuthor("--author", name, "a name on one line")
    if email is not None and not _is_email(email):
        raise BadAuthor("--email", email, "an address such as 'ada@example.org'")
    known_name, known_email = _git("user.name"), _git("user.email")
    return Author(
        name=name or (known_name if known_name and _is_name(known_name) else None),
        email=email or (known_email if known_email and _is_email(known_email) else None),
    )


def _is_name(text: str) -> bool:
    return text.isprintable() and bool(text.strip())


def _is_email(text: str) -> bool:
    return text.isprintable() and text.isascii() and _EMAIL.fullmatch(text) is not None


def _git(key: str) -> str | None:
    """Return what git's configuration says, or None without git or an entry."""
    program = shutil.which("git")
    if program is None:
        return None
    asked = subprocess.run(  # noqa: S603 - the program is git, the key is one of two
        [program, "config", "--get", key], capture_output=True, text=True, check=False
    )
    return asked.stdout.strip() or None

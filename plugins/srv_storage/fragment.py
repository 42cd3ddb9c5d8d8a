"""The part of a URI after `#`: the SHA-256 that the content must have."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from srv.errors import quoted
from srv.storage import FetchFailed
from srv.uris import shown_uri

_SHA256 = re.compile(r"sha256=([0-9a-fA-F]{64})")
#: Bytes that are read at once.
CHUNK = 1024 * 1024


class WrongHash(FetchFailed):
    """What came has not the SHA-256 that the URI asks for."""

    def __init__(self, uri: str, expected: str, found: str) -> None:
        super().__init__(
            f"What is at {shown_uri(uri)} has the SHA-256 {found}, and not {expected} as the URI says. It was not kept. "
            "Find out who changed it, or give the new hash"
        )


def split_fragment(uri: str) -> tuple[str, str | None]:
    """Return the URI without its fragment, and the SHA-256 in it. Raises FetchFailed for any other fragment."""
    address, _, fragment = uri.partition("#")
    if not fragment:
        return address, None
    found = _SHA256.fullmatch(fragment)
    if found is None:
        raise FetchFailed(
            f"{shown_uri(address)} ends with {quoted('#' + fragment)}; after # srv takes sha256= and 64 hexadecimal digits"
        )
    return address, found[1].lower()


def check_file(path: Path, uri: str, sha256: str | None) -> None:
    """Raise WrongHash where a hash is given and the file has another."""
    if sha256 is None:
        return
    with path.open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    if found != sha256:
        raise WrongHash(uri, sha256, found)

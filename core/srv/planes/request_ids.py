"""Request ids: the rule which of a client's are taken, for every face and for what the HTTP worker answers itself."""

from __future__ import annotations

import os
import re

#: Printable ASCII without blanks: fit for a header, for gRPC's metadata and for a column of a log.
_TAKEN = re.compile(r"[\x21-\x7e]{1,128}")


def request_id(given: str | None) -> str:
    """Return the client's own id where it may be given back, else a new one."""
    return given if given and _TAKEN.fullmatch(given) else os.urandom(16).hex()

"""Dates of certificates, which Python's ssl reads of no certificate that it serves with."""

from __future__ import annotations

import re
import ssl
from contextlib import suppress
from datetime import UTC, datetime

_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)
_SEQUENCE, _VERSION, _UTC_TIME = 0x30, 0xA0, 0x17


def end_of(pem: bytes) -> float | None:
    """Return when the first certificate ends, in seconds since 1970; None where that cannot be read."""
    with suppress(ValueError, IndexError):
        found = _CERTIFICATE.search(pem.decode("ascii", errors="replace"))
        if found is not None:
            return _end(ssl.PEM_cert_to_DER_cert(found[0]))
    return None


def _end(certificate: bytes) -> float:
    """Read RFC 5280's TBSCertificate: version, where there is one, serial number, algorithm, issuer, and then the dates."""
    _, signed, _ = _element(certificate)
    _, fields, _ = _element(signed)
    kind, _, rest = _element(fields)
    for _ in range(3 if kind == _VERSION else 2):
        _, _, rest = _element(rest)
    kind, dates, _ = _element(rest)
    if kind != _SEQUENCE:
        raise ValueError(kind)
    _, _, last = _element(dates)
    kind, text, _ = _element(last)
    written = text.decode("ascii")
    if kind == _UTC_TIME:
        written = ("20" if written < "50" else "19") + written
    return datetime.strptime(written, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC).timestamp()


def _element(data: bytes) -> tuple[int, bytes, bytes]:
    """Return the tag and the content of the first element in DER, and what comes after it."""
    kind, length, start = data[0], data[1], 2
    if length & 0x80:
        start += length & 0x7F
        length = int.from_bytes(data[2:start], "big")
    return kind, data[start : start + length], data[start + length :]

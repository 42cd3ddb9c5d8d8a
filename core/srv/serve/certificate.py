"""The certificate of the setting `tls`, looked at before anything listens."""

from __future__ import annotations

import os
import ssl
from pathlib import Path

from srv.errors import SrvError
from srv.settings import TlsSettings


class CertificateUnusable(SrvError):
    """The certificate or its key cannot serve."""

    def __init__(self, key: str, path: Path, why: str) -> None:
        super().__init__(f"The setting 'tls.{key}' names {path}, {why}. Give a certificate and its key in PEM.")


def check_certificate(tls: TlsSettings) -> None:
    """Raise CertificateUnusable for files that cannot be read, are no PEM, or do not belong together."""
    for key, path in (("certfile", tls.certfile), ("keyfile", tls.keyfile)):
        try:
            path.read_bytes()
        except OSError as error:
            raise CertificateUnusable(key, path, f"which cannot be read: {os.strerror(error.errno or 0)}") from None
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(tls.certfile, tls.keyfile, password=_no_password)
    except (ssl.SSLError, ValueError) as error:
        reason = getattr(error, "reason", None)
        if reason == "KEY_VALUES_MISMATCH":
            raise CertificateUnusable("keyfile", tls.keyfile, "which is not the key of the certificate") from None
        raise CertificateUnusable(
            "certfile", tls.certfile, f"which with its key is of no use: {reason or error}"
        ) from None


def _no_password() -> str:
    """Nobody is there to type one in."""
    raise ValueError("the key is protected by a password, and nobody can be asked for it")

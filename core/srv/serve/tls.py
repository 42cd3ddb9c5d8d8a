"""The certificate of the setting `tls`: read by the launcher alone, which gives every worker the pair that it has."""

from __future__ import annotations

import os
import ssl
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from srv.errors import SrvError, quoted
from srv.settings import TlsSettings

#: What OpenSSL says of a certificate and a key that do not belong together; the last where they are of two kinds.
_MISMATCHES = {"KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH", "NO_CERTIFICATE_ASSIGNED"}
_VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
#: Of TLS 1.2 none with CBC, whose padding has been attacked again and again, and none without forward secrecy.
_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"
_CERTIFICATE, _KEY = b"-----BEGIN CERTIFICATE-----", b"PRIVATE KEY-----"


class CertificateUnusable(SrvError):
    """The certificate or its key cannot serve."""

    def __init__(self, key: str, path: Path, why: str) -> None:
        super().__init__(f"The setting 'tls.{key}' names {path}, {why}. Give a certificate and its key in PEM.")


class CiphersUnusable(SrvError):
    """OpenSSL knows none of the ciphers."""

    def __init__(self, ciphers: str) -> None:
        super().__init__(
            f"The setting 'tls.ciphers' is {quoted(ciphers)}, of which OpenSSL knows no cipher. Give a list as "
            "`openssl ciphers` takes it, such as 'ECDHE+AESGCM', or leave it out."
        )


class ClientCaUnusable(SrvError):
    """The certificates that clients' own are checked with cannot be used."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(f"The setting 'tls.client_ca' names {path}, {why}. Give one certificate or more in PEM.")


class CertificatePair(msgspec.Struct, frozen=True):
    """A certificate and its key, in PEM, and the context that serves with them; and what clients are checked with."""

    certificate: bytes
    key: bytes
    context: ssl.SSLContext
    client_ca: bytes | None = None


def read_pair(tls: TlsSettings) -> CertificatePair:
    """Read both files. Raises CertificateUnusable where one cannot be read, is no PEM, or they do not belong together."""
    certificate, key = _content("certfile", tls.certfile), _content("keyfile", tls.keyfile)
    client_ca = _client_ca(tls.client_ca) if tls.client_ca is not None else None
    context = make_context(tls, client_ca)
    try:
        with _file_of(certificate) as first, _file_of(key) as second:
            context.load_cert_chain(first, second, password=_no_password)
    except (ssl.SSLError, ValueError) as error:
        raise _explained(tls, certificate, key, error) from None
    return CertificatePair(certificate, key, context, client_ca)


def make_context(tls: TlsSettings, client_ca: bytes | None = None) -> ssl.SSLContext:
    """Make the context of a server, without a certificate yet.

    Raises CiphersUnusable, or ClientCaUnusable for a file without certificates.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = _VERSIONS[tls.min_version]
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.set_ciphers(_CIPHERS if tls.ciphers is None else tls.ciphers)
    except ssl.SSLError:
        raise CiphersUnusable(str(tls.ciphers)) from None
    if tls.client_ca is not None and client_ca is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        try:
            context.load_verify_locations(cadata=client_ca.decode("ascii", errors="ignore"))
        except (ssl.SSLError, ValueError):
            raise ClientCaUnusable(tls.client_ca, "which holds no certificate in PEM") from None
    return context


def _client_ca(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ClientCaUnusable(path, f"which cannot be read: {os.strerror(error.errno or 0)}") from None


def _content(key: str, path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise CertificateUnusable(key, path, f"which cannot be read: {os.strerror(error.errno or 0)}") from None


def _explained(tls: TlsSettings, certificate: bytes, key: bytes, error: Exception) -> CertificateUnusable:
    reason = getattr(error, "reason", None)
    if _CERTIFICATE not in certificate and _KEY in certificate and _CERTIFICATE in key:
        return CertificateUnusable("certfile", tls.certfile, "which is a key, as 'tls.keyfile' is a certificate")
    if _KEY not in key and _CERTIFICATE in certificate:
        return CertificateUnusable("keyfile", tls.keyfile, "which holds no private key in PEM")
    if reason in _MISMATCHES:
        return CertificateUnusable("keyfile", tls.keyfile, "which is not the key of the certificate")
    return CertificateUnusable("certfile", tls.certfile, f"which with its key is of no use: {reason or error}")


@contextmanager
def _file_of(content: bytes) -> Iterator[str]:
    """Give the path of a file with that content, because OpenSSL reads files only. In memory where the system can."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("srv-tls")
        path = f"/proc/self/fd/{descriptor}"
    else:
        descriptor, path = tempfile.mkstemp(prefix="srv-tls-")
    try:
        with open(descriptor, "wb", 0, closefd=False) as file:
            file.write(content)
        yield path
    finally:
        os.close(descriptor)
        if not path.startswith("/proc/"):
            Path(path).unlink()


def _no_password() -> str:
    """Refuse a key that is protected, because nobody is there to type a password in."""
    raise ValueError("the key is protected by a password, and nobody can be asked for it")

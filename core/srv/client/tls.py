"""TLS of a client: whom it trusts, and the certificate that it shows."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import NamedTuple, TypeAlias

from srv.errors import InvalidInput

#: False for nobody to be checked, True for the system's authorities, a file with authorities, or a context (HTTP only).
Verify: TypeAlias = bool | Path | str | ssl.SSLContext


class Tls(NamedTuple):
    """Whom the client trusts, and its own certificate with its key, if it shows one."""

    verify: Verify = True
    certificate: tuple[Path | str, Path | str] | None = None

    def context(self) -> ssl.SSLContext:
        """Return the context for connections over HTTP. Raises UnusableTls naming the file that cannot be used."""
        if isinstance(self.verify, ssl.SSLContext):
            if self.certificate is not None:
                raise UnusableTls(
                    "A certificate is given beside an SSLContext; load it into that with load_cert_chain."
                )
            return self.verify
        context = ssl.create_default_context() if isinstance(self.verify, bool) else _trusting(self.verify)
        if self.verify is False:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if self.certificate is not None:
            try:
                chain, key = map(str, self.certificate)
                context.load_cert_chain(chain, key, _no_password)
            except (OSError, ValueError) as error:
                shown = " and ".join(f"'{part}'" for part in self.certificate)
                raise UnusableTls(f"The certificate and its key, {shown}, cannot be used: {_why(error)}.") from None
        return context

    def files(self) -> tuple[bytes | None, bytes | None, bytes | None]:
        """Return the contents of the files, for gRPC: authorities, key, certificate. Raises UnusableTls."""
        if self.verify is False or isinstance(self.verify, ssl.SSLContext):
            raise UnusableTls("Over gRPC a server's certificate is always checked; name its authority with verify.")
        chain, key = (None, None) if self.certificate is None else map(_content, self.certificate)
        return None if self.verify is True else _content(self.verify), key, chain


class UnusableTls(InvalidInput):
    """A file of certificates or keys that cannot be used, or a way to check that the transport does not have."""


def _trusting(authorities: Path | str) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=str(authorities))
    except OSError as error:
        raise UnusableTls(f"The authorities '{authorities}' cannot be used: {_why(error)}.") from None


def _content(file: Path | str) -> bytes:
    try:
        return Path(file).read_bytes()
    except OSError as error:
        raise UnusableTls(f"'{file}' cannot be used: {_why(error)}.") from None


def _why(error: OSError | ValueError) -> str:
    if isinstance(error, ssl.SSLError):
        return f"that is no PEM file of the kind ({error.reason or error})"
    return getattr(error, "strerror", None) or str(error)


def _no_password() -> str:
    raise ValueError("the key has a password")  # for which OpenSSL would ask at the terminal

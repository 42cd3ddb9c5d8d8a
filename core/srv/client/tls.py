"""TLS of a client: whom it trusts, and the certificate that it shows."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import NamedTuple, TypeAlias

#: False for nobody to be checked, True for the system's authorities, a file with authorities, or a context (HTTP only).
Verify: TypeAlias = bool | Path | str | ssl.SSLContext


class Tls(NamedTuple):
    """Whom the client trusts, and its own certificate with its key, if it shows one."""

    verify: Verify = True
    certificate: tuple[Path | str, Path | str] | None = None

    def context(self) -> ssl.SSLContext:
        """Return the context for connections over HTTP."""
        if isinstance(self.verify, ssl.SSLContext):
            return self.verify
        context = ssl.create_default_context(cafile=None if isinstance(self.verify, bool) else str(self.verify))
        if self.verify is False:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if self.certificate is not None:
            context.load_cert_chain(*map(str, self.certificate))
        return context

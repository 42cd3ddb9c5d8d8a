"""TLS handshakes, one step at a time, and connections on a TLS port that do not speak TLS."""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Callable

from srv.serve.http.connections import WOULD_BLOCK, Connection
from srv.serve.http.errors import PlainHttp, ProxyProtocol
from srv.serve.http.parse_errors import PROXY_PROTOCOL
from srv.serve.http.poller import READ, WRITE

#: How many bytes tell HTTP from TLS.
_FIRST = 16
#: A method and a blank, or as much of them as has come; TLS begins with no letter.
_HTTP = re.compile(rb"[A-Z]{1,16}(?: |\Z)")

#: OpenSSL's reasons as a person reads them.
_REASONS = {
    "UNSUPPORTED_PROTOCOL": "the client's version of TLS is older than tls.min_version",
    "VERSION_TOO_LOW": "the client's version of TLS is older than tls.min_version",
    "NO_SHARED_CIPHER": "the client has none of the ciphers that are offered here",
    "TLSV1_ALERT_UNKNOWN_CA": "the client does not trust the certificate",
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": "the client does not trust the certificate",
    "SSLV3_ALERT_BAD_CERTIFICATE": "the client does not trust the certificate",
    "TLSV1_ALERT_PROTOCOL_VERSION": "the client takes none of the versions of TLS that are spoken here",
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": "the client showed no certificate, and tls.client_ca asks for one",
    "CERTIFICATE_VERIFY_FAILED": "the client's certificate is none of tls.client_ca's",
    "HTTP_REQUEST": "what came is not TLS",
    "UNEXPECTED_EOF_WHILE_READING": "the client closed the connection",
    "UNKNOWN_PROTOCOL": "what came is not TLS",
    "WRONG_VERSION_NUMBER": "what came is not TLS",
}


def shake_hands(connection: Connection, failed: Callable[[Connection, str], object]) -> int | None:
    """Go on with a connection's handshake; return what it waits for, READ or WRITE, or None where it has ended.

    Raises Refused for what is not TLS and can be answered, OSError where the handshake has failed or the client has
    left. `failed` is told the reason, unless the client has left without a byte, as probes of TCP do.
    """
    assert isinstance(connection.socket, ssl.SSLSocket)
    try:
        if not connection.searched:
            _check_first_bytes(connection)
        connection.socket.do_handshake()
    except ssl.SSLWantReadError:
        return READ
    except ssl.SSLWantWriteError:
        return WRITE
    except PlainHttp:
        failed(connection, "what came is plain HTTP")
        raise
    except OSError as error:
        if connection.searched:
            failed(connection, reason_of(error))
        raise
    connection.searched = 0
    return None


def reason_of(error: OSError) -> str:
    """Return why a handshake has failed."""
    if not isinstance(error, ssl.SSLError):
        return "the client closed the connection"
    if isinstance(error, ssl.SSLEOFError):
        return _REASONS["UNEXPECTED_EOF_WHILE_READING"]
    reason = error.reason or ""
    return _REASONS.get(reason) or reason.replace("_", " ").lower() or type(error).__name__


def _check_first_bytes(connection: Connection) -> None:
    """Look at what came without taking it. Raises Refused where that is HTTP or the PROXY protocol."""
    try:
        first = socket.socket.recv(connection.socket, _FIRST, socket.MSG_PEEK)
    except WOULD_BLOCK:
        raise ssl.SSLWantReadError from None
    if not first:
        raise ConnectionResetError  # connected and left, as probes of TCP do
    connection.searched = len(first)
    if first.startswith((b"\r\n", PROXY_PROTOCOL[0])):
        connection.leave_tls()
        raise ProxyProtocol
    if _HTTP.match(first):
        connection.leave_tls()
        raise PlainHttp

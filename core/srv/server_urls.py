"""URLs of servers, as clients and commands are given them: with or without a scheme, or a Unix socket."""

from __future__ import annotations

import socket

_UNIX = "unix:"


def with_scheme(url: str) -> str:
    """Return the URL without a slash at its end; `host:port` alone is one of HTTP."""
    return (url if "://" in url or url.startswith(_UNIX) else f"http://{url}").rstrip("/")


def unix_path(url: str) -> str | None:
    """Return the path of `unix:/path` or `unix:///path`; None for any other URL."""
    return url.removeprefix(_UNIX).removeprefix("//") if url.startswith(_UNIX) else None


def unix_connection(path: str, seconds: float | None) -> socket.socket:
    """Return a connection to a Unix socket, whose later calls may take as many seconds too. Raises OSError."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.settimeout(seconds)
        sock.connect(path)
    except OSError:
        sock.close()
        raise
    return sock

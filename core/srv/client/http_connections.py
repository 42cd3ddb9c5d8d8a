"""Connections over HTTP: a pool of urllib3's for one server, TLS and Unix sockets among its ways, and its failures."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, ClassVar
from urllib.parse import unquote, urlsplit

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import (
    ClosedPoolError,
    ConnectTimeoutError,
    EmptyPoolError,
    HTTPError,
    NewConnectionError,
    ReadTimeoutError,
    SSLError,
)

from srv.client.bodies import Parts
from srv.client.failures import ConnectionLost, NoConnection, TimedOut
from srv.client.tls import Tls
from srv.errors import SrvError, quoted

#: The longest that a connection may take to come about, in seconds.
_CONNECT_SECONDS = 10.0
#: A body of less is sent at once, because a second call costs more than a copy.
_FEW_BYTES = 65536
#: How much of a stream is read at once, where so much is there.
_PIECE = 65536


class NoServerUrl(SrvError):
    """The address is no URL of a server."""

    def __init__(self, url: str) -> None:
        super().__init__(
            f"{quoted(url)} is no URL of a server; write http://host:port, https://host:port, unix:/path or grpc://host:port."
        )


class Abandonable:
    """A call that another thread may end: its connection is shut, so that the server notices that the client left."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._connection: HTTPConnection | None = None
        self._abandoned = False

    def use(self, connection: HTTPConnection) -> None:
        """Note the connection that the call uses now; shut it at once if the call was abandoned already."""
        with self._lock:
            self._connection = connection
            abandoned = self._abandoned
        if abandoned:
            _shut(connection)

    def abandon(self) -> None:
        """End the call, from any thread."""
        with self._lock:
            self._abandoned = True
            connection = self._connection
        if connection is not None:
            _shut(connection)


#: The call that this thread makes, where another one may end it.
CALL: ContextVar[Abandonable | None] = ContextVar("srv.client.call", default=None)


def _shut(connection: HTTPConnection) -> None:
    sock = connection.sock
    if sock is not None:
        try:
            sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            return  # it is shut already


class _Noticed(HTTPConnection):
    """A connection that tells the call of this thread that it is used."""

    def putrequest(self, *args: Any, **kwargs: Any) -> None:
        """Begin a request."""
        if self.sock is None:
            self.connect()
        call = CALL.get()
        if call is not None:
            call.use(self)
        super().putrequest(*args, **kwargs)


class _Connection(_Noticed):
    pass


class _TlsConnection(_Noticed, HTTPSConnection):
    pass


class _OverUnixSocket(_Noticed):
    """A connection over a Unix socket; the path is its pool's."""

    path: ClassVar[str]

    def _new_conn(self) -> socket.socket:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            sock.settimeout(_CONNECT_SECONDS)
            sock.connect(self.path)
        except OSError as error:
            sock.close()
            raise NewConnectionError(self, error.strerror or str(error)) from error
        return sock


class HttpPool:
    """Up to `connections` connections to one server, kept open between requests. Threads beyond that wait."""

    def __init__(
        self,
        url: str,
        *,
        connections: int,
        tls: Tls,
    ) -> None:
        self.url = url
        self._prefix = ""
        kwargs: dict[str, Any] = {"maxsize": connections, "block": True, "retries": False}
        if url.startswith("unix:"):
            path = unquote(url.removeprefix("unix:").removeprefix("//"))
            kind: type[HTTPConnection] = type("_OverUnixSocket", (_OverUnixSocket,), {"path": path})
            self._pool: urllib3.HTTPConnectionPool = urllib3.HTTPConnectionPool("localhost", **kwargs)
            self._pool.ConnectionCls = kind
            return
        host, port, scheme, self._prefix = _parts(url)
        if scheme == "http":
            self._pool = urllib3.HTTPConnectionPool(host, port, **kwargs)
            self._pool.ConnectionCls = _Connection
        else:
            self._pool = urllib3.HTTPSConnectionPool(host, port, ssl_context=tls.context(), **kwargs)
            self._pool.ConnectionCls = _TlsConnection

    @contextmanager
    def request(
        self, method: str, path: str, body: Parts | bytes | None, headers: Mapping[str, str], seconds: float
    ) -> Iterator[urllib3.BaseHTTPResponse]:
        """Send a request and give its response, whose body is not read yet. Errors of the block's reading are told too.

        Raises NoConnection, TimedOut or ConnectionLost. A response whose body was not read to its end costs its connection.
        """
        response: urllib3.BaseHTTPResponse | None = None
        whole = False
        try:
            response = self._pool.urlopen(
                method,
                self._prefix + path,
                body=body if body is None or isinstance(body, bytes) else _sent(body),
                headers=headers,
                timeout=urllib3.Timeout(connect=min(seconds, _CONNECT_SECONDS), read=seconds),
                pool_timeout=seconds,  # type: ignore[arg-type]  # which queues take as seconds and fractions
                redirect=False,
                preload_content=False,
                decode_content=True,
            )
            yield response
            whole = True
        except (NewConnectionError, ConnectTimeoutError, SSLError) as error:
            raise NoConnection(self.url, _why(error)) from None
        except (ReadTimeoutError, EmptyPoolError):
            raise TimedOut(self.url, seconds) from None
        except ClosedPoolError:
            raise NoConnection(self.url, "the client is closed") from None
        except (HTTPError, OSError) as error:
            raise ConnectionLost(self.url, _why(error)) from None
        finally:
            if response is not None:
                if not whole:
                    response.close()
                response.release_conn()

    def close(self) -> None:
        """Close all connections."""
        self._pool.close()


def _parts(url: str) -> tuple[str, int | None, str, str]:
    """Return host, port, scheme and what comes before every path. Raises NoServerUrl."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise NoServerUrl(url) from None
    if parts.scheme not in ("http", "https") or not host or parts.query or parts.fragment or parts.username is not None:
        raise NoServerUrl(url)
    return host, port, parts.scheme, parts.path.rstrip("/")


def _sent(parts: Parts) -> Any:
    """Return the parts of a body as they are sent: one by one, which copies no tensor, or few bytes as one."""
    if sum(map(len, parts)) < _FEW_BYTES:
        return b"".join(parts)
    return iter(parts)


def pieces_of(response: urllib3.BaseHTTPResponse) -> Iterator[bytes]:
    """Yield a body's bytes as they come."""
    if response.chunked:
        yield from response.stream(_PIECE)
        return
    while piece := response.read1(_PIECE):
        yield piece


def _why(error: BaseException) -> str:
    """Return what the operating system or TLS says, without urllib3's own words around it."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLError):
            return str(cause.reason or cause)
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
        cause = cause.__cause__ or cause.__context__
    return str(error).rpartition(": ")[2].rstrip(".") or type(error).__name__

"""Connections over HTTP: a pool of urllib3's for one server, TLS and Unix sockets among its ways, and its failures."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from http.client import BadStatusLine
from typing import Any, ClassVar, NamedTuple
from urllib.parse import urlsplit

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import (
    ClosedPoolError,
    ConnectTimeoutError,
    EmptyPoolError,
    HTTPError,
    NewConnectionError,
    ReadTimeoutError,
)

from srv.client.abandoning import CALL
from srv.client.bodies import Parts
from srv.client.failures import ConnectionLost, NoConnection, NoServerUrl, NotTheProtocol, TimedOut
from srv.client.tls import Tls
from srv.errors import quoted
from srv.server_urls import unix_connection, unix_path

#: The longest that a connection may take to come about, in seconds.
_CONNECT_SECONDS = 10.0
#: A body of less is sent at once, because a second call costs more than a copy.
_FEW_BYTES = 65536
#: How much of a stream is read at once, where so much is there.
_PIECE, _LARGE_PIECE = 65536, 2**20
_INTERNAL = 500
#: The most memory that is taken at a server's word alone.
_MOST_AT_ONCE = 2**30


class WholeResponse(NamedTuple):
    """A response that was read whole; names of headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    data: bytearray


class _Noticed(HTTPConnection):
    """A connection that tells the call of this thread that it is used. Connecting has a limit of its own."""

    def connect(self) -> None:
        """Connect. Raises NewConnectionError or ConnectTimeoutError for all failures, TLS's too: nothing was sent then."""
        seconds: Any = self.timeout
        self.timeout = min(seconds, _CONNECT_SECONDS)
        try:
            super().connect()
        except ssl.SSLError as error:
            raise NewConnectionError(self, str(error)) from error
        except TimeoutError as error:
            raise ConnectTimeoutError(self, "the handshake took too long") from error
        finally:
            self.timeout = seconds

    def putrequest(self, *args: Any, **kwargs: Any) -> None:
        """Begin a request, which may take the whole time of its call to be sent."""
        if self.sock is None:
            self.connect()
        self.sock.settimeout(self.timeout)  # which was that for connecting, or what the request before was given
        call = CALL.get()
        if call is not None:
            call.use(partial(_shut, self.sock))
        super().putrequest(*args, **kwargs)

    def getresponse(self) -> urllib3.HTTPResponse:  # type: ignore[override]  # as urllib3 itself
        """Return the response. One with the status 500 is the last here, as if it said so.

        Servers on uvicorn close the connection after an exception without a word, which would cost the next request.
        """
        response = super().getresponse()
        if response.status == _INTERNAL and self.sock is not None:
            self.sock.close()  # which the response's own file outlives
            self.sock = None
        return response


def _shut(sock: socket.socket) -> None:
    with suppress(OSError):  # it is shut already
        sock.shutdown(socket.SHUT_RDWR)


class _Connection(_Noticed):
    pass


class _TlsConnection(_Noticed, HTTPSConnection):
    pass


class _OverUnixSocket(_Noticed):
    """A connection over a Unix socket; the path is its pool's."""

    path: ClassVar[str]

    def _new_conn(self) -> socket.socket:
        seconds: Any = self.timeout
        try:
            return unix_connection(self.path, seconds)
        except OSError as error:
            raise NewConnectionError(self, error.strerror or str(error)) from error


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
        self._connections = connections
        self._prefix = ""
        kwargs: dict[str, Any] = {"maxsize": connections, "block": True, "retries": False}
        path = unix_path(url)
        if path is not None:
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

    def ask(
        self, method: str, path: str, body: Parts | bytes | None, headers: Mapping[str, str], seconds: float
    ) -> WholeResponse:
        """Send a request and read its response whole, all within the seconds. Raises NoConnection, TimedOut or ConnectionLost."""
        deadline = time.monotonic() + seconds
        with self.request(method, path, body, headers, seconds) as response:
            data = bytearray(
                _length(response)
            )  # one piece of memory, because the parts of a large body would take twice as much
            end = 0
            for piece in pieces_of(response, _LARGE_PIECE):
                data[end : end + len(piece)] = piece
                end += len(piece)
                if time.monotonic() > deadline and response.length_remaining != 0:
                    raise TimedOut(self.url, seconds)
            del data[end:]
            return WholeResponse(response.status, headers_of(response), data)

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
                timeout=urllib3.Timeout(connect=seconds, read=seconds),
                pool_timeout=seconds,  # type: ignore[arg-type]  # which queues take as seconds and fractions
                redirect=False,
                preload_content=False,
                decode_content=True,
            )
            yield response
            whole = True
        except (NewConnectionError, ConnectTimeoutError) as error:
            raise NoConnection(self.url, _why(error)) from None
        except EmptyPoolError:
            raise NoConnection(self.url, f"all {self._connections} connections of this client are in use") from None
        except ReadTimeoutError:
            raise TimedOut(self.url, seconds) from None
        except ClosedPoolError:
            raise NoConnection(self.url, "the client is closed") from None
        except (HTTPError, OSError) as error:
            if any(isinstance(cause, TimeoutError) for cause in _causes(error)):
                raise TimedOut(self.url, seconds) from None  # the server took too long to take the request
            for cause in _causes(error):
                if type(cause) is BadStatusLine:  # no subclass, which is a lost connection
                    begins = quoted(str(cause).strip())
                    raise NotTheProtocol(self.url, f"it does not speak HTTP, its answer begins with {begins}") from None
            raise ConnectionLost(self.url, _why(error)) from None
        finally:
            call = CALL.get()
            if call is not None:
                call.finished()
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


def _length(response: urllib3.BaseHTTPResponse) -> int:
    """Return how many bytes of a body are sure to come: none where it says no length, or that of a packed body."""
    packed = response.headers.get("Content-Encoding")
    return 0 if packed else min(response.length_remaining or 0, _MOST_AT_ONCE)


def headers_of(response: urllib3.BaseHTTPResponse) -> Mapping[str, str]:
    """Return the headers of a response, names in lower case."""
    return {name.lower(): value for name, value in response.headers.items()}


def pieces_of(response: urllib3.BaseHTTPResponse, most: int = _PIECE) -> Iterator[bytes]:
    """Yield a body's bytes as they come, at most so many at once."""
    if response.chunked:
        yield from response.stream(most)
        return
    while piece := response.read1(most):
        yield piece


def _why(error: BaseException) -> str:
    """Return what the operating system, TLS or the first cause says, without urllib3's own words around it."""
    cause = error
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"its certificate is not trusted ({cause.verify_message}); name its authority with verify"
        if isinstance(cause, ssl.SSLError):
            return str(cause.reason or cause)
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
    return str(cause).rstrip(".") or type(cause).__name__


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and what caused it, urllib3's arguments among that."""
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        within = [each for each in cause.args if isinstance(each, BaseException)]
        cause = cause.__cause__ or cause.__context__ or (within[0] if within else None)

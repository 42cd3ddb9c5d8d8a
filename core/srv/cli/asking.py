"""How commands ask a server that runs: over HTTP, with the standard library alone."""

from __future__ import annotations

import http.client
import json
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import SplitResult, urlsplit

import click

from srv.errors import SrvError, quoted

Command = TypeVar("Command", bound=Callable[..., Any])

#: What `srv start` listens on where nothing else is said; repeated here, because reading settings imports too much.
HOST, PORT = "127.0.0.1", 8080
_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  asked there, never bound


class NoServer(SrvError):
    """Nothing answers there."""

    def __init__(self, url: str, why: str) -> None:
        super().__init__(
            f"No server answers at {url}: {why}. Start one with `srv start`, or say where it is with --url."
        )


class NoUrl(SrvError):
    """An address that cannot be asked."""

    def __init__(self, url: str) -> None:
        super().__init__(f"{quoted(url)} is no URL of a server; write http://host:port or unix:/path.")


class NotSrv(SrvError):
    """Something answers there, and not as srv does."""

    def __init__(self, url: str, status: int) -> None:
        super().__init__(f"What answers at {url} does not look like srv: it answered {status} without a sentence.")


class Refused(SrvError):
    """The server says no; the sentence is its own."""


@dataclass(frozen=True)
class Server:
    """A server that runs, by its URL."""

    url: str

    def ask(self, method: str, path: str, document: Any = None, *, seconds: float | None) -> Any:
        """What it answers, from JSON. Raises Refused with what it says, NoServer, or NotSrv."""
        connection, prefix = _connection(self.url, seconds)
        body = None if document is None else json.dumps(document).encode()
        headers = {} if body is None else {"Content-Type": "application/json"}
        try:
            connection.request(method, prefix + path, body=body, headers=headers)
            response = connection.getresponse()
            data = response.read()
        except TimeoutError:
            raise NoServer(self.url, f"nothing came within {seconds:g} s") from None
        except (OSError, http.client.HTTPException) as error:
            raise NoServer(self.url, getattr(error, "strerror", None) or str(error) or type(error).__name__) from None
        finally:
            connection.close()
        return _answer(self.url, response.status, data)


def url_option(command: Command) -> Command:
    """Give a command --url, None where it was not given."""
    text = "Where the server is, http://host:port or unix:/path; by default where SRV_HOST and SRV_HTTP_PORT say."
    return click.option("--url", metavar="URL", help=text)(command)


def server_at(url: str | None) -> Server:
    """The server of that URL, or the one that `srv start` makes here and now. Raises NoUrl."""
    chosen = _here() if url is None else url
    if "://" not in chosen and not chosen.startswith("unix:"):
        chosen = f"http://{chosen}"
    chosen = chosen.rstrip("/")
    _connection(chosen, None)[0].close()
    return Server(chosen)


def _here() -> str:
    host = os.environ.get("SRV_HOST", HOST)
    if host.startswith("unix:"):
        return host
    host = _EVERYWHERE.get(host, host)
    return f"http://{f'[{host}]' if ':' in host else host}:{os.environ.get('SRV_HTTP_PORT', PORT)}"


def _connection(url: str, seconds: float | None) -> tuple[http.client.HTTPConnection, str]:
    """A connection that is not open yet, and what comes before every path."""
    if url.startswith("unix:"):
        return _UnixConnection(url.removeprefix("unix:"), seconds), ""
    try:
        parts = urlsplit(url)
        kind = _KINDS[parts.scheme]
        return kind(_host(parts), parts.port, timeout=seconds), parts.path
    except (KeyError, ValueError, http.client.InvalidURL):
        raise NoUrl(url) from None


def _host(parts: SplitResult) -> str:
    if parts.hostname is None:
        raise ValueError(parts)
    return parts.hostname


def _answer(url: str, status: int, data: bytes) -> Any:
    try:
        document = json.loads(data)
    except ValueError:
        raise NotSrv(url, status) from None
    if status < http.client.BAD_REQUEST:
        return document
    sentence = document.get("error") if isinstance(document, dict) else None
    raise Refused(sentence) if isinstance(sentence, str) else NotSrv(url, status)


class _UnixConnection(http.client.HTTPConnection):
    """HTTP on a Unix socket."""

    def __init__(self, path: str, seconds: float | None) -> None:
        super().__init__("localhost", timeout=seconds)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


_KINDS = {"http": http.client.HTTPConnection, "https": http.client.HTTPSConnection}

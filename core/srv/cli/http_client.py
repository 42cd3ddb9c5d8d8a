"""The client of the commands: asks a running server over HTTP, with the standard library alone."""

from __future__ import annotations

import http.client
import json
import os
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import SplitResult, urlsplit

import click

from srv.cli.output import echo
from srv.cli.server_address import ServerAddress, server_address
from srv.errors import SrvError, quoted
from srv.server_urls import unix_connection, unix_path, with_scheme

Command = TypeVar("Command", bound=Callable[..., Any])


class NoServer(SrvError):
    """Nothing answers at that address."""

    def __init__(self, url: str, why: str) -> None:
        super().__init__(
            f"No server answers at {url}: {why}. Start one with `srv start`, or say where it is with --url."
        )


class NoUrl(SrvError):
    """The address is no URL of a server."""

    def __init__(self, url: str) -> None:
        super().__init__(f"{quoted(url)} is no URL of a server; write http://host:port or unix:/path.")


class NotSrv(SrvError):
    """A server answers at that address, and it is not srv."""

    def __init__(self, url: str, status: int) -> None:
        super().__init__(f"What answers at {url} does not look like srv: it answered {status} without a sentence.")


class ServerRefused(SrvError):
    """The server refused the request; the sentence after its address is the server's own."""

    def __init__(self, url: str, sentence: str) -> None:
        super().__init__(f"The server at {url} says: {sentence}")


@dataclass(frozen=True)
class RunningServer:
    """A running server by its address; `guessed` where the user has not named one."""

    address: ServerAddress
    guessed: bool = False

    @property
    def url(self) -> str:
        """The server's URL."""
        return self.address.url

    @property
    def tls_context(self) -> ssl.SSLContext | None:
        """The context for this machine's own server where it has TLS; None where the URL says all."""
        return _context(self.address) if self.address.is_own_tls else None

    def tell(self) -> None:
        """Print on stderr which server has answered, where the user has not named one."""
        if self.guessed:
            echo(f"The server is {self.url}.", err=True)

    def ask(self, method: str, path: str, document: Any = None, *, seconds: float | None) -> Any:
        """Return the server's answer, from JSON. Raises ServerRefused with its sentence, NoServer, or NotSrv."""
        connection, prefix = _connection(self.address, seconds)
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
    text = "Where the server is, http://host:port or unix:/path; by default where settings.json and SRV_HOST say."
    return click.option("--url", metavar="URL", help=text)(command)


def server_at(url: str | None, folder: Path = Path()) -> RunningServer:
    """Return the server of that URL, or the one that `srv start` of the folder makes. Raises NoUrl, NoAddress."""
    address = server_address(folder, os.environ) if url is None else ServerAddress(with_scheme(url))
    _connection(address, None)[0].close()
    return RunningServer(address, guessed=url is None)


def _connection(address: ServerAddress, seconds: float | None) -> tuple[http.client.HTTPConnection, str]:
    """Return a connection that is not open yet, and what comes before every path."""
    context = RunningServer(address).tls_context
    path = unix_path(address.url)
    if path is not None:
        return _UnixConnection(path, seconds, context), ""
    try:
        parts = urlsplit(address.url)
        if parts.scheme == "https":
            return http.client.HTTPSConnection(_host(parts), parts.port, timeout=seconds, context=context), parts.path
        if parts.scheme == "http":
            return http.client.HTTPConnection(_host(parts), parts.port, timeout=seconds), parts.path
        raise NoUrl(address.url)
    except (ValueError, http.client.InvalidURL):
        raise NoUrl(address.url) from None


def _context(address: ServerAddress) -> ssl.SSLContext:
    """Return the context for this machine's own server. Its certificate names another host, and may be renewed already."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if address.certificate is not None:
        try:
            context.load_cert_chain(*address.certificate, password=_no_password)
        except (OSError, ValueError) as error:
            raise NoServer(address.url, f"its own certificate, to be shown to it, cannot be read ({error})") from None
    return context


def _no_password() -> str:
    raise ValueError("the key has a password")


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
    raise ServerRefused(url, sentence) if isinstance(sentence, str) else NotSrv(url, status)


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket, with TLS where there is a context."""

    def __init__(self, path: str, seconds: float | None, context: ssl.SSLContext | None) -> None:
        super().__init__("localhost", timeout=seconds)
        self._path = path
        self._context = context

    def connect(self) -> None:
        self.sock = unix_connection(self._path, self.timeout)
        if self._context is not None:
            self.sock = self._context.wrap_socket(self.sock)

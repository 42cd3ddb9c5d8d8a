"""The address of the server of a folder, read from its settings and from variables by the standard library alone."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from srv.errors import SrvError, quoted

#: What `srv start` listens on where nothing else is said; repeated here, because reading settings imports too much.
HOST, PORT = "127.0.0.1", 8080
_FILE = "settings.json"
_PREFIX, _DEFAULT_PREFIX = "SRV_", "SRV_DEFAULT__"
_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  asked there, never bound
#: What Kubernetes puts into variables such as SRV_HTTP_PORT for a Service that is called `srv-http`.
_INJECTED = re.compile(r"(tcp|udp|sctp)://")


class NoAddress(SrvError):
    """The settings do not say where the server is."""

    def __init__(self, why: str) -> None:
        super().__init__(f"{why}, so nobody knows where its server is. Say it with --url.")


@dataclass(frozen=True)
class ServerAddress:
    """A server's URL, and where it asks clients for a certificate, its own certificate and key to show it."""

    url: str
    #: Whether the URL is that of this machine's own server with TLS, whose certificate need not name this address.
    is_own_tls: bool = False
    certificate: tuple[Path, Path] | None = None


def server_address(folder: Path, environ: Mapping[str, str]) -> ServerAddress:
    """Return where `srv start` of that folder listens with these variables. Raises NoAddress.

    Flags of `srv start` are not known here.
    """
    host, port = HOST, str(PORT)
    tls: dict[str, Any] = {}
    for source in (_variables(environ, _DEFAULT_PREFIX), _file(folder), _variables(environ, _PREFIX)):
        host = str(source.get("host", host))
        port = str(source.get("http_port", port))
        if "tls" in source:
            tls = {**tls, **source["tls"]} if isinstance(source["tls"], dict) else {}
    url = host if host.startswith("unix:") else _url("https" if tls else "http", host, port)
    if not (tls.get("client_ca") and {"certfile", "keyfile"} <= tls.keys()):
        return ServerAddress(url, is_own_tls=bool(tls))
    return ServerAddress(url, is_own_tls=True, certificate=(Path(tls["certfile"]), Path(tls["keyfile"])))


def _url(scheme: str, host: str, port: str) -> str:
    if port == "0":
        raise NoAddress("The setting 'http_port' is 0, which takes a free port at each start")
    host = _EVERYWHERE.get(host, host)
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"


def _file(folder: Path) -> Mapping[str, Any]:
    """Return what the folder's settings.json says. Paths of `tls` begin at the folder."""
    path = folder / _FILE
    try:
        said = json.loads(path.read_text(encoding="utf-8-sig"))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise NoAddress(f"{quoted(str(path))} cannot be read ({error.strerror})") from None
    except (ValueError, RecursionError):
        raise NoAddress(f"{quoted(str(path))} is not JSON") from None
    if not isinstance(said, dict):
        return {}
    tls = said.get("tls")
    if isinstance(tls, dict):
        paths = {key: folder / str(value) for key, value in tls.items() if key.endswith("file")}
        said["tls"] = {**tls, **paths}
    return said


def _variables(environ: Mapping[str, str], prefix: str) -> dict[str, Any]:
    """Return what variables of that prefix say of the address."""
    said: dict[str, Any] = {key: text for key, text in _given(environ, prefix) if key in ("host", "http_port")}
    tls: dict[str, Any] | None = None
    for key, text in _given(environ, prefix):
        if key == "tls":
            tls = _object(text)
            said["tls"] = tls
        elif key.startswith("tls__"):
            tls = {**(tls or {}), key.removeprefix("tls__"): None if text == "null" else text}
            said["tls"] = tls
    return said


def _given(environ: Mapping[str, str], prefix: str) -> Iterator[tuple[str, str]]:
    """Yield keys and texts in the order of names, so that SRV_TLS comes before what is inside of it.

    What an image's default says again is no word of its own.
    """
    for name in sorted(environ):
        if prefix == _PREFIX and environ.get(_DEFAULT_PREFIX + name.removeprefix(prefix)) == environ[name]:
            continue
        if name.startswith(prefix) and name.isupper() and not _INJECTED.match(environ[name]):
            yield name.removeprefix(prefix).lower(), environ[name]


def _object(text: str) -> dict[str, Any] | None:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None

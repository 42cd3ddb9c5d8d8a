"""Listening sockets, bound by the launcher, and a sentence for each reason why that fails."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat
import sys
from pathlib import Path
from typing import Any

from srv.errors import SrvError

_UNIX = "unix:"
#: Bytes in the path of a Unix socket.
_LONGEST_PATH = 103 if sys.platform == "darwin" else 107


class CannotListen(SrvError):
    """The address cannot be had."""


class AddressTaken(CannotListen):
    """Another process listens there already."""


class PortTaken(AddressTaken):
    """Another process listens there already."""

    def __init__(self, host: str, port: int, flag: str) -> None:
        super().__init__(
            f"Port {port} on {host} is taken by another process. Stop that one, or choose another port with {flag} "
            f"({flag} 0 takes a free one)."
        )


class HostUnknown(CannotListen):
    """The host cannot be resolved, or is no address of this machine."""

    def __init__(self, host: str, why: str) -> None:
        super().__init__(
            f"srv cannot listen on host '{host}': {why}. Give an address of this machine with --host; "
            f"127.0.0.1 is reached from here only, 0.0.0.0 from everywhere."
        )


class PortForbidden(CannotListen):
    """Low ports need rights."""

    def __init__(self, host: str, port: int, flag: str) -> None:
        super().__init__(f"This user may not listen on port {port} of {host}. Choose one above 1023 with {flag}.")


class SocketTaken(AddressTaken):
    """Another process listens on the Unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__(
            f"Another process listens on {_UNIX}{path}. Stop that one, or choose another path with --host."
        )


class SocketUnusable(CannotListen):
    """The path of a Unix socket cannot be used."""

    def __init__(self, path: str, why: str) -> None:
        super().__init__(f"srv cannot listen on {_UNIX}{path}: {why}. Choose another path with --host.")


class Listener:
    """A socket that listens, and its address as a URL. Closing removes a Unix socket's file if it is still the same file."""

    def __init__(self, sock: socket.socket, url: str, path: Path | None = None) -> None:
        self.socket = sock
        self.url = url
        self._path = path
        self._identity = _identity(path) if path is not None else None

    def close(self) -> None:
        """Stop listening in this process."""
        self.socket.close()
        if self._path is not None and _identity(self._path) == self._identity:
            self._path.unlink(missing_ok=True)


def listen(host: str, port: int, *, backlog: int, scheme: str = "http", flag: str = "--http-port") -> Listener:
    """Listen on a host name, an IPv4 or IPv6 address, or `unix:/path`; port 0 takes a free one.

    Raises CannotListen with what stands in the way.
    """
    if host.startswith(_UNIX):
        return _listen_on_path(host.removeprefix(_UNIX), backlog)
    family, kind, protocol, address = _resolved(host, port)
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if family == socket.AF_INET6 and address[0] == "::":
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        sock.bind(address)
        sock.listen(backlog)
    except OSError as error:
        sock.close()
        raise _explained(error, host, port, flag) from None
    sock.settimeout(0)
    bound = sock.getsockname()[1]
    return Listener(sock, f"{scheme}://[{host}]:{bound}" if ":" in host else f"{scheme}://{host}:{bound}")


class PortReservation:
    """A port that the launcher keeps for its workers, each of which listens on it by itself, by its `address`."""

    def __init__(self, sock: socket.socket) -> None:
        host, port = sock.getsockname()[:2]
        self.address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self._socket = sock

    def close(self) -> None:
        """Release the port in this process."""
        self._socket.close()


def reserve_port(host: str, port: int, *, flag: str = "--grpc-port") -> PortReservation:
    """Reserve a port by a socket that never listens; port 0 takes a free one.

    Bound alone, because a second server would take half of the connections else; shared from then on. Raises
    CannotListen with what stands in the way.
    """
    family, kind, protocol, address = _resolved(host, port)
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
        # Taken back, because it would let the next one bind alone too, for as long as no worker listens.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    except OSError as error:
        sock.close()
        raise _explained(error, host, port, flag) from None
    return PortReservation(sock)


def _resolved(host: str, port: int) -> tuple[socket.AddressFamily, socket.SocketKind, int, Any]:
    """Return where to bind. Raises HostUnknown."""
    # As bytes, because Python imports the tables of Unicode for a host that is text.
    known = host.encode() if host.isascii() else host
    try:
        found = socket.getaddrinfo(known, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except socket.gaierror:
        raise HostUnknown(host, "the name is not known") from None
    # Of a name's addresses the IPv4 one: clients that are given 'localhost' try both, those of 127.0.0.1 do not.
    family, kind, protocol, _, address = min(found, key=lambda entry: entry[0] != socket.AF_INET)
    return family, kind, protocol, address


def _explained(error: OSError, host: str, port: int, flag: str) -> CannotListen:
    if error.errno == errno.EADDRINUSE:
        return PortTaken(host, port, flag)
    if error.errno in (errno.EACCES, errno.EPERM):
        return PortForbidden(host, port, flag)
    if error.errno == errno.EADDRNOTAVAIL:
        return HostUnknown(host, "it is no address of this machine")
    return HostUnknown(host, os.strerror(error.errno or 0))


def _listen_on_path(name: str, backlog: int) -> Listener:
    path = Path(name).absolute()
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _remove_leftover(path)
        sock.bind(str(path))
        sock.listen(backlog)
    except OSError as error:
        sock.close()
        raise SocketUnusable(str(path), _why_unusable(path, error)) from None
    except CannotListen:
        sock.close()
        raise
    sock.settimeout(0)
    return Listener(sock, f"{_UNIX}{path}", path)


def _why_unusable(path: Path, error: OSError) -> str:
    length = len(os.fsencode(path))
    if length > _LONGEST_PATH:
        return f"the path has {length} bytes, and that of a socket has {_LONGEST_PATH} at most"
    return os.strerror(error.errno) if error.errno else str(error)


def _remove_leftover(path: Path) -> None:
    """Remove the socket of a server that has ended; any other file stays."""
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise SocketUnusable(str(path), "something that is no socket stands there")
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            try:
                probe.connect(str(path))
            except ConnectionRefusedError:
                path.unlink()
            else:
                raise SocketTaken(str(path))


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.lstat()
    except OSError:
        return None
    return found.st_dev, found.st_ino

"""Telling systemd how the server is, where it has started the server as a service of type notify."""

from __future__ import annotations

import os
import socket
from contextlib import suppress


def notify_systemd(state: str) -> None:
    """Send a state such as `READY=1`. Does nothing where systemd has not asked, or does not listen."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):  # an abstract socket
        address = "\0" + address[1:]
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as systemd:
        systemd.connect(address)
        systemd.sendall(state.encode())

"""HTTP/2 by hand, for what no gRPC client sends: one stream, its frames as they are said, and how it ends."""

from __future__ import annotations

import re
import socket
import struct
from collections.abc import Mapping

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY = 0, 1, 3, 4, 6, 7
END_STREAM, ACK, END_HEADERS = 1, 1, 4
LARGEST = 16_384
#: In the first block of headers of a connection everything stands as it is: nothing is in the table yet.
STATUS = re.compile(rb"grpc-status.(\d+)", re.DOTALL)


def converse(address: str, path: str, body: bytes, headers: Mapping[str, str]) -> int | None:
    """gRPC's status for a stream of these bytes, or None for one that was reset."""
    host, _, port = address.rpartition(":")
    said = {
        ":method": "POST",
        ":scheme": "http",
        ":path": path,
        ":authority": address,
        "content-type": "application/grpc",
        "te": "trailers",
        **headers,
    }
    block = b"".join(b"\x00" + _text(name) + _text(value) for name, value in said.items())
    pieces = [body[start : start + LARGEST] for start in range(0, len(body), LARGEST)] or [b""]
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        connection.sendall(PREFACE + _frame(SETTINGS, 0, 0, b"") + _frame(HEADERS, END_HEADERS, 1, block))
        for piece in pieces[:-1]:
            connection.sendall(_frame(DATA, 0, 1, piece))
        connection.sendall(_frame(DATA, END_STREAM, 1, pieces[-1]))
        with connection.makefile("rb") as answers:
            while head := answers.read(9):
                length, kind, flags = int.from_bytes(head[:3], "big"), head[3], head[4]
                content = answers.read(length)
                if kind in (SETTINGS, PING) and not flags & ACK:
                    connection.sendall(_frame(kind, ACK, 0, content if kind == PING else b""))
                if kind == HEADERS and (status := STATUS.search(content)):
                    return int(status[1])
                if kind in (RST_STREAM, GOAWAY):
                    return None
    raise AssertionError("The server closed the connection and said nothing.")


def _frame(kind: int, flags: int, stream: int, content: bytes) -> bytes:
    return struct.pack(">I", len(content))[1:] + bytes((kind, flags)) + struct.pack(">I", stream) + content


def _text(text: str) -> bytes:
    data = text.encode("latin-1")
    assert len(data) < 127
    return bytes((len(data),)) + data

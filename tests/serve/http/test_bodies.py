import socket

import pytest

from srv.planes.limits import Limit
from srv.serve.http import reader as reading
from srv.serve.http.before_body import HeadCheck
from srv.serve.http.connections import Connection
from srv.serve.http.errors import BodyOutOfMemory, body_of
from srv.serve.http.limits import Limits
from srv.serve.http.malloc import room_for
from srv.serve.http.wsgi import BodyReader

TEXT = b"one\ntwo\n\nfour"


@pytest.fixture
def reader():
    return BodyReader(memoryview(TEXT))


def test_a_body_is_read_at_once_or_in_pieces(reader):
    assert reader.read(2) == b"on"
    assert reader.read(0) == b""
    assert reader.read() == TEXT[2:]
    assert reader.read() == reader.read(5) == b""


def test_a_body_is_read_by_lines(reader):
    assert reader.readline() == b"one\n"
    assert reader.readline(2) == b"tw"
    assert reader.readlines() == [b"o\n", b"\n", b"four"]
    assert reader.readline() == b""


def test_a_long_line_is_one_line():
    body = b"x" * 20_000 + b"\n" + b"y"

    assert list(BodyReader(memoryview(body))) == [b"x" * 20_000 + b"\n", b"y"]


def test_room_is_writable_and_as_long_as_asked():
    room = room_for(5)
    room[:] = b"12345"

    assert bytes(room) == b"12345"
    assert len(room_for(0)) == 0


@pytest.mark.parametrize("framing", [b"Content-Length: 5000", b"Transfer-Encoding: chunked"], ids=["sized", "chunked"])
def test_a_body_for_which_there_is_no_memory_is_a_503_that_blames_no_limit(monkeypatch, framing):
    def no_memory(*_):
        raise MemoryError

    monkeypatch.setattr(reading, "room_for", no_memory)
    monkeypatch.setattr(reading.Chunks, "feed", no_memory)
    left, right = socket.socketpair()
    connection = Connection(left, ("", ""), ("", ""))
    reader = reading.ConnectionReader(Limits(), Limit(1 << 30), HeadCheck(None, {}))

    with left, right, pytest.raises(BodyOutOfMemory) as refused:
        reader.advance(connection, b"POST / HTTP/1.1\r\nHost: x\r\n" + framing + b"\r\n\r\n")

    assert (refused.value.status, refused.value.code) == (503, "UNAVAILABLE")
    assert b"has no memory left for this request" in body_of(refused.value)
    assert b"max_inflight_bytes" not in body_of(refused.value)

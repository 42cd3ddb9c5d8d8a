import pytest

from srv.serve.http.bodies import BodyReader, room_for

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

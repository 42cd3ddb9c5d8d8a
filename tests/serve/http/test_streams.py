import socket
import struct

import pytest
from workers import Talk, eventually, worker

pytestmark = pytest.mark.e2e

HELD = b"GET /stream?pieces=3&held=yes HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with worker(tmp_path_factory.mktemp("streams") / "log", threads=4, max_streams=2) as running:
        yield running
        running.standing(release="yes")


@pytest.fixture
def talk(server):
    with Talk(server) as connection:
        yield connection
    server.standing(release="yes")
    eventually(lambda: streams(server))
    server.standing(hold="yes")


def streams(server):
    with Talk(server) as connection:
        return connection.ask("/stream").status == 200


def first_piece(talk):
    talk.send(HELD)
    received = b""
    while not received.endswith(b"piece 0\n\r\n"):
        received += talk.socket.recv(1000)


def test_pieces_go_out_as_they_are_produced(server, talk):
    first_piece(talk)

    server.standing(release="yes")

    assert talk._until(b"0\r\n\r\n") == b"8\r\npiece 1\n\r\n8\r\npiece 2\n\r\n0\r\n\r\n"


def test_no_more_streams_than_there_may_be(server, talk):
    with Talk(server) as second, Talk(server) as third:
        first_piece(talk)
        first_piece(second)

        refused = third.ask("/stream")

        assert (refused.status, refused.code) == (429, "QUEUE_FULL")
        assert third.ask("/hello").body == b"hello"


@pytest.mark.parametrize("how", ["closes", "resets"])
def test_a_client_that_leaves_ends_its_stream(server, talk, how):
    closed = server.standing()["closed"]
    talk.send(b"GET /stream?pieces=1000000000 HTTP/1.1\r\nHost: x\r\n\r\n")
    talk.socket.recv(1000)

    if how == "resets":
        talk.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    talk.socket.close()

    eventually(lambda: server.standing()["closed"] == closed + 1)


def test_a_stream_that_fails_late_does_not_end_as_if_all_were_well(server, talk):
    talk.send(b"GET /fail-late HTTP/1.1\r\nHost: x\r\n\r\n")

    with pytest.raises(EOFError):
        talk.answer()


def test_an_iterable_that_gives_less_than_its_length_breaks_off(server, talk):
    talk.send(b"GET /sized-stream?length=7 HTTP/1.1\r\nHost: x\r\n\r\n")

    with pytest.raises(EOFError):
        talk.answer()


def test_health_is_answered_beside_streams(server, talk):
    first_piece(talk)

    with Talk(server) as other:
        assert other.ask("/v2/health/live").status == 200


def test_a_slow_reader_of_a_stream_gets_it_all(server, talk):
    talk.send(b"GET /stream?pieces=300&size=65536 HTTP/1.1\r\nHost: x\r\n\r\n")

    assert len(talk.answer().body) == 300 * 65536


def test_who_has_read_a_stream_to_its_end_may_open_another_at_once(server, talk):
    with Talk(server) as held:
        first_piece(held)

        answers = [talk.ask("/stream").status for _ in range(200)]

    assert set(answers) == {200}

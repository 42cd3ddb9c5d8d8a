import socket
import ssl
import time
from contextlib import suppress
from pathlib import Path

import pytest
from workers import Talk, worker

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    # A certificate for localhost and its key, of use to nobody, valid for a hundred years.
    pair = Path(__file__).parent / "localhost.pem"
    context = ssl.create_default_context(cafile=pair)
    options = {"certfile": str(pair), "keyfile": str(pair)}
    log = tmp_path_factory.mktemp("tls") / "log"
    with worker(log, gunicorn=options, context=context, header_timeout=2.0) as running:
        yield running


@pytest.fixture
def talk(server):
    with Talk(server) as connection:
        yield connection


def test_a_request_over_tls(talk):
    assert talk.ask("/hello").body == b"hello"
    assert talk.ask("/tell?keys=wsgi.url_scheme").body == b'{"wsgi.url_scheme": "https"}'


def test_requests_behind_each_other_in_one_record(talk):
    talk.send(b"GET /hello HTTP/1.1\r\nHost: x\r\n\r\n" * 20)

    assert [talk.answer().body for _ in range(20)] == [b"hello"] * 20


def test_a_body_and_the_next_request_in_one_record(talk):
    body = bytes(70_000)
    request = b"POST /swallow HTTP/1.1\r\nHost: x\r\nContent-Length: 70000\r\n\r\n"
    talk.send(request)
    talk.send(body[:60_000])
    talk.send(body[60_000:] + b"GET /hello HTTP/1.1\r\nHost: x\r\n\r\n")

    assert [talk.answer().body for _ in range(2)] == [b"70000", b"hello"]


def test_large_bodies_both_ways(talk):
    body = bytes(range(256)) * 20_000

    assert talk.ask("/echo", method="POST", body=body).body == body
    assert len(talk.ask("/large?bytes=6000000").body) == 6_000_000


def test_chunks_and_streams(talk):
    talk.send(b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n")
    assert talk.answer().body == b"hello"
    assert talk.ask("/stream").body == b"piece 0\npiece 1\npiece 2\n"


def test_a_request_byte_after_byte(talk):
    for byte in b"GET /hello HTTP/1.1\r\nHost: x\r\n\r\n":
        talk.send(bytes([byte]))

    assert talk.answer().body == b"hello"


def test_the_connection_ends_as_tls_wants_it(server):
    with Talk(server) as talk:
        talk.socket.suppress_ragged_eofs = False
        answer = talk.ask("/hello", "Connection: close")

        assert answer.body == b"hello"
        assert talk.ended()


def test_clients_that_do_not_finish_the_handshake_keep_nobody_waiting(server):
    plain = [open_plain(server) for _ in range(50)]
    plain[0].sendall(b"\x16\x03\x01")

    started = time.monotonic()
    with Talk(server) as talk:
        assert talk.ask("/hello").body == b"hello"
    assert time.monotonic() - started < 1
    assert all(client.recv(100) == b"" for client in plain[1:])  # they are let go in the end
    for client in plain:
        client.close()


def test_plain_http_on_the_tls_port_is_refused_and_the_server_goes_on(server):
    with open_plain(server) as client, suppress(ConnectionResetError):
        client.sendall(b"GET /hello HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"200" not in client.recv(1000)
    with Talk(server) as talk:
        assert talk.ask("/hello").body == b"hello"


def open_plain(server):
    return socket.create_connection(("127.0.0.1", server.port), timeout=30)

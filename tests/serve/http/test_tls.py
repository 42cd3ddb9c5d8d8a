import socket
import ssl
import time
import warnings
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import pytest
from workers import Talk, eventually, worker

pytestmark = pytest.mark.e2e


# A certificate for localhost and its key, of use to nobody, valid for a hundred years.
PAIR = Path(__file__).parent / "localhost.pem"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with tls_worker(tmp_path_factory.mktemp("tls") / "log", header_timeout=2.0) as running:
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
    assert time.monotonic() - started < 20  # one behind the other they would take 2 s each
    assert all(client.recv(100) == b"" for client in plain[1:])  # they are let go in the end
    for client in plain:
        client.close()


@pytest.mark.parametrize(
    "sent, sentence",
    {
        "GET": (b"GET /hello HTTP/1.1\r\nHost: x\r\n\r\n", "it is plain HTTP, and this port speaks HTTPS only"),
        "a method and no more": (b"POST", "it is plain HTTP, and this port speaks HTTPS only"),
        "a large body": (b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 500000\r\n\r\n" + bytes(500_000), "HTTPS"),
        "PROXY": (b"PROXY TCP4 192.0.2.1 192.0.2.2 5000 443\r\n\x16\x03\x01", "the PROXY protocol"),
        "PROXY, version 2": (b"\r\n\r\n\x00\r\nQUIT\n!\x11\x00\x00", "the PROXY protocol"),
    }.values(),
    ids=["GET", "a method and no more", "a large body", "PROXY", "PROXY version 2"],
)
def test_what_is_no_tls_gets_a_400_that_says_so_and_the_server_goes_on(server, sent, sentence):
    with open_plain(server) as client:
        plain = Talk(SimpleNamespace(connect=lambda: client))
        client.sendall(sent)

        refused = plain.answer()

        assert (refused.status, refused.code) == (400, "BAD_REQUEST")
        assert sentence in refused.body.decode()
        assert plain.ended()
    with Talk(server) as talk:
        assert talk.ask("/hello").body == b"hello"


@pytest.mark.parametrize(
    "fail, reason",
    [
        (lambda client: client.sendall(b"\x00garbage" * 100), "what came is not TLS"),
        (lambda client: client.sendall(b"\x16\x03\x01"), "it did not end within header_timeout"),
        (lambda client: (client.sendall(b"\x16\x03\x01"), client.shutdown(socket.SHUT_WR)), "the client closed"),
        (lambda client: wrapped(client, ssl.create_default_context()), "the client does not trust the certificate"),
        (lambda client: wrapped(client, oldest()), "the client's version of TLS is older than tls.min_version"),
        (lambda client: client.sendall(b"GET / HTTP/1.1\r\n"), "what came is plain HTTP"),
    ],
    ids=["garbage", "too slow", "left", "no trust", "too old", "plain HTTP"],
)
def test_handshakes_that_fail_are_logged_with_the_reason_and_at_a_limited_rate(tmp_path, fail, reason):
    log = tmp_path / "log"
    with tls_worker(log, header_timeout=1.0) as server:
        for _ in range(5):
            with open_plain(server) as client, suppress(OSError):
                fail(client)
                client.recv(10_000)

        text = eventually(lambda: "TLS handshake" in log.read_text() and log.read_text())
        assert f"The TLS handshake with 127.0.0.1 failed: {reason}" in text
        assert text.count("TLS handshake") <= 6


def test_connections_that_are_closed_without_a_byte_are_no_failed_handshakes(tmp_path):
    log = tmp_path / "log"
    with tls_worker(log) as server:
        for _ in range(3):
            open_plain(server).close()
        with Talk(server) as talk:
            assert talk.ask("/hello").body == b"hello"

    assert "TLS handshake" not in log.read_text()


def tls_worker(log, **limits):
    pair = str(PAIR)
    return worker(
        log,
        gunicorn={"certfile": pair, "keyfile": pair},
        context=ssl.create_default_context(cafile=pair),
        **limits,
    )


def wrapped(client, context):
    with context.wrap_socket(client, server_hostname="localhost"):
        pass


def oldest():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with warnings.catch_warnings(action="ignore"):
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    return context


def open_plain(server):
    return socket.create_connection(("127.0.0.1", server.port), timeout=30)

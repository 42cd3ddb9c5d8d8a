"""What the threaded worker refuses by itself, over a socket of a running server."""

import json
import re
import socket
from urllib.parse import urlsplit

import pytest
from servers import running, write_model

pytestmark = pytest.mark.e2e

LONG = b"x" * 9000
LONGER = b"x" * 66_000


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("gthread")
    write_model(folder)
    with running(folder, environ={"SRV_WORKER_CLASS": "gthread"}) as server:
        yield server


def said(server, sent):
    """Status, headers and JSON of what comes back for these bytes."""
    address = urlsplit(server.url())
    with socket.create_connection((address.hostname, address.port), timeout=10) as client:
        client.sendall(sent)
        client.shutdown(socket.SHUT_WR)
        head, _, body = client.makefile("rb").read().partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    return int(first.split()[1]), dict(line.lower().split(": ", 1) for line in lines), json.loads(body)


def test_each_answer_has_a_line_in_the_access_log(server):
    assert server.get("/v2/models/double").status == 200
    assert server.get("/nowhere").status == 404
    server.wait_for("srv.access: GET /v2/models/double 200 ")
    server.wait_for("srv.access: GET /nowhere 404 .*outcome=NOT_FOUND")


def test_its_connections_are_among_the_metrics(server):
    metrics = server.get("/metrics").body.decode()
    assert re.search(r'^srv_connections\{worker="\d+"\} [1-9]', metrics, re.MULTILINE)


@pytest.mark.parametrize(
    "sent, status, code",
    [
        (b"GARBAGE\r\n\r\n", 400, "BAD_REQUEST"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", 400, "BAD_REQUEST"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400, "BAD_REQUEST"),
        (b"GET / HTTP/1.1\r\nBad Name: a\r\n\r\n", 400, "BAD_REQUEST"),
        (b"GET / HTTP/7.3\r\nHost: a\r\n\r\n", 505, "HTTP_VERSION"),
        (b"GET /" + LONG + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414, "URI_TOO_LONG"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + LONGER + b"\r\n\r\n", 431, "HEADERS_TOO_LARGE"),
        (b"GET / HTTP/1.1\r\nHost: a\r\n" + (b"X: " + LONG + b"\r\n") * 8 + b"\r\n", 431, "HEADERS_TOO_LARGE"),
        (b"GET / HTTP/1.1\r\n" + b"X: a\r\n" * 200 + b"\r\n", 431, "HEADERS_TOO_LARGE"),
    ],
    ids=["line", "length", "two lengths", "name", "version", "target", "header", "together", "headers"],
)
def test_what_is_no_good_http_is_refused_in_json_and_the_server_goes_on(server, sent, status, code):
    answered, headers, body = said(server, sent)
    assert (answered, body["code"]) == (status, code)
    assert headers["x-request-id"]
    assert headers["content-type"] == "application/json"
    assert body["error"].endswith(".")
    assert server.get("/v2/health/live").status == 200

import contextlib
import itertools
import os
import re
import socket
import time

import httptools
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from srv.planes.limits import Limit
from srv.serve.http.before_body import HeadCheck
from srv.serve.http.connections import Connection, Step
from srv.serve.http.errors import Refused
from srv.serve.http.limits import Limits
from srv.serve.http.reader import ConnectionReader

#: How long fuzzing may go on, of which each test takes its part; all together take about two minutes.
SECONDS = float(os.environ.get("SRV_FUZZ_SECONDS", "40"))
LIMITS = Limits(request_line=200, header_count=10, max_header_size=1000, max_body_size=5000)

CODES = {
    "BAD_REQUEST",
    "TOO_LARGE",
    "URI_TOO_LONG",
    "HEADERS_TOO_LARGE",
    "UNIMPLEMENTED",
    "HTTP_VERSION",
    "UNAVAILABLE",
}
EMPTY = re.compile(rb"\A(?:\r\n)+")
BROKEN = [b"\n", b"\r", b"\r\n", b"\0", b" ", b"\t", b":", b",", b";", b"\x7f", b"\xff", b"0", b"-1", b"a" * 300]
PARTS = [
    b"GET ", b"POST ", b"HEAD ", b"OPTIONS ", b"CONNECT ", b"get ", b"/", b"/a%20b?c", b"*", b"http://h/p", b"h:1",
    b" HTTP/1.1", b" HTTP/1.0", b" HTTP/2.0", b"\r\n", b"\r\n\r\n", b"Host: x\r\n", b"Host: y\r\n",
    b"Content-Length: 3\r\n", b"Content-Length: 0\r\n", b"Content-Length: 4\r\n", b"Content-Length: 3, 3\r\n",
    b"Transfer-Encoding: chunked\r\n", b"Transfer-Encoding: gzip\r\n", b"Transfer-Encoding: chunked, chunked\r\n",
    b"Transfer-Encoding:\x0bchunked\r\n", b"Transfer-Encoding : chunked\r\n", b"Connection: close\r\n",
    b"Expect: 100-continue\r\n", b"X_Y: z\r\n", b"Trailer: x\r\n", b" folded\r\n", b"3\r\nabc\r\n", b"0\r\n\r\n",
    b"3;x=y\r\nabc\r\n", b"0\r\nX-T: 1\r\n\r\n", b"abc", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
]  # fmt: skip

WHOLE = [
    b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc",
    b"POST /b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1;x\r\nc\r\n0\r\nT: 1\r\n\r\n",
    b"HEAD /c HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
]
#: What each number of a byte stands for; for the numbers behind these, the next byte stands for itself.
NAMED = [*PARTS * 2, *BROKEN * 6]


def assembled(data):
    """A stream of parts, broken things and single bytes."""
    numbers = iter(data)
    return b"".join(NAMED[each] if each < len(NAMED) else bytes([next(numbers, 0)]) for each in numbers)


# Strings of bytes are drawn in a third of the time of lists, and what they stand for shrinks as well.
STREAMS = st.binary(max_size=40).map(assembled)
GOOD = st.binary(max_size=4).map(lambda data: b"".join(WHOLE[each % len(WHOLE)] for each in data))
CUTS = st.binary(max_size=12).map(lambda data: [data[at] * 256 + data[at - 1] for at in range(1, len(data), 2)])


class Fed(Connection):
    """A connection whose bytes come from a test."""

    __slots__ = ("coming",)

    def receive(self, size):
        piece, self.coming = self.coming[:size], self.coming[size:]
        return piece or None

    def receive_into(self, view):
        piece, self.coming = self.coming[: len(view)], self.coming[len(view) :]
        view[: len(piece)] = piece
        return len(piece) or None

    def send(self, parts):
        return True


@pytest.fixture(scope="module")
def client():
    left, right = socket.socketpair()
    yield left
    left.close()
    right.close()


def pieces_of(data, cuts):
    edges = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[start:end] for start, end in itertools.pairwise(edges)]


def heard(client, pieces):
    """What comes of bytes that arrive in these pieces: requests as method, path and body, then a refusal's code."""
    reception = ConnectionReader(LIMITS, Limit(10_000), HeadCheck(None, {}))
    connection = Fed(client, ("", ""), ("", ""))
    found = []
    try:
        for piece in pieces:
            connection.coming = piece
            while connection.coming or (connection.received and not connection.searched):
                if connection.received and not connection.searched and connection.step is Step.HEAD:
                    rest, connection.received = connection.received, b""
                    exchange = reception.advance(connection, rest)
                else:
                    exchange = reception.take(connection)
                if exchange is not None:
                    found.append((exchange.head.method, exchange.head.path, bytes(exchange.body)))
    except Refused as refused:
        found.append(refused.code)
    return found


def reads_alike_however_it_comes(client, data, cuts):
    """The same requests; what is broken may be refused earlier or later, with the word for what was seen of it."""
    assert requests(heard(client, pieces_of(data, cuts))) == requests(heard(client, [data]))


def requests(found):
    return [each for each in found if isinstance(each, tuple)]


class Second:
    """A whole stream as httptools reads it, bodies too: each request's method, path, body, and whether it has ended."""

    def __init__(self, data):
        self.requests = []
        self.closed = False  # it reads no further than the request after which a connection is closed
        self._parser = httptools.HttpRequestParser(self)
        with contextlib.suppress(httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._parser.feed_data(data)

    def on_url(self, target):
        self.requests.append([self._parser.get_method().decode(), target, b"", False])

    def on_body(self, body):
        self.requests[-1][2] += body

    def on_message_complete(self):
        self.requests[-1][3] = True
        self.closed = not self._parser.should_keep_alive()


def is_framed_as_another_parser_frames_it(client, data):
    """No request may be seen where a second parser sees none, or sees it end elsewhere."""
    seen = requests(heard(client, [data]))
    second = Second(data)
    if second.closed:
        seen = seen[: len(second.requests)]
    others = second.requests[: len(seen)]
    assert [(method, body, True) for method, _, body in seen] == [
        (method, body, ended) for method, _, body, ended in others
    ]


def raises_nothing_but_refusals(client, data):
    for found in heard(client, [data]):
        assert isinstance(found, tuple) or found in CODES


def fuzz(client, examples):
    @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(STREAMS | GOOD | st.binary(max_size=2000), CUTS)
    def holds(data, cuts):
        reads_alike_however_it_comes(client, data, cuts)
        is_framed_as_another_parser_frames_it(client, data)
        raises_nothing_but_refusals(client, data)

    holds()


def test_what_a_client_sends_is_read_alike_framed_as_by_another_parser_or_refused(client):
    fuzz(client, 600)


@pytest.mark.fuzz
@pytest.mark.timeout(SECONDS * 3)
def test_what_many_clients_send_is_read_alike_framed_as_by_another_parser_or_refused(client):
    until = time.monotonic() + SECONDS * 0.75
    while time.monotonic() < until:
        fuzz(client, 2000)

import time
from contextlib import suppress

import pytest
from workers import Talk, eventually, worker

pytestmark = pytest.mark.e2e

#: What a server here gives its clients: long enough for one on a busy machine that asks at once.
SHORT = 0.8
#: Far longer, and sooner than a test gives up: what takes so long is ended by nobody.
LONG = 20.0


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with worker(
        tmp_path_factory.mktemp("deadlines") / "log",
        threads=1,
        header_timeout=SHORT,
        body_timeout=SHORT,
        keep_alive=SHORT,
        request_timeout=SHORT,
    ) as running:
        yield running


@pytest.fixture
def talk(server):
    with Talk(server) as connection:
        yield connection


def lasted(started):
    took = time.monotonic() - started
    assert SHORT * 0.9 < took < LONG, took
    return True


@pytest.mark.parametrize("begun", [b"GET /hello HT", b"GET /hello HTTP/1.1\r\nHost: x\r\nX-"], ids=["line", "header"])
def test_a_head_that_does_not_end_is_answered_408(talk, begun):
    started = time.monotonic()
    talk.send(begun)

    refused = talk.answer()

    assert (refused.status, refused.code) == (408, "TIMEOUT")
    assert talk.ended()
    assert lasted(started)


def test_a_head_that_trickles_has_one_deadline_for_all(talk):
    started = time.monotonic()
    talk.socket.settimeout(0.05)
    received = b""
    while not received:
        talk.send(b"G")
        try:
            received = talk.socket.recv(100)
        except TimeoutError:
            continue

    assert received.startswith(b"HTTP/1.1 408")
    assert lasted(started)


def test_a_second_head_has_a_deadline_of_its_own(talk):
    assert talk.ask("/hello").status == 200
    started = time.monotonic()
    talk.send(b"GET /hello HTTP/1.1\r\n")

    assert talk.answer().status == 408
    assert lasted(started)


def test_a_client_that_never_says_anything_is_let_go_without_a_word(talk):
    started = time.monotonic()

    assert talk.ended()
    assert lasted(started)


def test_an_idle_connection_is_closed_without_a_word(talk):
    assert talk.ask("/hello").status == 200
    started = time.monotonic()

    assert talk.ended()
    assert lasted(started)


@pytest.mark.parametrize(
    "begun",
    [
        b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhello",
        b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
        b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\nExpect: 100-continue\r\n\r\n",
    ],
    ids=["sized", "chunked", "asked for"],
)
def test_a_body_that_makes_no_progress_is_answered_408(talk, begun):
    started = time.monotonic()
    talk.send(begun)

    refused = talk.answer()
    refused = talk.answer() if refused.status == 100 else refused

    assert (refused.status, refused.code) == (408, "TIMEOUT")
    assert talk.ended()
    assert lasted(started)


def test_a_body_that_makes_progress_is_waited_for(talk):
    started = time.monotonic()
    talk.send(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 8\r\n\r\n")
    for byte in b"trickles":
        time.sleep(SHORT / 5)
        talk.send(bytes([byte]))

    assert talk.answer().body == b"trickles"
    assert time.monotonic() - started > SHORT * 1.5


@pytest.mark.parametrize("framing", ["Content-Length: 1000", "Transfer-Encoding: chunked"], ids=["sized", "chunked"])
def test_a_body_that_trickles_has_one_deadline_for_all(tmp_path, framing):
    # The deadline for progress is far away, so whatever ends this is the one for the whole body.
    with worker(tmp_path / "log", body_total_timeout=1.0) as trickled, Talk(trickled) as talk:
        started = time.monotonic()
        talk.send(f"POST /echo HTTP/1.1\r\nHost: x\r\n{framing}\r\n\r\n".encode())
        answered = None
        talk.socket.settimeout(0.05)
        while answered is None:
            talk.send(b"1\r\nx\r\n" if "chunked" in framing else b"x")
            with suppress(TimeoutError):
                answered = talk.answer()

        assert (answered.status, answered.code) == (408, "TIMEOUT")
        assert b"1 seconds that body_total_timeout allows" in answered.body
        assert 0.9 < time.monotonic() - started < 10


def test_a_request_that_runs_too_long_is_answered_504_by_the_leader(server, talk):
    started = time.monotonic()

    late = talk.ask("/hang")

    assert (late.status, late.code) == (504, "DEADLINE")
    assert talk.ended()
    assert lasted(started)
    server.standing(release="yes")
    server.standing(hold="yes")


def test_a_request_that_waits_too_long_is_answered_504_and_never_runs(server, talk):
    with Talk(server) as first:
        first.send(b"GET /hang HTTP/1.1\r\nHost: x\r\n\r\n")
        eventually(lambda: server.standing()["hanging"] == 1)
        echoed = server.standing()["echoed"]

        waited = talk.ask("/echo")

        assert (waited.status, waited.code) == (504, "DEADLINE")
        assert talk.ended()
        server.standing(release="yes")
        eventually(lambda: server.standing()["hanging"] == 0)
        with Talk(server) as last:  # a place behind what waited
            assert last.ask("/hello").status == 200
        assert server.standing()["echoed"] == echoed
    server.standing(hold="yes")


def test_an_answer_that_comes_after_its_504_goes_nowhere(server, talk):
    assert talk.ask("/hang").status == 504
    assert talk.ended()

    server.standing(release="yes")
    eventually(lambda: server.standing()["hanging"] == 0)
    server.standing(hold="yes")
    with Talk(server) as other:
        assert other.ask("/hello").body == b"hello"


def test_a_client_that_takes_nothing_of_its_answer_is_let_go(talk):
    started = time.monotonic()
    talk.send(b"GET /large?bytes=30000000 HTTP/1.1\r\nHost: x\r\n\r\n")
    time.sleep(SHORT * 3)

    with pytest.raises(EOFError):
        talk.answer()
    assert time.monotonic() - started < 10


def test_a_client_that_takes_its_answer_in_trickles_has_one_deadline_for_all(tmp_path):
    with worker(tmp_path / "log", body_total_timeout=1.0) as trickled, Talk(trickled) as talk:
        talk.send(b"GET /large?bytes=100000000 HTTP/1.1\r\nHost: x\r\n\r\n")
        received, ended = 0, False
        started = time.monotonic()
        while not ended:  # always some progress, far from enough of it
            time.sleep(0.05)
            with suppress(ConnectionResetError):
                data = talk.socket.recv(200_000)
                received += len(data)
                ended = not data
            ended = ended or time.monotonic() - started > 30

        assert received < 100_000_000
        assert 0.9 < time.monotonic() - started < 30


def test_a_client_that_takes_its_answer_slowly_gets_it_all(talk):
    talk.send(b"GET /large?bytes=12000000 HTTP/1.1\r\nHost: x\r\n\r\n")
    received = 0
    while received < 12_000_000 and (data := talk.socket.recv(1_000_000)):
        time.sleep(SHORT / 8)
        received += len(data)

    assert received > 12_000_000


def test_a_stream_that_nobody_takes_ends(server, talk):
    closed = server.standing()["closed"]
    talk.send(b"GET /stream?pieces=1000&size=65536 HTTP/1.1\r\nHost: x\r\n\r\n")

    eventually(lambda: server.standing()["closed"] == closed + 1)


def test_a_stream_may_last_longer_than_a_request(server, talk):
    talk.send(b"GET /stream?pieces=2&held=yes HTTP/1.1\r\nHost: x\r\n\r\n")
    assert talk.socket.recv(10_000).endswith(b"piece 0\n\r\n")
    time.sleep(SHORT * 2)

    server.standing(release="yes")
    assert b"piece 1" in talk.socket.recv(10_000)

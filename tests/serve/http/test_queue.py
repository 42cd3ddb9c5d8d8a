import time

import pytest
from workers import Talk, eventually, worker

pytestmark = pytest.mark.e2e


@pytest.fixture
def server(tmp_path):
    with worker(tmp_path / "log", threads=4, max_queue=6) as running:
        yield running
        running.standing(release="yes")


@pytest.fixture
def talks(server):
    """Opens connections; they close with the test."""
    opened = []

    def connect():
        opened.append(Talk(server))
        return opened[-1]

    yield connect
    for talk in opened:
        talk.socket.close()


def hang(talks, count):
    """So many requests that hang, each on a connection of its own, sent and not answered."""
    hanging = [talks() for _ in range(count)]
    for talk in hanging:
        talk.send(b"GET /hang HTTP/1.1\r\nHost: x\r\n\r\n")
    return hanging


def test_health_is_answered_while_every_thread_hangs(server, talks, figure):
    hanging = hang(talks, 4)
    eventually(lambda: server.standing()["hanging"] == 4)
    took = []

    for _ in range(100):
        started = time.monotonic()
        assert talks().ask("/v2/health/live").body == b'{"live": true}'
        took.append(time.monotonic() - started)

    figure(f"100 probes beside four hanging requests: at most {max(took) * 1000:.1f} ms")
    assert sorted(took)[49] < 0.1  # the slower half may have waited for a core, because other tests run beside this one
    server.standing(release="yes")
    assert [talk.answer().body for talk in hanging] == [b"released"] * 4


def test_the_queue_fills_the_next_is_refused_at_once_and_all_are_answered_in_the_end(server, talks):
    hanging = hang(talks, 10)
    eventually(lambda: server.standing()["hanging"] == 4)

    refusals = [talks() for _ in range(3)]
    for talk in refusals:
        refused = talk.ask("/hang")
        assert (refused.status, refused.code, refused.headers["retry-after"]) == (429, "QUEUE_FULL", "1")
        assert talk.ask("/v2/health/live").status == 200  # the connection is still good

    server.standing(release="yes")
    assert [talk.answer().body for talk in hanging] == [b"released"] * 10


def test_what_the_leader_answers_itself_never_queues(server, talks):
    hang(talks, 10)
    eventually(lambda: server.standing()["hanging"] == 4)

    assert server.standing()["ran"] > 4


def test_requests_that_come_with_one_that_hangs_are_answered_while_it_hangs(server, talks):
    several = [talks() for _ in range(20)]
    for path, each in zip([b"/sleep?ms=3", *[b"/hello"] * 9, b"/hang", *[b"/hello"] * 9], several, strict=True):
        each.send(b"GET %b HTTP/1.1\r\nHost: x\r\n\r\n" % path)

    assert [talk.answer().body for talk in several if talk is not several[10]] == [b"slept", *[b"hello"] * 18]
    assert server.standing()["hanging"] == 1
    server.standing(release="yes")
    assert several[10].answer().body == b"released"


def test_a_request_that_hangs_on_a_path_that_was_quick_takes_the_lead_from_nobody_for_long(server, talks):
    server.standing(release="yes")
    quick = talks()
    assert [quick.ask("/hang").body for _ in range(50)] == [b"released"] * 50
    server.standing(hold="yes")

    hanging = hang(talks, 1)

    eventually(lambda: server.standing()["hanging"] == 1)
    started = time.monotonic()
    assert quick.ask("/hello").body == b"hello"
    assert time.monotonic() - started < 10  # what hangs would do so for 30 s
    server.standing(release="yes")
    assert hanging[0].answer().body == b"released"


def test_as_many_run_at_once_as_there_are_threads(server, talks):
    hanging = hang(talks, 8)
    eventually(lambda: server.standing()["hanging"] == 4)

    assert {server.standing()["hanging"] for _ in range(20)} == {4}
    server.standing(release="yes")
    assert [talk.answer().body for talk in hanging] == [b"released"] * 8


def test_other_connections_are_read_while_threads_hang(server, talks):
    hang(talks, 4)
    eventually(lambda: server.standing()["hanging"] == 4)
    body = bytes(300_000)

    waiting = talks()
    waiting.send(b"POST /swallow HTTP/1.1\r\nHost: x\r\nContent-Length: 300000\r\n\r\n" + body)
    server.standing(release="yes")

    assert waiting.answer().body == b"300000"

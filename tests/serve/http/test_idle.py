import math
from types import SimpleNamespace

import pytest
from workers import PATIENCE, Talk, eventually, talking, worker

from srv.serve.http.connections import Step
from srv.serve.http.idle import LEAST_IDLE, longest_idle

LIVE = "/v2/health/live"


def connection(idle_since, step=Step.HEAD, exchange=None, received=b"", searched=0):
    return SimpleNamespace(idle_since=idle_since, step=step, exchange=exchange, received=received, searched=searched)


def test_of_idle_connections_the_longest_idle_come_first_and_busy_ones_never():
    old, older, oldest = connection(3.0), connection(2.0), connection(1.0)
    busy = [
        connection(0.0, exchange=object()),
        connection(0.0, received=b"GET"),
        connection(0.0, step=Step.BODY),
        connection(0.0, step=Step.WRITING),
        connection(0.0, step=Step.HANDSHAKE, searched=5),
    ]

    assert longest_idle([old, *busy, oldest, older], 10.0, 2) == [oldest, older]
    assert longest_idle([old, *busy, oldest, older], 10.0, 9) == [oldest, older, old]


def test_a_connection_that_was_used_just_now_is_not_idle():
    assert longest_idle([connection(10.0), connection(math.inf)], 10.0 + LEAST_IDLE / 2, 9) == []


@pytest.mark.e2e
@pytest.mark.parametrize("asked", [True, False], ids=["kept alive", "silent from the start"])
def test_idle_connections_as_many_as_there_may_be_keep_nobody_out(tmp_path, asked):
    log = tmp_path / "log"
    with worker(log, max_connections=20, header_timeout=PATIENCE) as server, talking(server, 20) as idle:
        if asked:
            assert [talk.ask("/hello").status for talk in idle] == [200] * 20
        with Talk(server) as probe:
            assert probe.ask(LIVE).status == 200
        with talking(server, 10) as more:
            assert [talk.ask("/hello").status for talk in more] == [200] * 10

        text = eventually(lambda: "max_connections allows, 20" in log.read_text() and log.read_text())
        assert text.count("the longest idle one was closed") <= 3  # a limited rate


@pytest.mark.e2e
def test_the_longest_idle_connection_is_the_one_that_goes(tmp_path):
    with worker(tmp_path / "log", max_connections=3) as server, talking(server, 3) as [first, second, third]:
        for talk in (second, first, third):
            assert talk.ask("/hello").status == 200
        with Talk(server) as probe:
            assert probe.ask(LIVE).status == 200

            assert second.ended()
            assert [talk.ask("/hello").status for talk in (first, third)] == [200, 200]


@pytest.mark.e2e
def test_connections_with_requests_are_not_closed_to_let_others_in(tmp_path):
    with worker(tmp_path / "log", max_connections=3) as server, talking(server, 3) as [hanging, begun, body]:
        hanging.send(b"GET /hang HTTP/1.1\r\nHost: x\r\n\r\n")
        begun.send(b"GET /hello HTTP/1.1\r\nHost: ")
        body.send(b"POST /swallow HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n123")
        with Talk(server) as outside:
            outside.send(b"GET /hello HTTP/1.1\r\nHost: x\r\n\r\n")
            outside.socket.settimeout(LEAST_IDLE + 1.0)
            with pytest.raises(TimeoutError):
                outside.answer()
            outside.socket.settimeout(PATIENCE)

            begun.send(b"x\r\n\r\n")
            body.send(b"45")

            assert (begun.answer().body, body.answer().body) == (b"hello", b"5")
            assert outside.answer().body == b"hello"  # once one of them is idle
            server.standing(release="1")
            assert hanging.answer().body == b"released"


@pytest.mark.e2e
def test_a_process_that_may_open_few_files_says_how_many_connections_it_holds(tmp_path):
    log = tmp_path / "log"
    with worker(log, descriptors=140, max_connections=500):
        eventually(lambda: "a worker holds 12 connections at most, not the 500 of max_connections" in log.read_text())

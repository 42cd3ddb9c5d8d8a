import math
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from workers import Talk, eventually, talking, worker

from srv.serve.http.limits import Limits
from srv.settings import ServerSettings


def test_limits_are_those_of_the_settings(tmp_path):
    settings = ServerSettings(folder=tmp_path, threads=6, request_timeout=3.0, max_body_size=17)

    limits = Limits.of(settings)

    assert (limits.threads, limits.request_timeout, limits.max_body_size) == (6, 3.0, 17)


def test_limits_that_settings_leave_open_are_the_contracts():
    settings = SimpleNamespace(threads=6, max_streams=None, request_timeout=None)

    assert Limits.of(settings) == Limits(threads=6, max_streams=3, request_timeout=math.inf)


@pytest.mark.e2e
def test_no_more_connections_than_there_may_be_and_the_next_waits(tmp_path):
    with worker(tmp_path / "log", max_connections=3) as server, talking(server, 3) as inside:
        assert [talk.ask("/hello").status for talk in inside] == [200] * 3
        with Talk(server) as outside:
            outside.send(b"GET /hello HTTP/1.1\r\nHost: x\r\n\r\n")
            outside.socket.settimeout(0.3)
            with pytest.raises(TimeoutError):
                outside.answer()

            inside[0].socket.close()
            outside.socket.settimeout(10)

            assert outside.answer().body == b"hello"


@pytest.mark.e2e
def test_a_server_without_descriptors_waits_for_some_and_does_not_spin(tmp_path):
    with worker(tmp_path / "log", descriptors=230) as server:
        server.standing(open="180")
        [child] = server.workers()
        with talking(server, 60) as inside, Talk(server) as last:
            answered = [talk for talk in inside if answers(talk)]
            assert 0 < len(answered) < 60
            before = ticks(child)
            time.sleep(1.0)
            assert ticks(child) - before < 20

            for talk in inside:
                talk.socket.close()

            assert last.ask("/hello").body == b"hello"


def answers(talk):
    talk.socket.settimeout(0.2)
    try:
        return talk.ask("/hello").status == 200
    except TimeoutError:
        return False


@pytest.mark.e2e
@pytest.mark.parametrize(
    "limits, most", [({}, 65536), ({"max_header_size": 2000}, 2000), ({"max_header_size": 300_000}, 300_000)]
)
def test_a_head_is_taken_up_to_max_header_size_and_not_beyond(tmp_path, limits, most):
    start = b"GET /hello HTTP/1.1\r\nHost: x\r\nX-Y: "
    fits = b"z" * (most - len(start) - 4)

    with (
        worker(tmp_path / "log", **limits) as server,
        Talk(server) as good,
        Talk(server) as long,
        Talk(server) as endless,
    ):
        good.send(start + fits + b"\r\n\r\n")
        long.send(start + fits + b"z\r\n\r\n")
        endless.send(start + fits + b"zzzzz")

        assert good.answer().body == b"hello"
        for talk in (long, endless):
            refused = talk.answer()
            assert (refused.status, refused.code) == (431, "HEADERS_TOO_LARGE")
            assert f"larger than the {most} bytes that max_header_size allows" in refused.body.decode()


@pytest.mark.e2e
def test_bodies_in_flight_beyond_the_limit_are_refused_and_those_within_go_on(tmp_path):
    with worker(tmp_path / "log", max_inflight_bytes=3_000_000) as server, Talk(server) as first:
        first.send(b"POST /swallow HTTP/1.1\r\nHost: x\r\nContent-Length: 2000000\r\n\r\n" + bytes(1_900_000))
        refused = eventually(lambda: beyond(server))

        assert (refused.status, refused.code, refused.headers["retry-after"]) == (503, "UNAVAILABLE", "1")
        first.send(bytes(100_000))
        assert first.answer().body == b"2000000"
        assert first.ask("/swallow", method="POST", body=bytes(2_500_000)).body == b"2500000"


def beyond(server):
    """The refusal of a body that does not fit; None as long as too little of the other one has come."""
    with Talk(server) as talk:
        talk.send(b"POST /swallow HTTP/1.1\r\nHost: x\r\nContent-Length: 1500000\r\nExpect: 100-continue\r\n\r\n")
        answer = talk.answer()
        return answer if answer.status != 100 else None


@pytest.mark.e2e
def test_a_length_that_lies_takes_no_room(tmp_path):
    with worker(tmp_path / "log", max_inflight_bytes=100_000_000) as server, talking(server, 50) as liars:
        for talk in liars:
            talk.send(b"POST /swallow HTTP/1.1\r\nHost: x\r\nContent-Length: 90000000\r\n\r\nx")

        with Talk(server) as honest:
            assert honest.ask("/swallow", method="POST", body=bytes(1_000_000)).body == b"1000000"


@pytest.mark.e2e
def test_chunks_count_as_in_flight_too(tmp_path):
    with worker(tmp_path / "log", max_inflight_bytes=1_000_000) as server, Talk(server) as talk:
        talk.send(b"POST /swallow HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n16e360\r\n")
        talk.send(bytes(1_200_000))

        assert talk.answer().code == "UNAVAILABLE"


@pytest.mark.e2e
def test_an_idle_server_takes_no_cpu(tmp_path):
    with worker(tmp_path / "log") as server:
        server.standing()
        [child] = server.workers()
        time.sleep(1.0)
        before = ticks(child)
        time.sleep(2.0)

        assert ticks(child) - before <= 2


def ticks(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])

import json
import os
import signal
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import pytest
from workers import PATIENCE, Talk, eventually, talking, worker

pytestmark = pytest.mark.e2e


def test_what_runs_and_what_waits_is_answered_before_the_end(tmp_path):
    with worker(tmp_path / "log", threads=1) as server, Talk(server) as running, Talk(server) as waiting:
        running.send(b"GET /sleep?ms=600 HTTP/1.1\r\nHost: x\r\n\r\n")
        waiting.send(b"GET /sleep?ms=10 HTTP/1.1\r\nHost: x\r\n\r\n")
        server.standing()

        server.process.send_signal(signal.SIGTERM)

        for talk in (running, waiting):
            answer = talk.answer()
            assert (answer.body, answer.headers["connection"]) == (b"slept", "close")
            assert talk.ended()
        assert server.process.wait(PATIENCE) == 0


def test_who_has_connected_already_is_answered(tmp_path):
    with worker(tmp_path / "log") as server:
        [child] = server.workers()
        os.kill(child, signal.SIGSTOP)
        with talking(server, 20) as early:
            server.process.send_signal(signal.SIGTERM)
            for talk in early:
                talk.send(b"GET /hello HTTP/1.1\r\nHost: x\r\n\r\n")
            os.kill(child, signal.SIGCONT)

            for talk in early:
                assert talk.answer().body == b"hello"
                assert talk.ended()
        assert server.process.wait(PATIENCE) == 0


def test_an_idle_connection_may_ask_once_more_and_is_closed_then(tmp_path):
    with worker(tmp_path / "log") as server, Talk(server) as asking, Talk(server) as idle:
        assert asking.ask("/hello").status == idle.ask("/hello").status == 200

        server.process.send_signal(signal.SIGTERM)

        assert eventually(lambda: asking.ask("/hello").headers.get("connection") == "close")
        assert asking.ended()
        assert idle.ended()
        assert server.process.wait(PATIENCE) == 0


def test_what_does_not_end_in_time_is_given_up(tmp_path):
    with worker(tmp_path / "log", graceful_timeout=0.5) as server, Talk(server) as hanging:
        hanging.send(b"GET /hang HTTP/1.1\r\nHost: x\r\n\r\n")
        eventually(lambda: server.standing()["hanging"] == 1)
        started = time.monotonic()

        server.process.send_signal(signal.SIGTERM)

        assert server.process.wait(PATIENCE) == 0
        assert time.monotonic() - started < 8
        assert b"graceful_timeout" in server.log.read_bytes()


def test_a_worker_retires_after_its_requests_and_another_goes_on(tmp_path):
    with worker(tmp_path / "log", gunicorn={"max_requests": 20, "workers": 1}) as server:
        seen = set()
        for _ in range(60):
            with Talk(server) as talk:
                answer = talk.ask("/hello")
                assert answer.body == b"hello"
            seen.update(server.workers())

        assert len(seen) > 1


def test_the_heart_beats_while_requests_hang(tmp_path):
    with worker(tmp_path / "log", gunicorn={"timeout": 2}, threads=1) as server, Talk(server) as hanging:
        [child] = server.workers()
        hanging.send(b"GET /sleep?ms=4000 HTTP/1.1\r\nHost: x\r\n\r\n")

        assert hanging.answer().body == b"slept"
        assert server.workers() == [child]


def test_several_workers_share_the_port(tmp_path):
    with worker(tmp_path / "log", gunicorn={"workers": 2}) as server:
        eventually(lambda: len(server.workers()) == 2)

        assert eventually(lambda: len({server.standing()["pid"] for _ in range(50)}) == 2)


def test_a_worker_whose_master_is_gone_ends(tmp_path):
    with worker(tmp_path / "log") as server:
        [child] = server.workers()

        server.process.kill()
        server.process.wait(PATIENCE)

        status = Path(f"/proc/{child}/status")
        eventually(lambda: not status.exists() or "State:\tZ" in status.read_text())


def test_several_workers_get_their_share_of_the_connections(tmp_path):
    with worker(tmp_path / "log", gunicorn={"workers": 2}) as server, ExitStack() as stack:
        eventually(lambda: len({server.standing()["pid"] for _ in range(20)}) == 2)

        shares = Counter()
        for _ in range(40):
            talk = stack.enter_context(Talk(server))
            shares[json.loads(talk.ask("/now").body)["pid"]] += 1

        assert len(shares) == 2
        assert min(shares.values()) >= 5

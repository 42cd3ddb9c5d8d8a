"""The fallback: what it must do too. What it cannot do stands in docs/http-workers.md."""

import signal
from pathlib import Path

import pytest
from wires import cases, converse
from workers import PATIENCE, Talk, talking, worker

pytestmark = pytest.mark.e2e

GTHREAD = "srv.serve.gthread.GthreadWorker"
WIRE = Path(__file__).parents[1] / "wire" / "cases"
SMOKE = {
    "answers: HEAD",
    "answers: a stream",
    "answers: 204",
    "answers: 304",
    "chunked: one chunk",
    "chunked: many chunks",
    "chunked: trailers",
    "connection: twenty requests at once",
    "connection: a request byte after byte",
    "connection: a body and the next request in one piece",
    "connection: Connection: close",
    "connection: HTTP/1.0 closes",
    "connection: HTTP/1.0 with keep-alive goes on",
    "expect: 100-continue met",
    "framing: a body is exactly as long as it says",
    "framing: a body of no length",
    "request_line: a plain request",
    "request_line: every method of the app reaches it",
}
CASES = [case for file in sorted(WIRE.glob("*.wire")) for case in cases(file) if case.name in SMOKE]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    log = tmp_path_factory.mktemp("gthread") / "log"
    with worker(log, kind=GTHREAD, gunicorn={"keepalive": 60}) as running:
        yield running


def test_the_smoke_suite_is_complete():
    assert {case.name for case in CASES} == SMOKE


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_client_of_gthread_hears_what_it_should(server, case):
    converse(case, server)


@pytest.mark.parametrize("lines", ["Content-Length: 3\r\nTransfer-Encoding: chunked", "Transfer-Encoding: xchunked"])
def test_gthread_refuses_what_could_be_smuggled(server, lines):
    with Talk(server) as talk:
        talk.send(f"POST /echo HTTP/1.1\r\nHost: x\r\n{lines}\r\n\r\n0\r\n\r\n".encode())

        assert talk.answer().status in (400, 501)


def test_gthread_answers_several_at_once(server):
    with talking(server, 4) as talks:
        for talk in talks:
            talk.send(b"GET /sleep?ms=100 HTTP/1.1\r\nHost: x\r\n\r\n")

        assert [talk.answer().body for talk in talks] == [b"slept"] * 4


def test_gthread_finishes_what_runs_when_it_is_told_to_stop(tmp_path):
    with worker(tmp_path / "log", kind=GTHREAD) as server, Talk(server) as talk:
        talk.send(b"GET /sleep?ms=500 HTTP/1.1\r\nHost: x\r\n\r\n")
        server.standing()
        server.process.send_signal(signal.SIGTERM)

        assert talk.answer().body == b"slept"
        assert server.process.wait(PATIENCE) == 0

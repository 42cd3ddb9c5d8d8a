"""Who answers when a request's deadline and its answer come together; each test forces the order that it names."""

import socket
import threading
import time

import pytest

from srv.planes.limits import Limit
from srv.serve.http.connections import Connection
from srv.serve.http.leader import Leader
from srv.serve.http.limits import Limits
from srv.serve.http.refusal_log import AccessLog
from srv.serve.http.scheduler import Scheduler
from srv.serve.http.server import HttpServer
from srv.serve.http.wsgi import WsgiApp

PATIENCE = 10.0
#: Seconds that a request has where its deadline is to pass; where it must not, the test says so.
SOON = 0.05
ASK = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
BODY = 200_000


class Slow:
    """An app that answers when it is told to; `done` once the thread that ran it has ended its exchange."""

    def __init__(self):
        self.begun = threading.Event()
        self.go = threading.Event()
        self.done = threading.Event()
        self.lines = 0

    def line(self):
        self.lines += 1
        raise OSError("the log's disk is full")

    def __call__(self, environ, start):
        environ["srv.caller"].log_line = self.line
        self.begun.set()
        self.go.wait(PATIENCE)
        start("200 OK", [("Content-Length", "4")])
        return self

    def __iter__(self):
        return iter([b"late"])

    def close(self):
        self.done.set()

    def finish(self):
        """Have it answer now, and return when nothing of that is left to be done."""
        self.go.set()
        assert self.done.wait(PATIENCE)


@pytest.fixture
def app():
    return Slow()


@pytest.fixture
def in_flight():
    return Limit(1 << 30)


@pytest.fixture
def connect(app, in_flight):
    """Opens connections to a server of that app, with the limits of the first call."""
    opened, running = [], []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0)

        def connect(**limits):
            if not running:
                chosen = Limits(**{"threads": 2, "request_timeout": SOON, **limits})
                running.append(
                    HttpServer(WsgiApp(app), [listener], chosen, access_log=AccessLog(), in_flight=in_flight)
                )
                running[0].start()
            opened.append(socket.create_connection(listener.getsockname(), timeout=PATIENCE))
            return opened[-1]

        yield connect
        app.go.set()
        for client in opened:
            client.close()
        for server in running:
            eventually(lambda server=server: not server._table.connections)
            server.stop(PATIENCE)


def received(client):
    """All that comes until the server closes."""
    data = b""
    while piece := client.recv(65536):
        data += piece
    return data


def eventually(what):
    until = threading.Event()
    for _ in range(int(PATIENCE / 0.005)):
        if what():
            return
        until.wait(0.005)
    raise AssertionError("it did not happen")


def test_an_answer_that_is_ready_while_the_deadlines_is_written_leaves_that_alone(app, connect, monkeypatch):
    send = Connection.send

    def meanwhile(connection, parts):
        if b" 504 " in parts[0][:20]:
            app.go.set()
            app.done.wait(0.2)  # in vain, where the thread that answers must wait for this
        return send(connection, parts)

    monkeypatch.setattr(Connection, "send", meanwhile)
    talk = connect()

    talk.sendall(ASK)

    assert received(talk).startswith(b"HTTP/1.1 504 ")
    assert app.done.wait(PATIENCE)


def test_a_deadline_that_has_passed_as_the_answer_goes_out_leaves_the_connection_open(app, connect, monkeypatch):
    expire = Scheduler.expire
    talk = connect()
    answers = []

    def meanwhile(scheduler, now):
        if not answers and any(each.exchange for each in scheduler.table.connections.values()):
            app.finish()
            answers.append(talk.recv(65536))
            now += 2 * SOON  # the deadline of what was answered has passed by now
        return expire(scheduler, now)

    monkeypatch.setattr(Scheduler, "expire", meanwhile)

    talk.sendall(ASK)
    eventually(lambda: answers)
    talk.sendall(ASK)

    assert answers[0].startswith(b"HTTP/1.1 200 ")
    assert talk.recv(65536).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("begun", [b"", ASK[:20]], ids=["nothing", "half a head"])
def test_what_came_in_time_is_read_where_the_machine_stalls_until_after_the_deadline(app, connect, monkeypatch, begun):
    look_around = Leader._look_around
    connected = threading.Event()
    stalled = []

    def stall(leader):
        if leader._connections:
            assert connected.wait(PATIENCE)
        if not stalled and (waiting := [each for each in leader._connections.values() if each.received == begun]):
            talk.sendall(ASK[len(begun) :])
            stalled.extend(waiting)
            leader._scheduler.set_deadline(waiting[0], time.monotonic())
        look_around(leader)

    monkeypatch.setattr(Leader, "_look_around", stall)
    app.go.set()
    talk = connect(request_timeout=PATIENCE)
    talk.sendall(begun)
    connected.set()

    assert talk.recv(65536).startswith(b"HTTP/1.1 200 ")
    assert stalled


def test_a_request_that_is_answered_late_gives_its_bytes_back_when_its_thread_is_done(app, connect, in_flight):
    talk = connect()

    talk.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % BODY)
    talk.sendall(bytes(BODY))

    assert received(talk).startswith(b"HTTP/1.1 504 ")
    assert in_flight.count == BODY  # because the thread holds the body still
    app.finish()
    assert in_flight.count == 0


def test_a_client_that_leaves_as_its_request_comes_to_its_turn_gives_its_bytes_back(
    app, connect, in_flight, monkeypatch
):
    put_aside = Scheduler.put_aside
    first = connect(threads=1, request_timeout=PATIENCE)
    first.sendall(ASK)
    app.begun.wait(PATIENCE)
    second = connect()
    second.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % BODY + bytes(BODY))
    eventually(lambda: in_flight.count == BODY)

    def meanwhile(scheduler, connection, *, left):
        if left:
            app.finish()  # whose thread takes what the second client waits for
        return put_aside(scheduler, connection, left=left)

    monkeypatch.setattr(Scheduler, "put_aside", meanwhile)
    second.close()

    eventually(lambda: in_flight.count == 0)


def test_the_line_of_an_answer_is_written_by_whoever_sends_one(app, connect):
    late = connect()
    late.sendall(ASK)
    assert received(late).startswith(b"HTTP/1.1 504 ")
    app.finish()
    assert app.lines == 0

    in_time = connect()
    in_time.sendall(ASK)

    assert in_time.recv(1000).startswith(b"HTTP/1.1 200 ")
    assert app.lines == 1

"""Nothing that is raised in a thread of the HTTP worker's, by whatever means, leaves the worker with a thread less."""

import ctypes
import gc
import logging
import socket
import threading
import time
from contextlib import suppress

import pytest
from workers import eventually

from srv.serve.http.leader import FAILURES_AT_ONCE, PAUSE
from srv.serve.http.limits import Limits
from srv.serve.http.refusal_log import AccessLog
from srv.serve.http.server import HttpServer
from srv.serve.http.wsgi import WsgiApp

PATIENCE = 10.0
THREADS = 3


class App:
    def __init__(self):
        self.gate = threading.Event()
        self.runs = []

    def __call__(self, environ, start):
        match environ["PATH_INFO"]:
            case "/hang":
                self.runs.append(threading.get_ident())
                self.gate.wait(PATIENCE)
            case "/exit":
                raise SystemExit(3)
            case "/interrupt":
                raise KeyboardInterrupt
            case "/stream-exits":
                start("200 OK", [])
                return leaving()
            case "/close-exits":
                start("200 OK", [])
                return Closing()
        start("200 OK", [("Content-Length", "5")])
        return [b"hello"]


def leaving():
    yield b"first"
    raise SystemExit(4)


class Closing:
    def __iter__(self):
        return iter([b"first"])

    def close(self):
        raise KeyboardInterrupt


@pytest.fixture
def app():
    return App()


@pytest.fixture
def server(app):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0)
        server = HttpServer(WsgiApp(app), [listener], Limits(threads=THREADS), access_log=AccessLog())
        server.address = listener.getsockname()
        server.start()
        yield server
        app.gate.set()
        eventually(lambda: server.tick() or not server._table.connections)
        server.stop(PATIENCE)


def connect(server, path):
    client = socket.create_connection(server.address, timeout=PATIENCE)
    client.sendall(b"GET %b HTTP/1.1\r\nHost: x\r\n\r\n" % path.encode())
    return client


def ask(server, path="/hello"):
    """The first bytes of the answer."""
    with connect(server, path) as client:
        return client.recv(1000)


def ours():
    return {thread for thread in threading.enumerate() if thread.name.startswith("srv-http")}


def raise_in(thread, error=SystemExit):
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(error))


def serves(server, app):
    """As many requests run at once as there are threads, and one can still be read beside them."""
    hanging = [connect(server, "/hang") for _ in range(THREADS)]
    eventually(lambda: len(app.runs) == THREADS)
    assert b'{"live": true}' in ask(server, "/v2/health/live")
    app.gate.set()
    assert [client.recv(1000)[:15] for client in hanging] == [b"HTTP/1.1 200 OK"] * THREADS
    for client in hanging:
        client.close()
    app.gate.clear()
    app.runs.clear()
    return True


@pytest.mark.parametrize("path", ["/exit", "/interrupt", "/stream-exits", "/close-exits"])
def test_whatever_an_app_raises_ends_no_thread(server, app, path):
    before = ours()

    for _ in range(THREADS + 2):
        assert ask(server, path).startswith(b"HTTP/1.1 ")

    assert ours() == before
    assert serves(server, app)


class Broken(logging.Handler):
    def emit(self, record):
        raise SystemExit("the handler fails")


@pytest.mark.parametrize("where", ["handler", "filter"])
def test_a_log_that_raises_costs_neither_an_answer_nor_a_thread(server, app, where):
    root, handler = logging.getLogger(), Broken()
    access = logging.getLogger("srv.access")
    level = access.level
    access.setLevel(logging.INFO)
    if where == "handler":
        root.addHandler(handler)
    else:
        handler.addFilter(lambda record: 1 / 0)
        root.addHandler(handler)
    before = ours()
    try:
        for _ in range(THREADS + 2):
            assert ask(server, "/exit").startswith(b"HTTP/1.1 500 ")
            assert ask(server, "/v2/health/live").startswith(b"HTTP/1.1 200 ")
            with socket.create_connection(server.address, timeout=PATIENCE) as client:
                client.sendall(b"no request\r\n\r\n")
                assert client.recv(1000).startswith(b"HTTP/1.1 400 ")
    finally:
        root.removeHandler(handler)
        access.setLevel(level)

    assert ours() == before
    assert serves(server, app)


# A thread may be told between accept and what keeps the connection; the collector closes that one then.
@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
def test_threads_that_are_told_to_exit_go_on_and_the_lead_is_never_lost(server, app):
    ask(server)
    before = ours()

    for error in (SystemExit, KeyboardInterrupt, MemoryError) * 2:
        for thread in before:
            raise_in(thread, error)
        # A thread that rests hears of it when it is to lead, and the one that leads when something comes.
        server.look()
        eventually(lambda: answers(server))
        until_all_have_led(server, app)

    assert ours() == before
    assert serves(server, app)
    gc.collect()


def until_all_have_led(server, app):
    """Have every thread raise what it was told to: as many requests as there are threads hang at once then."""
    hanging = []
    while len(app.runs) < THREADS:
        hanging.append(connect(server, "/hang"))
        with suppress(AssertionError):
            eventually(lambda: len(app.runs) == THREADS, within=0.3)
    app.gate.set()
    for client in hanging:
        client.recv(1000)
        client.close()
    app.gate.clear()
    app.runs.clear()


def test_a_thread_that_has_died_is_replaced_and_another_one_leads(server, app, caplog):
    dead = threading.Thread(name="srv-http-0")
    dead.start()
    dead.join()
    threads = server._threads._threads
    place = next(place for place, thread in enumerate(threads) if thread.name == "srv-http-0")
    threads[place] = dead
    app.gate.clear()

    server.tick()

    assert threads[place].is_alive()
    assert "The thread srv-http-0 has died; another one takes its place." in caplog.text
    assert answers(server)


def test_a_leader_that_cannot_wait_any_more_does_not_count_as_looking_and_makes_pauses(server, caplog):
    ask(server)
    eventually(lambda: not server._table.connections)

    server._poller._epoll.close()  # as a model does that closes descriptors which are not its own

    eventually(lambda: len(caplog.records) > FAILURES_AT_ONCE)
    looked, failed = server.looked, len(caplog.records)
    time.sleep(5 * PAUSE)
    assert server.looked == looked
    assert len(caplog.records) - failed <= 6


def answers(server):
    try:
        with socket.create_connection(server.address, timeout=5) as client:
            client.sendall(b"GET /hello HTTP/1.1\r\nHost: x\r\n\r\n")
            return client.recv(1000).startswith(b"HTTP/1.1 200 ")
    except OSError:
        return False


def test_a_thread_that_dies_while_it_runs_a_request_answers_and_counts_no_longer(server, app):
    with connect(server, "/hang") as client:
        eventually(lambda: app.runs)
        (thread,) = [thread for thread in ours() if thread.ident == app.runs[0]]
        raise_in(thread)
        app.gate.set()

        assert client.recv(1000).startswith(b"HTTP/1.1 500 ")
    app.gate.clear()
    app.runs.clear()

    eventually(lambda: server.tick() or len(ours()) == THREADS + 2)
    assert serves(server, app)

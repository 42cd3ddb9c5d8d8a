"""Deadlines at the time that the app takes, clients that leave, connections that close, streams: all at once, all counted."""

import contextlib
import gc
import logging
import random
import socket
import ssl
import threading
import time
from pathlib import Path

import pytest

from srv.planes.limits import Limit
from srv.serve.http.limits import Limits
from srv.serve.http.refusal_log import AccessLog
from srv.serve.http.server import HttpServer
from srv.serve.http.timers import LITTER
from srv.serve.http.wsgi import WsgiApp

pytestmark = [pytest.mark.hostile, pytest.mark.timeout(120)]

PEM = Path(__file__).parents[1] / "serve" / "http" / "localhost.pem"
#: Seconds that a request has, and that /near takes, more or less.
DEADLINE = 0.03
#: How long all of it goes on, and how long a client waits for what must come.
SECONDS, PATIENCE = 4.0, 30.0
BODY = bytes(200_000)
CLIENTS = {"near": 6, "short": 4, "kept": 4, "streams": 4, "leaves": 8, "pipelines": 2}


def app(environ, start):
    """Answer what the path says, in its time."""
    name = environ["PATH_INFO"].strip("/")
    if name == "near":
        time.sleep(max(0.0, random.gauss(DEADLINE, DEADLINE / 6)))
    elif name == "waits":
        environ["srv.caller"].will_block()
        time.sleep(0.002)
    elif name == "stream":
        start("200 OK", [])
        return (b"piece %d" % number for number in range(5))
    elif name == "fails":
        raise SystemExit(1)
    start("200 OK", [("Content-Length", "2")])
    return [b"ok"]


class Client:
    """A client of one kind, which keeps what went wrong."""

    def __init__(self, address, context, wrong):
        self._address = address
        self._context = context
        self._wrong = wrong
        self.answers = 0

    def connect(self):
        client = socket.create_connection(self._address, timeout=PATIENCE)
        return self._context.wrap_socket(client, server_hostname="localhost") if self._context else client

    def ask(self, client, path, *lines, body=b""):
        head = "\r\n".join([f"POST /{path} HTTP/1.1", "Host: x", f"Content-Length: {len(body)}", *lines, "", ""])
        client.sendall(head.encode() + body)

    def answer(self, client, *allowed):
        """Read one response, whose status must be one of these, to its end; True if the connection is kept."""
        data = b""
        while b"\r\n\r\n" not in data:
            piece = client.recv(1)
            if not piece:
                self._wrong.append(f"closed without an answer, after {data!r}")
                return False
            data += piece
        head = data.decode().lower()
        if int(head[9:12]) not in allowed:
            self._wrong.append(data)
        end = b"0\r\n\r\n" if "transfer-encoding: chunked" in head else None
        length = 0 if end else int(head.split("content-length: ")[1].split("\r\n")[0])
        body = b""
        while not body.endswith(end) if end else len(body) < length:
            piece = client.recv(1 if end else length - len(body))
            if not piece:
                self._wrong.append(f"broke off: {data!r} {body!r}")
                return False
            body += piece
        self.answers += 1
        return "connection: close" not in head

    def near(self):
        """Ask for what takes as long as it may, again on the same connection while that is kept."""
        with self.connect() as client:
            kept = True
            while kept:
                self.ask(client, "near", body=BODY[: random.choice((0, 2000, 200_000))])
                kept = self.answer(client, 200, 504) and random.random() < 0.9

    def short(self):
        with self.connect() as client:
            self.ask(client, random.choice(("quick", "waits", "near")), "Connection: close")
            self.answer(client, 200, 504)
            if client.recv(100):
                self._wrong.append("more than an answer")

    def kept(self):
        with self.connect() as client:
            for _ in range(50):
                path = random.choice(("quick", "quick", "waits", "fails"))
                self.ask(client, path, body=BODY[: random.choice((0, 100))])
                if not self.answer(client, 200, 500, 504):
                    break

    def streams(self):
        with self.connect() as client:
            for _ in range(10):
                self.ask(client, "stream")
                if not self.answer(client, 200, 429, 504):
                    break

    def pipelines(self):
        with self.connect() as client:
            for _ in range(20):
                self.ask(client, random.choice(("quick", "waits")))
            for _ in range(20):
                if not self.answer(client, 200, 504):
                    break

    def leaves(self):
        """Leave at some moment, by any way."""
        client = self.connect()
        with contextlib.suppress(OSError):
            self.ask(
                client, random.choice(("near", "quick", "waits", "stream")), body=BODY[: random.choice((0, 200_000))]
            )
            time.sleep(random.random() * DEADLINE * 1.5)
            if random.random() < 0.3:
                client.shutdown(socket.SHUT_WR)
        client.close()


def until_nothing_is_left(server):
    until = time.monotonic() + PATIENCE
    while (
        server._table.connections or any(server.busy) or server._scheduler.threads.count
    ) and time.monotonic() < until:
        time.sleep(0.01)


def here():
    """How many threads and descriptors this process has."""
    gc.collect()
    return threading.active_count(), len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
def test_whatever_comes_together_is_answered_or_ended_and_nothing_of_it_is_left(secure, caplog, figure):
    caplog.set_level(logging.WARNING)
    in_flight, streams, wrong = Limit(1 << 30), Limit(3), []
    context = ssl.create_default_context(cafile=PEM) if secure else None
    server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER) if secure else None
    if server_context is not None:
        server_context.load_cert_chain(PEM)
    with socket.create_server(("127.0.0.1", 0), backlog=512) as listener:
        listener.settimeout(0)
        limits = Limits(
            threads=4, max_queue=1000, request_timeout=DEADLINE, keep_alive=PATIENCE, header_timeout=PATIENCE
        )
        server = HttpServer(
            WsgiApp(app), [listener], limits, access_log=AccessLog(), context=server_context, in_flight=in_flight,
            streams=streams,
        )  # fmt: skip
        server.start()
        before = here()
        stop = time.monotonic() + SECONDS
        clients = {
            kind: [Client(listener.getsockname(), context, wrong) for _ in range(n)] for kind, n in CLIENTS.items()
        }

        def go_on(client, kind):
            while time.monotonic() < stop:
                try:
                    getattr(client, kind)()
                except ConnectionError as error:
                    if kind != "leaves":
                        wrong.append(f"{kind}: {error!r}")

        threads = [threading.Thread(target=go_on, args=(each, kind)) for kind, some in clients.items() for each in some]
        for thread in threads:
            thread.start()
        while time.monotonic() < stop:
            server.tick()
            time.sleep(0.1)
        for thread in threads:
            thread.join(PATIENCE)
        until_nothing_is_left(server)

        assert wrong == []
        assert (in_flight.count, streams.count, server._scheduler.threads.count, server.waiting()) == (0, 0, 0, 0)
        assert server._table.connections == {}
        assert here() == before
        server.stop(PATIENCE)
    answers = {kind: sum(each.answers for each in some) for kind, some in clients.items() if kind != "leaves"}
    figure(f"answered in {SECONDS:g} s of churn{', over TLS' if secure else ''}: {answers}")
    assert all(answers.values())
    unexpected = [record for record in caplog.records if "/fails" not in record.getMessage()]
    assert [record.getMessage() for record in unexpected] == []
    assert len(server._table.timers._heap) <= 2 * LITTER

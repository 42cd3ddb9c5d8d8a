"""Clients that mean ill, many at once: what they cost, and what a good client notices. The figures are printed."""

import resource
import socket
import statistics
import struct
import threading
from contextlib import contextmanager
from pathlib import Path

import pytest
from workers import Talk, eventually, latencies, talking, worker

pytestmark = [pytest.mark.hostile, pytest.mark.timeout(300)]

MEBIBYTE = 1 << 20
#: What a good client may wait at most beside all of these, on a slow machine too.
NOTICEABLE = 0.5


@pytest.fixture(scope="module", autouse=True)
def descriptors():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 12_000 if hard == resource.RLIM_INFINITY else min(12_000, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with worker(tmp_path_factory.mktemp("hostile") / "log", threads=4, max_connections=10_000) as running:
        running.pid = running.workers()[0]
        latencies(running, 300)
        yield running


def memory(server):
    status = Path(f"/proc/{server.pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


def descriptors_of(server):
    return len(list(Path(f"/proc/{server.pid}/fd").iterdir()))


@contextmanager
def measured(server, figure, what):
    """Prints what the clients inside cost; the server must be as it was when they have gone."""
    before = latencies(server, 300)
    memory_before, descriptors_before = memory(server), descriptors_of(server)
    figures = {}

    def look():
        during = latencies(server, 300)
        figures.update(memory=memory(server) - memory_before, descriptors=descriptors_of(server) - descriptors_before)
        figures.update(median=statistics.median(during), last=during[int(0.99 * len(during))], worst=during[-1])
        return figures

    yield look
    eventually(lambda: descriptors_of(server) <= descriptors_before, within=60)
    figure(
        f"{what}: {figures['memory']:+.1f} MiB, {figures['descriptors']:+d} descriptors; a good client's "
        f"median {figures['median']:.2f} ms (before {statistics.median(before):.2f}), "
        f"p99 {figures['last']:.2f} ms (before {before[int(0.99 * len(before))]:.2f}), "
        f"worst {figures['worst']:.1f} ms; afterwards {memory(server) - memory_before:+.1f} MiB"
    )
    assert figures["worst"] < 1000 * NOTICEABLE


@contextmanager
def trickling(talks, data, stop_at):
    """Sends a byte on every connection, again and again."""
    done = threading.Event()

    def trickle():
        for place in range(stop_at):
            for talk in talks:
                if done.is_set():
                    return
                try:
                    talk.send(data[place : place + 1])
                except OSError:
                    continue

    thread = threading.Thread(target=trickle)
    thread.start()
    yield
    done.set()
    thread.join()


def test_five_thousand_idle_connections(server, figure):
    with measured(server, figure, "5,000 idle connections") as look, talking(server, 5000):
        eventually(lambda: descriptors_of(server) > 5000)
        figures = look()
    assert figures["memory"] < 100


def test_five_hundred_clients_that_trickle_a_header(server, figure):
    with (
        measured(server, figure, "500 clients that trickle a header") as look,
        talking(server, 500) as talks,
        trickling(talks, b"GET /hello HTTP/1.1\r\nX-Y: " + b"z" * 8000, 8000),
    ):
        figures = look()
    assert figures["memory"] < 50


def test_five_hundred_clients_that_trickle_a_body(server, figure):
    head = b"POST /swallow HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % (200 * MEBIBYTE)
    with measured(server, figure, "500 clients that trickle a body of 200 MiB") as look, talking(server, 500) as talks:
        for talk in talks:
            talk.send(head)
        with trickling(talks, b"z" * 8000, 8000):
            figures = look()
    assert figures["memory"] < 100


def test_five_hundred_clients_that_trickle_chunks(server, figure):
    head = b"POST /swallow HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    with measured(server, figure, "500 clients that trickle chunks") as look, talking(server, 500) as talks:
        for talk in talks:
            talk.send(head)
        with trickling(talks, b"1\r\nz\r\n" * 1000, 6000):
            figures = look()
    assert figures["memory"] < 100


def test_a_hundred_clients_that_never_read_their_answer(server, figure):
    answered = server.standing()["answered"]
    with measured(server, figure, "100 clients that never read a 16 MiB answer") as look, talking(server, 100) as talks:
        for talk in talks:
            talk.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            talk.send(b"GET /large?bytes=%d HTTP/1.1\r\nHost: x\r\n\r\n" % (16 * MEBIBYTE))
        eventually(lambda: server.standing()["answered"] >= answered + 100)
        figures = look()
    assert figures["memory"] < 100 * 16 + 200


def test_connections_reset_in_the_middle_of_a_body(server, figure):
    head = b"POST /swallow HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % MEBIBYTE
    with measured(server, figure, "2,000 connections reset in the middle of a body") as look:
        done = threading.Event()

        def reset():
            for _ in range(2000):
                with Talk(server) as talk:
                    talk.send(head + bytes(100_000))
                    talk.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            done.set()

        thread = threading.Thread(target=reset)
        thread.start()
        figures = look()
        thread.join()
        assert done.is_set()
    assert figures["memory"] < 100


def test_clients_that_ask_a_lot_and_read_nothing(server, figure):
    with (
        measured(server, figure, "100 clients that send 200 requests each and read nothing") as look,
        talking(server, 100) as talks,
    ):
        for talk in talks:
            talk.socket.settimeout(0.01)
            try:
                talk.send(b"GET /large?bytes=65536 HTTP/1.1\r\nHost: x\r\n\r\n" * 200)
            except TimeoutError:
                continue
        figures = look()
    assert figures["memory"] < 200

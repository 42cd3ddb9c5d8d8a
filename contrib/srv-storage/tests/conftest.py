"""A real S3 server on loopback, a relay before it that counts, holds and cuts, and a download that only listens."""

import contextlib
import os
import re
import socket
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

SECRET = "kept-to-itself-4711"
RCLONE = Path(sys.executable).with_name("rclone")
#: What developers may have in their environment, and no test may see.
FOREIGN = re.compile(r"(AWS|AZURE|GOOGLE|HF|HUGGING_FACE)_")


class Listener:
    """The `download` that srv would give: it remembers, and may end the download."""

    def __init__(self):
        self.expected, self.added, self.ends = [], 0, None
        self._lock = threading.Lock()

    def expect(self, size):
        self.expected.append(size)

    def add(self, size):
        with self._lock:
            self.added += size
        if self.ends is not None:
            raise self.ends

    def seconds_left(self):
        return 60.0


class Relay:
    """Passes bytes between clients and a server, and counts requests.

    Answers that are longer than `limit` are cut `cuts` times, and then held until `goes_on`.
    """

    def __init__(self, port):
        self.requests, self.limit, self.cuts = [], None, 0
        self.reached, self.goes_on = threading.Event(), threading.Event()
        self._port, self._listener = port, socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def gets(self, name):
        return [path for method, path in self.requests if method == "GET" and path.partition("?")[0].endswith(name)]

    def close(self):
        self.goes_on.set()
        self._listener.close()

    def _accept(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self._port))
            for pump in (self._ask, self._answer):
                threading.Thread(target=pump, args=(client, server), daemon=True).start()

    def _ask(self, client, server):
        while data := _received(client):
            self.requests += re.findall(r"^(GET|HEAD) (\S+) HTTP", data.decode("latin-1"), re.MULTILINE)
            server.sendall(data)
        server.close()

    def _answer(self, client, server):
        passed = 0
        while data := _received(server):
            if data.startswith(b"HTTP/1.1 200 OK") and b"\r\nContent-Range:" in data:
                data = data.replace(b"200 OK", b"206 Partial Content", 1)  # rclone forgets it, and obstore insists
            passed += len(data)
            if self.limit is not None and passed > self.limit:
                self.reached.set()
                if self.cuts:
                    self.cuts -= 1
                    break
                self.goes_on.wait()
            try:
                client.sendall(data)
            except OSError:
                break
        for connection in (server, client):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()


def _received(connection):
    try:
        return connection.recv(65536)
    except OSError:
        return b""


class StandIn(BaseHTTPRequestHandler):
    """Answers from a table of the server: path without query → body, or status and body."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.server.requests.append((self.command, self.path, dict(self.headers)))
        answer = self.server.answers.get(self.path.partition("?")[0], (404, b""))
        status, body, headers = (*answer, {}) if len(answer) == 2 else answer
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    do_HEAD = do_GET  # noqa: N815 - as http.server calls it

    def log_message(self, *words):
        pass


@pytest.fixture
def stand_in():
    server = ThreadingHTTPServer(("127.0.0.1", 0), StandIn)
    server.answers, server.requests = {}, []
    server.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, args=[0.02], daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def _rclone(folder, log, *options):
    """Start rclone's S3 server, whose buckets are the folders in a folder; return it and its port."""
    words = [RCLONE, "serve", "s3", "--addr", "127.0.0.1:0", "--config", os.devnull, "--dir-cache-time", "0s"]
    with log.open("w") as written:
        process = subprocess.Popen([*words, *options, folder], stderr=written, stdout=written)
    ends = time.monotonic() + 60
    while not (found := re.search(r"Starting s3 server on \[http://127.0.0.1:(\d+)/", log.read_text())):
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < ends, log.read_text()
        time.sleep(0.05)
    return process, int(found[1])


@pytest.fixture(scope="session")
def stored(tmp_path_factory):
    """The folder whose folders are the buckets of the S3 servers."""
    return tmp_path_factory.mktemp("buckets")


@pytest.fixture(scope="session")
def s3_port(stored, tmp_path_factory):
    log = tmp_path_factory.mktemp("rclone") / "log"
    process, port = _rclone(stored, log, "--auth-key", f"someone,{SECRET}")
    yield port
    process.kill()
    process.wait(30)


@pytest.fixture(scope="session")
def open_port(stored, tmp_path_factory):
    """The same buckets without credentials."""
    process, port = _rclone(stored, tmp_path_factory.mktemp("rclone") / "log")
    yield port
    process.kill()
    process.wait(30)


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch, tmp_path):
    for name in [name for name in os.environ if FOREIGN.match(name)]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.fixture
def s3(s3_port, monkeypatch):
    """The S3 server behind a relay, with its credentials in the environment."""
    relay = Relay(s3_port)
    monkeypatch.setenv("AWS_ENDPOINT_URL", relay.url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "someone")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    yield relay
    relay.close()


@pytest.fixture
def secret():
    """What no log, no error and no answer may show."""
    return SECRET


@pytest.fixture
def bucket(stored):
    """A new bucket, which is a folder."""
    folder = stored / f"bucket-{len(list(stored.iterdir()))}"
    folder.mkdir()
    return folder


@pytest.fixture
def download():
    return Listener()


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "downloaded"
    made.mkdir()
    return made

"""The builder `docker` on an engine that breaks off. A real one breaks off at a moment that no test can choose."""

import gc
import http.server
import json
import socket
import socketserver
import threading

import pytest

from srv.images import BuildFailed, BuildOrder
from srv_build.docker_engine import DockerEngine
from srv_build.errors import NotPushed

pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
VERSION = json.dumps({"ApiVersion": "1.41", "MinAPIVersion": "1.12", "Version": "20.10"}).encode()
STEP = b'{"stream":"Step 1/2 : RUN sleep 60\\n"}\r\n'


class Engine(http.server.BaseHTTPRequestHandler):
    """Answers as an engine does, and ends in the middle of a build or push."""

    protocol_version = "HTTP/1.1"
    half: bytes

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", str(len(VERSION)))
        self.end_headers()
        self.wfile.write(VERSION)

    def do_POST(self):
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.write(self.half)
        self.close_connection = True

    def address_string(self):
        return "test"

    def log_message(self, *_):
        pass


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


@pytest.fixture
def engine(short_path, monkeypatch):
    servers = []

    def engine(half):
        place = short_path / "engine.sock"
        server = Server(str(place), type("Half", (Engine,), {"half": half}))
        servers.append(server)
        threading.Thread(target=server.serve_forever, args=(0.05,)).start()
        monkeypatch.setenv("DOCKER_HOST", f"unix://{place}")
        return place

    yield engine
    for server in servers:
        server.shutdown()
        server.server_close()
    gc.collect()  # the Docker SDK leaves its sockets


def chunk(data):
    return b"%x\r\n%s\r\n" % (len(data), data)


HALVES = {
    "between two chunks": chunk(STEP),
    "in a chunk": b"ffff\r\n" + STEP,
    "in a message": chunk(STEP + b'{"stre') + b"0\r\n\r\n",
    "as if it were done": chunk(STEP) + b"0\r\n\r\n",
}


@pytest.fixture
def order(tmp_path):
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    return lambda **more: BuildOrder(tmp_path, tmp_path / "Dockerfile", ("acme:1",), **more)


@pytest.mark.parametrize("half", HALVES.values(), ids=HALVES)
def test_an_engine_that_ends_in_the_middle_of_a_build_is_a_sentence_with_the_step(engine, order, half):
    engine(half)
    with pytest.raises(BuildFailed, match=r"^The build of acme:1 failed.*: .*See that the engine") as failure:
        DockerEngine().build(order(), lambda _: None)
    assert "at the step 'RUN sleep 60'" in str(failure.value) or half.startswith(b"ffff")  # it came with its chunk


def test_an_engine_that_is_gone_when_the_build_begins_is_a_sentence(engine, order, monkeypatch, short_path):
    monkeypatch.setenv("DOCKER_HOST", f"unix://{short_path}/none.sock")
    with pytest.raises(BuildFailed, match=r"no engine answers at unix://.*/none.sock .*See that the engine runs"):
        DockerEngine().build(order(), lambda _: None)


def test_an_engine_that_ends_in_the_middle_of_a_push_is_a_sentence(engine):
    engine(b"ffff\r\n" + b'{"status":"Preparing"}\r\n')
    with pytest.raises(NotPushed, match=r"^acme:1 was built and not pushed: the connection to the engine was lost"):
        DockerEngine()._push("acme:1", lambda _: None)


def test_a_socket_that_may_not_be_used_is_told_with_the_ways_to_use_it(engine, monkeypatch):
    place = engine(b"")
    monkeypatch.setattr(socket, "socket", Refused)  # root may use every socket
    said = DockerEngine().unavailable()
    assert said.startswith(f"an engine is there and you may not use unix://{place} (Permission denied): ")
    for words in ("group docker", "sudo", "DOCKER_HOST"):
        assert words in said


class Refused(socket.socket):
    def connect(self, _):
        raise PermissionError(13, "Permission denied")

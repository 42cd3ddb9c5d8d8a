"""Real HTTP workers for tests: gunicorn with one worker class, limits of the test's choice, and an app that obeys."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self
from urllib.parse import parse_qs

#: Far beyond what anything here takes, so that a slow machine is not a failed test.
PATIENCE = 30.0
SRV = "srv.serve.http.worker.SrvWorker"
PIECE = bytes(range(256)) * 256


# -- the app ---------------------------------------------------------------------------------------------------------


class Obedient:
    """A WSGI app whose paths say what it does: /echo, /hang, /large?bytes=N, /stream?pieces=N, /fail and so on."""

    def __init__(self) -> None:
        self._released = threading.Event()
        self._hanging = 0
        self._ran = 0
        self._closed = 0
        self._echoed = 0
        self._files: list[int] = []
        self._answered = 0
        self._guard = threading.Lock()

    def srv_nonblocking(self, method: str, path: str) -> bool:
        """Paths that begin with /now are for the leader."""
        return path.startswith("/now")

    def srv_refuses_by_head(self, environ: dict[str, Any]) -> bool:
        """Requests with X-Stranger are refused, and X-Failing fails the check."""
        if "HTTP_X_FAILING" in environ:
            raise RuntimeError("the check failed")
        environ["test.refused"] = "HTTP_X_STRANGER" in environ
        return bool(environ["test.refused"])

    def __call__(self, environ: dict[str, Any], start: Any) -> Any:
        with self._guard:
            self._ran += 1
        if environ.get("test.refused"):
            body = b"refused with %d bytes" % len(environ["wsgi.input"].read())
            return plain(start, body, "401 Unauthorized")
        name = environ["PATH_INFO"].strip("/").partition("/")[0].replace("-", "_")
        query = {key: values[0] for key, values in parse_qs(environ["QUERY_STRING"]).items()}
        method = getattr(self, f"do_{name or 'hello'}", None)
        if method is None:
            return plain(start, b"nothing here", "404 Not Found")
        return method(environ, start, query)

    def do_hello(self, environ: Any, start: Any, query: Any) -> Any:
        return plain(start, b"hello")

    def do_now(self, environ: Any, start: Any, query: Any) -> Any:
        """What the leader answers itself: how things stand."""
        if "release" in query:
            self._released.set()
        self._files += [os.dup(2) for _ in range(int(query.get("open", "0")))]
        if "hold" in query:
            self._released.clear()
        standing = {"hanging": self._hanging, "ran": self._ran, "closed": self._closed, "pid": os.getpid()}
        standing |= {"echoed": self._echoed, "answered": self._answered}
        return plain(start, json.dumps(standing).encode(), kind="application/json")

    def do_echo(self, environ: Any, start: Any, query: Any) -> Any:
        self._echoed += 1
        body = environ["wsgi.input"].read()
        assert bytes(environ["srv.body"]) == body if "srv.body" in environ else True
        return plain(start, body)

    def do_tell(self, environ: Any, start: Any, query: Any) -> Any:
        """The environ's texts, those asked for."""
        keys = query.get("keys", "REQUEST_METHOD,PATH_INFO,QUERY_STRING").split(",")
        return plain(start, json.dumps({key: environ.get(key) for key in keys}).encode(), kind="application/json")

    def do_swallow(self, environ: Any, start: Any, query: Any) -> Any:
        """The length of the body, which is not looked at."""
        return plain(start, environ.get("CONTENT_LENGTH", "").encode())

    def do_hang(self, environ: Any, start: Any, query: Any) -> Any:
        with self._guard:
            self._hanging += 1
        self._released.wait(PATIENCE)
        with self._guard:
            self._hanging -= 1
        return plain(start, b"released")

    def do_sleep(self, environ: Any, start: Any, query: Any) -> Any:
        time.sleep(float(query["ms"]) / 1000)
        return plain(start, b"slept")

    def do_large(self, environ: Any, start: Any, query: Any) -> Any:
        size = int(query["bytes"])
        start("200 OK", [("Content-Length", str(size))])
        middle = memoryview(bytes(size - 2))
        with self._guard:
            self._answered += 1
        return [b"<", middle, b">"]

    def do_stream(self, environ: Any, start: Any, query: Any) -> Any:
        start("200 OK", [("Content-Type", "text/plain")])
        return self._pieces(int(query.get("pieces", "3")), query.get("held"), query.get("size"))

    def _pieces(self, count: int, held: str | None, size: str | None) -> Iterator[bytes]:
        try:
            for number in range(count):
                if held and number:
                    self._released.wait(PATIENCE)
                yield PIECE[: int(size)] if size else b"piece %d\n" % number
        finally:
            with self._guard:
                self._closed += 1

    def do_sized_stream(self, environ: Any, start: Any, query: Any) -> Any:
        start("200 OK", [("Content-Length", query.get("length", "6"))])
        return iter([b"abc", b"", b"def"])

    def do_written(self, environ: Any, start: Any, query: Any) -> Any:
        write = start("200 OK", [])
        write(b"written ")
        return [b"and returned"]

    def do_nothing(self, environ: Any, start: Any, query: Any) -> Any:
        start("204 No Content", [])
        return []

    def do_unchanged(self, environ: Any, start: Any, query: Any) -> Any:
        start("304 Not Modified", [("Content-Length", "5")])
        return []

    def do_farewell(self, environ: Any, start: Any, query: Any) -> Any:
        start("200 OK", [("Connection", "close")])
        return [b"farewell"]

    def do_fail(self, environ: Any, start: Any, query: Any) -> Any:
        raise RuntimeError("the app failed, secretly")

    def do_cancel(self, environ: Any, start: Any, query: Any) -> Any:
        raise asyncio.CancelledError

    def do_exit(self, environ: Any, start: Any, query: Any) -> Any:
        raise SystemExit(3)

    def do_fail_first(self, environ: Any, start: Any, query: Any) -> Any:
        start("200 OK", [])
        return (1 / 0 for _ in "x")

    def do_fail_late(self, environ: Any, start: Any, query: Any) -> Any:
        start("200 OK", [])
        return (b"%d" % (4 // (2 - number)) for number in range(3))

    def do_lie(self, environ: Any, start: Any, query: Any) -> Any:
        start("200 OK", [("Content-Length", "99")])
        return [b"short"]

    def do_split(self, environ: Any, start: Any, query: Any) -> Any:
        start("200 OK", [("X-Split", "a\r\nSet-Cookie: b=c")])
        return [b"split"]

    def do_text(self, environ: Any, start: Any, query: Any) -> Any:
        start("200 OK", [])
        return ["text, not bytes"]

    def do_silence(self, environ: Any, start: Any, query: Any) -> Any:
        return [b"no status"]


def plain(start: Any, body: bytes, status: str = "200 OK", kind: str = "text/plain") -> list[bytes]:
    start(status, [("Content-Type", kind), ("Content-Length", str(len(body)))])
    return [body]


# -- the server, as a process of its own -----------------------------------------------------------------------------


def serve(options: dict[str, Any]) -> None:
    """Run gunicorn here with the options that the test gave: gunicorn's own under 'gunicorn', limits beside it."""
    from gunicorn.app.base import BaseApplication

    if options["descriptors"]:
        resource.setrlimit(resource.RLIMIT_NOFILE, (options["descriptors"], options["descriptors"]))

    class Application(BaseApplication):
        settings = SimpleNamespace(**options["limits"]) if options["worker"] == SRV else None

        def load_config(self) -> None:
            chosen = {"worker_class": options["worker"], "control_socket_disable": True, "loglevel": "warning"}
            for name, value in {**chosen, **options["gunicorn"]}.items():
                self.cfg.set(name, value)

        def load(self) -> Any:
            return Obedient()

    Application().run()


@dataclass
class Worker:
    """A server of the tests'."""

    port: int
    process: subprocess.Popen[bytes]
    log: Path
    context: Any = None
    stops: float = field(default=PATIENCE)

    def connect(self) -> socket.socket:
        client = socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return self.context.wrap_socket(client, server_hostname="localhost") if self.context else client

    def standing(self, **query: str) -> dict[str, Any]:
        """How things stand in the app, asked of the leader."""
        target = "/now?" + "&".join(f"{key}={value}" for key, value in query.items())
        with Talk(self) as talk:
            talk.send(f"GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
            standing: dict[str, Any] = json.loads(talk.answer().body)
            return standing

    def workers(self) -> list[int]:
        """The pids of gunicorn's workers."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return [int(child) for child in children]


@contextmanager
def worker(
    log: Path,
    *,
    gunicorn: dict[str, Any] | None = None,
    kind: str = SRV,
    context: Any = None,
    descriptors: int | None = None,
    **limits: Any,
) -> Iterator[Worker]:
    """A server on a free port; its limits are those of `srv.serve.http.limits`."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", 0))
    listener.listen(2048)
    port = listener.getsockname()[1]
    limits = {"threads": 4, "graceful_timeout": 10.0, **limits}
    own = {"bind": f"fd://{listener.fileno()}", "threads": limits["threads"], **(gunicorn or {})}
    options = json.dumps({"worker": kind, "limits": limits, "gunicorn": own, "descriptors": descriptors})
    with log.open("wb") as lines:
        process = subprocess.Popen(
            [sys.executable, __file__, options],
            pass_fds=[listener.fileno()],
            stdout=lines,
            stderr=lines,
            stdin=subprocess.DEVNULL,
        )
    listener.close()
    running = Worker(port, process, log, context)
    try:
        running.standing()
        yield running
    finally:
        with suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


# -- a client that says what it likes --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Answer:
    """An answer as it came."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def code(self) -> str | None:
        with suppress(ValueError, KeyError, TypeError):
            word: str = json.loads(self.body)["code"]
            return word
        return None


class Talk:
    """A connection on which bytes are sent as they are, and answers are read with care."""

    def __init__(self, server: Worker) -> None:
        self.socket = server.connect()
        self._rest = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def ask(self, target: str, *lines: str, method: str = "GET", body: bytes = b"") -> Answer:
        """A good request, and its answer."""
        head = [f"{method} {target} HTTP/1.1", "Host: x", *lines, *([f"Content-Length: {len(body)}"] if body else [])]
        self.send("\r\n".join(head).encode() + b"\r\n\r\n" + body)
        return self.answer(bodiless=method == "HEAD")

    def answer(self, *, bodiless: bool = False) -> Answer:
        """The next answer that is no interim one. Raises EOFError where the server closes before its end."""
        head = self._until(b"\r\n\r\n")
        first, *lines = head[:-4].decode("latin-1").split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        status = int(first.split(" ")[1])
        if bodiless or status in (100, 204, 304):
            return Answer(status, headers, b"")
        if "chunked" in headers.get("transfer-encoding", ""):
            return Answer(status, headers, self._chunks())
        if "content-length" not in headers:
            return Answer(status, headers, self.rest())
        return Answer(status, headers, self._exactly(int(headers["content-length"])))

    def rest(self) -> bytes:
        """All that comes until the server closes."""
        while self._more():
            pass
        rest, self._rest = self._rest, b""
        return rest

    def ended(self) -> bool:
        """Whether the server closes now, without another byte."""
        return self.rest() == b""

    def _more(self) -> bool:
        try:
            data = self.socket.recv(1 << 20)
        except ConnectionResetError:
            data = b""
        self._rest += data
        return bool(data)

    def _until(self, end: bytes) -> bytes:
        while end not in self._rest:
            if not self._more():
                raise EOFError(self._rest)
        found, self._rest = (
            self._rest[: self._rest.index(end) + len(end)],
            self._rest[self._rest.index(end) + len(end) :],
        )
        return found

    def _exactly(self, count: int) -> bytes:
        pieces, missing = [self._rest[:count]], count - len(self._rest[:count])
        self._rest = self._rest[count:]
        while missing:
            data = self.socket.recv(min(missing, 1 << 20))
            if not data:
                raise EOFError(count)
            pieces.append(data)
            missing -= len(data)
        return b"".join(pieces)

    def _chunks(self) -> bytes:
        body = b""
        while size := int(self._until(b"\r\n"), 16):
            body += self._exactly(size)
            assert self._exactly(2) == b"\r\n"
        assert self._exactly(2) == b"\r\n"
        return body


@contextmanager
def talking(server: Worker, count: int) -> Iterator[list[Talk]]:
    """So many connections, closed in the end."""
    with ExitStack() as stack:
        yield [stack.enter_context(Talk(server)) for _ in range(count)]


def eventually(what: Any, *, within: float = PATIENCE) -> Any:
    """The first true result of a function that is asked again and again."""
    until = time.monotonic() + within
    while not (result := what()):
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.005)
    return result


def latencies(server: Worker, count: int) -> list[float]:
    """What each of so many requests of a good client took, in milliseconds, sorted; the client is another process."""
    client = [sys.executable, __file__, "latencies", str(server.port), str(count)]
    took: list[float] = json.loads(subprocess.run(client, check=True, capture_output=True).stdout)
    return took


def time_requests(port: int, count: int) -> list[float]:
    took = []
    with Talk(Worker(port, None, Path())) as talk:
        for number in range(count):
            started = time.monotonic()
            assert talk.ask("/hello" if number % 2 else "/v2/health/live").status == 200
            took.append(1000 * (time.monotonic() - started))
    return sorted(took)


if __name__ == "__main__":
    if sys.argv[1] == "latencies":
        print(json.dumps(time_requests(int(sys.argv[2]), int(sys.argv[3]))))
    else:
        serve(json.loads(sys.argv[1]))

"""A web server on loopback that tests bend: it breaks off, waits, changes its content, redirects, refuses."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Page:
    """What is at a path, and how it is given."""

    content: bytes = b""
    etag: str | None = '"1"'
    headers: dict[str, str] = field(default_factory=dict)
    status: int = 200
    #: How many bytes of the content go out before the connection is closed, for each of the next answers to GET.
    breaks: list[int] = field(default_factory=list)
    takes_ranges: bool = True
    #: How the end of the content is told: by `length`, by `chunks`, or by the `close` of the connection.
    end: str = "length"
    takes_head: bool = True
    #: The text of `Authorization` without which it answers 401.
    authorization: str | None = None
    #: Set once half of the content is out; the rest comes when `rest` is set.
    half: threading.Event = field(default_factory=threading.Event)
    rest: threading.Event | None = None


@dataclass(frozen=True)
class Asked:
    """One request that came."""

    method: str
    path: str
    headers: dict[str, str]


class WebServer:
    """Pages by path, and the requests that came."""

    def __init__(self) -> None:
        self.pages: dict[str, Page] = {}
        self.asked: list[Asked] = []
        self.port = 0

    def put(self, path: str, content: bytes = b"", **how: object) -> Page:
        """Put a page at a path, in place of the one that is there."""
        self.pages[path] = Page(content, **how)
        return self.pages[path]

    def url(self, path: str = "", *, user: str = "") -> str:
        """Return the address of a path."""
        return f"http://{user and user + '@'}127.0.0.1:{self.port}{path}"

    def count(self, method: str = "GET", path: str | None = None) -> int:
        """Return how many requests came."""
        return sum(each.method == method and path in (None, each.path.partition("?")[0]) for each in self.asked)


class _Server(ThreadingHTTPServer):
    web: WebServer


class Handler(BaseHTTPRequestHandler):
    """Answers one connection."""

    protocol_version = "HTTP/1.1"
    server: _Server

    def do_HEAD(self) -> None:
        """Answer without the content."""
        self._answer(with_body=False)

    def do_GET(self) -> None:
        """Answer with the content."""
        self._answer(with_body=True)

    def _answer(self, *, with_body: bool) -> None:
        self.server.web.asked.append(Asked(self.command, self.path, dict(self.headers)))
        page = self.server.web.pages.get(self.path.partition("?")[0], Page(status=404))
        status, content, headers = page.status, page.content, dict(page.headers)
        if not with_body and not page.takes_head:
            status, content = 405, b""
        if page.authorization is not None and self.headers.get("Authorization") != page.authorization:
            status, content = 401, b""
        if status == 200 and page.etag is not None:
            headers["ETag"] = page.etag
        start = self._start(page)
        if status == 200 and start:
            status = 206
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
            content = content[start:]
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if page.end == "length" or not with_body:
            self.send_header("Content-Length", str(len(content)))
        elif page.end == "chunks":
            self.send_header("Transfer-Encoding", "chunked")
            content = b"%x\r\n%s\r\n0\r\n\r\n" % (len(content), content)
        else:
            self.close_connection = True
        self.end_headers()
        if with_body:
            self._send(page, content)

    def _start(self, page: Page) -> int:
        said = self.headers.get("Range", "")
        unchanged = self.headers.get("If-Range") == page.etag
        return int(said[6:-1]) if said and unchanged and page.takes_ranges else 0

    def _send(self, page: Page, content: bytes) -> None:
        if page.breaks:
            self.wfile.write(content[: page.breaks.pop(0)])
            self.close_connection = True
        elif page.rest is not None:
            self.wfile.write(content[: len(content) // 2])
            self.wfile.flush()
            page.half.set()
            page.rest.wait(60)
            self.wfile.write(content[len(content) // 2 :])
        else:
            self.wfile.write(content)

    def handle(self) -> None:
        """Answer requests until the client leaves."""
        with suppress(OSError):  # a client that was killed
            super().handle()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def web_server() -> Iterator[WebServer]:
    """Serve on a free port of loopback."""
    web = WebServer()

    server = _Server(("127.0.0.1", 0), Handler)
    server.web = web
    web.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield web
    finally:
        for page in web.pages.values():
            if page.rest is not None:
                page.rest.set()
        server.shutdown()
        server.server_close()
        thread.join()

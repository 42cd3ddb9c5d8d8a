"""A package index on loopback, in the form of PEP 503, which plays the one that srv will be published on."""

from __future__ import annotations

import html
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from packaging.utils import canonicalize_name


class Index:
    """Serves wheels; `url` is what pip is given, `served` the names of the wheels that were fetched."""

    def __init__(self, wheels: Sequence[Path]) -> None:
        self.wheels = {wheel.name: wheel for wheel in wheels}
        self.served: list[str] = []
        self.url = ""

    def page(self, path: str) -> bytes | None:
        """What stands at a path: a project's links, or a wheel."""
        kind, _, name = path.strip("/").partition("/")
        if kind == "files" and name in self.wheels:
            self.served.append(name)
            return self.wheels[name].read_bytes()
        found = [wheel for wheel in self.wheels if canonicalize_name(wheel.partition("-")[0]) == name]
        if kind != "simple" or not found:
            return None
        links = "".join(f'<a href="/files/{html.escape(wheel)}">{html.escape(wheel)}</a>' for wheel in found)
        return f"<!DOCTYPE html><html><body>{links}</body></html>".encode()

    def environ(self) -> dict[str, str]:
        """What makes pip look here too, beside the indexes that it is configured with."""
        asked = [sys.executable, "-m", "pip", "config", "get", "global.extra-index-url"]
        configured = subprocess.run(asked, capture_output=True, text=True, check=False).stdout.split()
        others = os.environ.get("PIP_EXTRA_INDEX_URL", "").split() or configured
        # First, because of equal versions pip takes the one that it sees first.
        return {"PIP_EXTRA_INDEX_URL": " ".join([self.url, *others]), "PIP_TRUSTED_HOST": "127.0.0.1"}


@contextmanager
def serving(wheels: Sequence[Path]) -> Iterator[Index]:
    """An index of these wheels for as long as the context lasts."""
    index = Index(wheels)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            page = index.page(self.path)
            self.send_response(404 if page is None else 200)
            is_page = self.path.startswith("/simple/")
            self.send_header("Content-Type", "text/html" if is_page else "application/octet-stream")
            self.send_header("Content-Length", str(len(page or b"")))
            self.end_headers()
            self.wfile.write(page or b"")

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        index.url = f"http://127.0.0.1:{server.server_port}/simple/"
        yield index
        server.shutdown()
        thread.join()

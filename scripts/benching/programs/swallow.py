"""Servers that take bodies and do not look at them: a bare loop of recv_into, or a WSGI app in a gunicorn worker."""

from __future__ import annotations

import re
import socket
import sys
from contextlib import suppress
from typing import Any

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def bare(port: int) -> None:
    """Take requests on one connection after the other: head, then the body into one buffer, then the answer."""
    listener = socket.create_server(("127.0.0.1", port))
    buffer = memoryview(bytearray(64 << 20))
    while True:
        client, _ = listener.accept()
        with client, suppress(ConnectionError):
            serve(client, buffer)


def serve(client: socket.socket, buffer: memoryview) -> None:
    """Answer one connection until it ends."""
    while data := client.recv(65536):
        head, _, body = data.partition(b"\r\n\r\n")
        length = re.search(rb"Content-Length: (\d+)", head)
        received, expected = len(body), int(length[1]) if length else 0
        while received < expected:
            count = client.recv_into(buffer[received:expected])
            if not count:
                return
            received += count
        client.sendall(ANSWER)


def app(environ: dict[str, Any], start: Any) -> list[bytes]:
    """Answer without a look at the body; gthread closes a connection whose app leaves so much of it unread."""
    if "srv.body" not in environ:
        environ["wsgi.input"].read()
    start("200 OK", [("Content-Length", "2")])
    return [b"ok"]


def in_worker(kind: str, port: int) -> None:
    """Serve the app with one gunicorn worker."""
    from gunicorn.app.base import BaseApplication

    class Application(BaseApplication):
        def load_config(self) -> None:
            worker = {"srv": "srv.serve.http.worker.SrvWorker", "gthread": "gthread"}[kind]
            options = {"worker_class": worker, "threads": 4, "keepalive": 60, "control_socket_disable": True}
            for name, value in {**options, "bind": f"127.0.0.1:{port}", "loglevel": "warning"}.items():
                self.cfg.set(name, value)

        def load(self) -> Any:
            return app

    Application().run()


if __name__ == "__main__":
    bare(int(sys.argv[2])) if sys.argv[1] == "bare" else in_worker(sys.argv[1], int(sys.argv[2]))

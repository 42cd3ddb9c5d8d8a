"""Load generators: wrk, and a client in Python for machines that have it not."""

from __future__ import annotations

import json
import os
import re
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from benching.servers import CLIENT_CORE, Server

PERCENTILES = (50, 75, 90, 99)


@dataclass(frozen=True)
class Request:
    """What is sent, again and again."""

    path: str
    body: bytes
    headers: tuple[tuple[str, str], ...] = (("Content-Type", "application/json"),)

    def raw(self) -> bytes:
        """The request as it goes over the wire."""
        lines = [f"POST {self.path} HTTP/1.1", "Host: 127.0.0.1", *(f"{name}: {value}" for name, value in self.headers)]
        return "\r\n".join([*lines, f"Content-Length: {len(self.body)}", "", ""]).encode() + self.body


@dataclass(frozen=True)
class Round:
    """What one round gave: times in milliseconds, CPU in microseconds for each request."""

    requests: int
    seconds: float
    failed: int
    latencies: dict[str, float]
    cpu: float

    @property
    def throughput(self) -> float:
        """Requests a second."""
        return self.requests / self.seconds

    def figures(self) -> dict[str, object]:
        """For a file."""
        return {**asdict(self), "throughput": self.throughput}


@dataclass(frozen=True)
class Generator:
    """A way to make load: server, request, seconds and connections give requests, failures and latencies."""

    name: str
    make: Callable[[Server, Request, float, int], tuple[int, float, int, dict[str, float]]]

    def round(self, server: Server, request: Request, *, seconds: float, connections: int) -> Round:
        """Load one server for a while."""
        before = server.cpu()
        requests, took, failed, latencies = self.make(server, request, seconds, connections)
        return Round(requests, took, failed, latencies, 1e6 * (server.cpu() - before) / max(1, requests))


def generator(wanted: str | None) -> Generator:
    """The program wrk where it is installed or was asked for, else the client below."""
    if wanted == "python" or (wanted is None and shutil.which("wrk") is None):
        return Generator("a client in Python", by_python)
    if shutil.which("wrk") is None:
        sys.exit("wrk is not installed: apt-get install wrk, or --client python.")
    return Generator("wrk", by_wrk)


def by_wrk(
    server: Server, request: Request, seconds: float, connections: int
) -> tuple[int, float, int, dict[str, float]]:
    """By wrk, with a script that sends the body and reports as JSON."""
    lines = [f"wrk.method = 'POST'\nwrk.body = {json.dumps(request.body.decode('latin-1'))}"]
    lines += [f"wrk.headers[{name!r}] = {value!r}" for name, value in request.headers]
    percentiles = ", ".join(f"p{each}=%.6f" for each in PERCENTILES)
    values = ", ".join(f"latency:percentile({each}) / 1000" for each in PERCENTILES)
    report = f"requests=%d, seconds=%.6f, failed=%d, {percentiles}"
    counts = "summary.requests, summary.duration / 1e6, e.status + e.read + e.write + e.timeout + e.connect"
    lines.append(
        "function done(summary, latency, requests)\n  local e = summary.errors\n"
        f"  io.write(string.format('\\nREPORT {report}\\n', {counts}, {values}))\nend"
    )
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write("\n".join(lines))
        script.flush()
        target = f"http://127.0.0.1:{server.port}{request.path}"
        command = [
            "wrk",
            "-t1",
            f"-c{connections}",
            f"-d{max(1, round(seconds))}s",
            "--latency",
            "-s",
            script.name,
            target,
        ]
        pinned = ["taskset", "-c", str(CLIENT_CORE), *command]
        output = subprocess.run(pinned, check=True, capture_output=True, text=True).stdout
    found = {name: float(value) for name, value in re.findall(r"(\w+)=([\d.]+)", output.partition("REPORT")[2])}
    latencies = {name: value for name, value in found.items() if name.startswith("p")}
    return int(found["requests"]), found["seconds"], int(found["failed"]), latencies


def by_python(
    server: Server, request: Request, seconds: float, connections: int
) -> tuple[int, float, int, dict[str, float]]:
    """A process of its own with one epoll loop; prints what it saw as JSON."""
    with tempfile.NamedTemporaryFile(suffix=".http") as file:
        file.write(request.raw())
        file.flush()
        arguments = [str(server.port), file.name, str(seconds), str(connections)]
        command = [sys.executable, __file__, *arguments]
        path = {"PYTHONPATH": str(Path(__file__).parents[1])}
        output = subprocess.run(command, check=True, capture_output=True, env={**os.environ, **path}).stdout
    found = json.loads(output)
    return found["requests"], found["seconds"], found["failed"], found["latencies"]


def loop(port: int, raw: bytes, seconds: float, connections: int) -> dict[str, object]:
    """Send the request on every connection, again as soon as its answer is there."""
    clients: dict[int, socket.socket] = {}
    rest: dict[int, bytes] = {}
    sent: dict[int, float] = {}
    watch = select.epoll()
    for _ in range(connections):
        client = socket.create_connection(("127.0.0.1", port))
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        clients[client.fileno()] = client
        rest[client.fileno()] = b""
        watch.register(client.fileno(), select.EPOLLIN)
    started = time.perf_counter()
    for descriptor, client in clients.items():
        sent[descriptor] = time.perf_counter()
        client.sendall(raw)
    took: list[float] = []
    failed = 0
    while (now := time.perf_counter()) - started < seconds or not took:
        for descriptor, _ in watch.poll(1.0):
            client = clients[descriptor]
            data = rest[descriptor] + client.recv(262144)
            whole, status = length_of(data)
            if whole > len(data):
                rest[descriptor] = data
                continue
            now = time.perf_counter()
            took.append(1000 * (now - sent[descriptor]))
            failed += status != b"200"
            rest[descriptor] = data[whole:]
            sent[descriptor] = now
            client.sendall(raw)
    took.sort()
    latencies = {f"p{each}": took[min(len(took) - 1, len(took) * each // 100)] for each in PERCENTILES}
    return {"requests": len(took), "seconds": now - started, "failed": failed, "latencies": latencies}


def length_of(data: bytes) -> tuple[int, bytes]:
    """How long the answer at the start of the data is, and its status; more than there is while that is not known."""
    end = data.find(b"\r\n\r\n")
    if end < 0:
        return len(data) + 1, b""
    length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", data[:end])
    return end + 4 + (int(length[1]) if length else 0), data[9:12]


if __name__ == "__main__":
    os.sched_setaffinity(0, {CLIENT_CORE})
    print(json.dumps(loop(int(sys.argv[1]), Path(sys.argv[2]).read_bytes(), float(sys.argv[3]), int(sys.argv[4]))))

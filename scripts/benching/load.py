"""Load generators: wrk for HTTP, h2load for gRPC, and a client in Python for large bodies or where wrk is missing."""

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
from dataclasses import dataclass
from pathlib import Path

from benching.processes import CLIENT_CORE, Server, clean, pinned
from benching.results import Sample, percentile
from benching.wire import METHOD, Call, Request, WrongAnswer

PERCENTILES = (50, 75, 90, 99)
Loaded = tuple[int, float, int, dict[str, float]]


class NoGenerator(Exception):
    """The program that makes the load is not installed."""

    def __init__(self, program: str, package: str) -> None:
        super().__init__(f"{program} is not installed (Debian: apt-get install {package}).")


@dataclass(frozen=True)
class Generator:
    """A way to make load: server, request, seconds and connections give requests, seconds, failures and latencies."""

    name: str
    make: Callable[[Server, Request, float, int], Loaded]


def measured(server: Server, load: Callable[[], Loaded]) -> Sample:
    """One round: what it gave, in milliseconds, and what CPU it took, in microseconds for each request."""
    before = server.cpu()
    requests, took, failed, latencies = load()
    spent = server.cpu() - before
    if failed:
        raise WrongAnswer(f"{failed} of {requests} answers of {server.name} were not good ones.")
    figures = {"cpu": 1e6 * spent / max(1, requests), "throughput": requests / took, "seconds": took}
    return {**figures, "requests": requests, **latencies}


def generator(wanted: str | None) -> Generator:
    """The program wrk where it is installed or was asked for, else the client below."""
    if wanted == "python" or (wanted is None and shutil.which("wrk") is None):
        return Generator("a client in Python", by_python)
    if shutil.which("wrk") is None:
        raise NoGenerator("wrk", "wrk")
    return Generator("wrk", by_wrk)


def by_wrk(server: Server, request: Request, seconds: float, connections: int) -> Loaded:
    """By wrk, with a script that sends the body and reports the percentiles."""
    with tempfile.TemporaryDirectory() as name:
        body, script = Path(name, "body"), Path(name, "script.lua")
        body.write_bytes(request.body)
        script.write_text(lua(request, body))
        target = f"http://127.0.0.1:{server.port}{request.path}"
        words = [
            "-t1",
            f"-c{connections}",
            f"-d{max(1, round(seconds))}s",
            "--timeout",
            "60s",
            "-s",
            str(script),
            target,
        ]
        output = run(["wrk", *words])
    return read_wrk(output)


def lua(request: Request, body: Path) -> str:
    """The script for wrk."""
    lines = [f"wrk.method = 'POST'\nlocal file = io.open('{body}', 'rb')\nwrk.body = file:read('*a')\nfile:close()"]
    lines += [f"wrk.headers[{name!r}] = {value!r}" for name, value in request.headers]
    percentiles = ", ".join(f"p{each}=%.6f" for each in PERCENTILES)
    values = ", ".join(f"latency:percentile({each}) / 1000" for each in PERCENTILES)
    report = f"requests=%d, seconds=%.6f, failed=%d, {percentiles}"
    counts = "summary.requests, summary.duration / 1e6, e.status + e.read + e.write + e.timeout + e.connect"
    lines.append(
        "function done(summary, latency, requests)\n  local e = summary.errors\n"
        f"  io.write(string.format('\\nREPORT {report}\\n', {counts}, {values}))\nend"
    )
    return "\n".join(lines)


def read_wrk(output: str) -> Loaded:
    """What the script's last line says."""
    found = {name: float(value) for name, value in re.findall(r"(\w+)=([\d.]+)", output.partition("REPORT")[2])}
    latencies = {name: value for name, value in found.items() if name.startswith("p")}
    return int(found["requests"]), found["seconds"], int(found["failed"]), latencies


def run(command: list[str], *, environ: dict[str, str] | None = None) -> str:
    """Run a load generator on its core: what it printed."""
    done = subprocess.run(pinned(command, [CLIENT_CORE]), check=False, capture_output=True, text=True, env=environ)
    if done.returncode:
        raise WrongAnswer(f"{command[0]} failed: {done.stderr[-300:] or done.stdout[-300:]}")
    return done.stdout


# -- h2load ------------------------------------------------------------------------------------------------------------


def by_h2load(server: Server, call: Call, count: int, streams: int, answer: int) -> Loaded:
    """So many calls over one connection with so many streams; an answer must have the size of a good one.

    h2load does not look at trailers: an error of gRPC comes with the status 200 and no data, so data is counted.
    """
    headers = ["-H", "content-type: application/grpc", "-H", "te: trailers"]
    sizes = ["-w", "28", "-W", "28"]
    target = f"http://127.0.0.1:{server.grpc_port}{METHOD}"
    done, took, failed, data, latencies = h2load(target, call.frame(), count, [*headers, *sizes, "-m", str(streams)])
    lacking = max(0, count - round(data / (answer + 5)))
    return done, took, failed + (lacking if lacking > count // 100 else 0), latencies


def h2load(target: str, body: bytes, count: int, words: list[str]) -> tuple[int, float, int, int, dict[str, float]]:
    """Requests done, seconds, those that failed, bytes of data that came, and latencies."""
    if shutil.which("h2load") is None:
        raise NoGenerator("h2load", "nghttp2-client")
    with tempfile.TemporaryDirectory() as name:
        file, log = Path(name, "body"), Path(name, "log")
        file.write_bytes(body)
        output = run(["h2load", "-n", str(count), "-t1", "-d", str(file), f"--log-file={log}", *words, target])
        return (*read_h2load(output), read_log(log.read_text()))


def read_h2load(output: str) -> tuple[int, float, int, int]:
    """What h2load prints at its end."""
    took = re.search(r"finished in ([\d.]+)(us|ms|s|m)\b", output)
    done = re.search(r"(\d+) done, (\d+) succeeded, (\d+) failed", output)
    data = re.search(r"\((\d+)\) data", output)
    if not (took and done and data):
        raise WrongAnswer(f"h2load said: {output[-300:]}")
    seconds = float(took[1]) * {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0}[took[2]]
    return int(done[1]), seconds, int(done[3]), int(data[1])


def read_log(log: str) -> dict[str, float]:
    """Percentiles of the third column, microseconds."""
    took = sorted(int(line.split("\t")[2]) / 1000 for line in log.splitlines())
    return {f"p{each}": percentile(took, each) for each in PERCENTILES} if took else {}


# -- a client in Python ------------------------------------------------------------------------------------------------


def by_python(server: Server, request: Request, seconds: float, connections: int) -> Loaded:
    """A process of its own with one epoll loop; prints what it saw as JSON."""
    with tempfile.NamedTemporaryFile(suffix=".http") as file:
        file.write(request.raw())
        file.flush()
        arguments = [str(server.port), file.name, str(seconds), str(connections)]
        environ = {**clean(os.environ), "PYTHONPATH": str(Path(__file__).parents[1])}
        output = run([sys.executable, __file__, *arguments], environ=environ)
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
    latencies = {f"p{each}": percentile(took, each) for each in PERCENTILES}
    return {"requests": len(took), "seconds": now - started, "failed": failed, "latencies": latencies}


def length_of(data: bytes) -> tuple[int, bytes]:
    """How long the answer at the start of the data is, and its status; more than there is while that is not known."""
    end = data.find(b"\r\n\r\n")
    if end < 0:
        return len(data) + 1, b""
    length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", data[:end])
    return end + 4 + (int(length[1]) if length else 0), data[9:12]


if __name__ == "__main__":
    print(json.dumps(loop(int(sys.argv[1]), Path(sys.argv[2]).read_bytes(), float(sys.argv[3]), int(sys.argv[4]))))

"""What is timed: each workload starts its servers, checks their answers, and lets them take turns."""

from __future__ import annotations

import http.client
import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from benching.load import Generator, Request, Round, by_python
from benching.servers import Server, free_port, says_ready, started

Rounds = dict[str, list[Round]]
NUMBERS = Request(
    "/v2/models/bench/infer",
    json.dumps({"inputs": [{"name": "x", "datatype": "FP64", "shape": [3], "data": [1.0, 2.5, 3.0]}]}).encode(),
)
LARGE = Request("/", bytes(16 << 20), (("Content-Type", "application/octet-stream"),))
MODEL = """
import time
import numpy as np
from srv import Runtime

class Model(Runtime):
    def predict(self, x: np.ndarray) -> np.ndarray:
        {work}
        return x
"""


def tiny(load: Generator, *, rounds: int, seconds: float, connections: int) -> Rounds:
    """A full inference of three numbers as JSON, access log off"""
    return compare_workers("pass", 16, load, rounds=rounds, seconds=seconds, connections=connections)


def blocking(load: Generator, *, rounds: int, seconds: float, connections: int) -> Rounds:
    """A model that sleeps 2 ms outside the interpreter lock, 32 threads"""
    return compare_workers("time.sleep(0.002)", 32, load, rounds=rounds, seconds=seconds, connections=connections)


def large(load: Generator, *, rounds: int, seconds: float, connections: int) -> Rounds:  # noqa: ARG001 - always Python's client
    """A body of 16 MiB to an app that does not look at it (in gthread it must read it), one connection; bare recv_into"""
    with ExitStack() as stack:
        servers = [stack.enter_context(swallowing(kind)) for kind in ("srv", "bare", "gthread")]
        client = Generator("python", send_large)
        return take_turns(servers, LARGE, client, rounds=rounds, seconds=seconds, connections=1)


WORKLOADS: dict[str, Callable[..., Rounds]] = {"tiny": tiny, "blocking": blocking, "large": large}


def compare_workers(work: str, threads: int, load: Generator, **options: Any) -> Rounds:
    """Both worker classes of `srv start`, on the same model."""
    with ExitStack() as stack:
        servers = [stack.enter_context(srv(kind, work, threads)) for kind in ("srv", "gthread")]
        for server in servers:
            check(server, lambda answer: answer["outputs"][0]["data"] == [1.0, 2.5, 3.0])
        return take_turns(servers, NUMBERS, load, **options)


def take_turns(
    servers: list[Server], request: Request, load: Generator, *, rounds: int, seconds: float, connections: int
) -> Rounds:
    """Rounds of each server by turns, after one that does not count."""
    results: Rounds = {server.name: [] for server in servers}
    for number in range(rounds + 1):
        for server in servers:
            result = load.round(server, request, seconds=seconds if number else 1.0, connections=connections)
            if result.failed:
                sys.exit(f"{result.failed} of {result.requests} answers of {server.name} were not 200.")
            if number:
                results[server.name].append(result)
    return results


def check(server: Server, right: Callable[[Any], bool]) -> None:
    """The answer must be right before it is timed."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    connection.request("POST", NUMBERS.path, NUMBERS.body, dict(NUMBERS.headers))
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    if answer.status != 200 or not right(json.loads(body)):
        sys.exit(f"{server.name} answers {answer.status}: {body[:200]!r}")


@contextmanager
def srv(kind: str, work: str, threads: int) -> Iterator[Server]:
    """`srv start` with one model, one worker and that worker class."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        port = free_port()
        settings = {"worker_class": kind, "threads": threads, "access_log": False, "http_port": port, "grpc_port": None}
        (folder / "settings.json").write_text(json.dumps(settings))
        (folder / "model-settings.json").write_text(json.dumps({"name": "bench", "implementation": "models.Model"}))
        (folder / "models.py").write_text(MODEL.format(work=work))
        with started(kind, [sys.executable, "-m", "srv", "start", name], port, says_ready) as server:
            yield server


@contextmanager
def swallowing(kind: str) -> Iterator[Server]:
    """A server that takes bodies and looks at none: the bare loop, or an app in a gunicorn worker."""
    port = free_port()
    with started(kind, [sys.executable, str(Path(__file__).with_name("swallow.py")), kind, str(port)], port) as server:
        yield server


def send_large(
    server: Server, request: Request, seconds: float, connections: int
) -> tuple[int, float, int, dict[str, float]]:
    """By the client in Python, whatever else is there: wrk's buffer for a request is small."""
    return by_python(server, request, seconds, connections)

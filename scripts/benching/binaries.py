"""Large bodies: binary tensors against a bare socket, raw tensors over gRPC, an app that does not look."""

from __future__ import annotations

import random
import struct
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from benching.contestants import PROGRAMS, Contestant
from benching.load import Generator, by_python
from benching.processes import Server, free_port, started
from benching.results import Result
from benching.turns import Bench, Turn, http_turn, noted, over_grpc, over_http
from benching.wire import Request, in_binary, in_raw

BARE = "bare recv_into"
#: wrk's buffer for what it sends is small, so large bodies come from the client in Python.
CLIENT = Generator("a client in Python", by_python)


def numbers(size: int) -> bytes:
    """So many bytes of numbers, FP32, not all alike, and the last is 7."""
    source = random.Random(1)
    block = struct.pack("<16384f", *(source.random() for _ in range(16384)))
    return block * (size // len(block) - 1) + block[:-4] + struct.pack("<f", 7.0)


def binary(bench: Bench, name: str, size: int) -> Result:
    """One connection, a tensor of that size after the JSON, the last number back."""
    result = Result(name, f"HTTP, {size >> 20} MiB binary", how="Model last, one connection.")
    with ExitStack() as stack:
        others: dict[str, Turn] = {}
        with noted(result, BARE):
            server = stack.enter_context(swallowing("bare", Path(sys.executable)))
            others[BARE] = http_turn(server, Request("/", bytes(size)), 1, CLIENT)
        contestants: list[Contestant] = [each for each in bench.all() if each.name != "mlserver"]
        request = in_binary("last", numbers(size))
        over_http(bench, result, contestants, ["last"], request, is_seven, connections=1, load=CLIENT, others=others)
    result.times_more("at most 2 times the CPU of a bare recv_into", "srv", BARE, "cpu", most=2)
    return result


def raw(bench: Bench, name: str, size: int, streams: int, *, times: float) -> Result:
    """A tensor of that size as raw contents, the last number back."""
    result = Result(name, f"gRPC, {size >> 20} MiB raw", how=f"Model last, {streams} streams on one connection.")
    over_grpc(bench, result, bench.all(), ["last"], in_raw("last", numbers(size)), is_seven, streams=streams)
    result.times_less(f"at least {times:g} times less CPU than MLServer", "srv", "mlserver", "cpu", least=times)
    return result


def is_seven(answer: list[float]) -> bool:
    """Whether the last number came back."""
    return answer == [7.0]


@contextmanager
def swallowing(kind: str, python: Path, environ: Mapping[str, str] | None = None) -> Iterator[Server]:
    """A server that takes bodies and looks at none: the bare loop, or an app in a gunicorn worker."""
    port = free_port()
    command = [str(python), str(PROGRAMS / "swallow.py"), kind, str(port)]
    names = {"bare": BARE, "srv": "srv's worker", "gthread": "gthread"}
    with started(names[kind], command, port, environ=environ) as server:
        yield server

"""A model in a process of its own, beside the same model in the worker and beside MLServer's parallel worker."""

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from http import HTTPStatus

from benching.binaries import CLIENT, is_seven, numbers
from benching.contestants import Contestant, MLServer
from benching.load import Generator
from benching.processes import Server
from benching.results import CPU, THROUGHPUT, Column, Result
from benching.turns import Bench, GrpcTurn, Turn, http_turn, noted, take_turns
from benching.wire import WrongAnswer, check, check_call, in_binary, in_json, in_raw, post, tensor

MIB = 1 << 20
WORKER, PROCESS, PARALLEL = "in the worker", "in a process", "mlserver, parallel_workers 1"
COLUMNS = (CPU, THROUGHPUT, Column("p50", "p50 ms"), Column("p99", "p99 ms"))
#: What a process may add to a request, in microseconds.
BARS = {"tiny": 60.0, "1 MiB in": 150.0, "1 MiB in and out": 150.0}
Kind = Callable[[Server, Generator], Turn]


def measure(bench: Bench) -> Result:
    """Tiny, 1 MiB and 16 MiB, in alone and in and out; CPU is that of all processes of the server together."""
    how = ("One connection; the server and its model process are on one core. Tiny is JSON, the others are binary tensors "
           "over HTTP; those beside MLServer, which has none, are raw tensors over gRPC.")  # fmt: skip
    result = Result("process", "A model in a process of its own", COLUMNS, how, ratios=False)
    with ExitStack() as stack:
        servers: dict[str, Server] = {}
        for contestant in contestants(bench):
            with noted(result, contestant.name):
                servers[contestant.name] = stack.enter_context(contestant.serve("sum", "echo", "last"))
        turns: dict[str, Turn] = {}
        for words, kind in KINDS.items():
            for name, server in servers.items():
                if name != PARALLEL or words.startswith("gRPC"):
                    with noted(result, f"{words}, {name}"):
                        turns[f"{words}, {name}"] = kind(server, bench.http)
        take_turns(bench, result, turns)
    judge(result)
    return result


def contestants(bench: Bench) -> list[Contestant]:
    """Give srv with the model in the worker and in a process, and MLServer where it is among the peers."""
    found: list[Contestant] = [bench.srv(WORKER), bench.srv(PROCESS, model_settings={"process": True})]
    parallel = {"parallel_workers": 1}
    found += [replace(peer, name=PARALLEL, settings=parallel) for peer in bench.peers if isinstance(peer, MLServer)]
    return found


def judge(result: Result) -> None:
    """Hold what a process adds against the bars."""
    for words, most in BARS.items():
        pair = f"{words}, {PROCESS}", f"{words}, {WORKER}"
        result.at_most_over(f"{words}: at most {most:g} µs of CPU more than in the worker", *pair, "cpu", most=most)
        result.at_most_over(
            f"{words}: at most {most / 1000:g} ms later than in the worker", *pair, "p50", most=most / 1000
        )
    copied = copy()
    result.notes.append(f"A copy of 16 MiB took {copied:,.0f} µs.")
    for words, ways in (("16 MiB in", 1), ("16 MiB in and out", 2)):
        pair = f"{words}, {PROCESS}", f"{words}, {WORKER}"
        asked = f"{words}: at most {ways} copies more than in the worker, and 150 µs"
        result.at_most_over(asked, *pair, "cpu", most=ways * copied + 150.0)
    pair = f"gRPC, 1 MiB in, {PROCESS}", f"gRPC, 1 MiB in, {PARALLEL}"
    result.times_less("1 MiB: at least 5 times less CPU than MLServer's parallel worker", *pair, "cpu", least=5)


def copy() -> float:
    """Microseconds of a copy of 16 MiB between memory that is there already."""
    source, target = bytearray(16 * MIB), bytearray(16 * MIB)
    found = []
    for _ in range(50):
        began = time.perf_counter()
        target[:] = source
        found.append(1e6 * (time.perf_counter() - began))
    return min(found)


def tiny(server: Server, load: Generator) -> Turn:
    """Three numbers in JSON, one back."""
    request = in_json("sum", tensor("FP32", [3], [1.0, 2.5, 3.0]))
    check(server, request, lambda answer: answer == [6.5])
    return http_turn(server, request, 1, load)


def one_way(size: int) -> Kind:
    """A tensor of which the last number comes back."""

    def kind(server: Server, _load: Generator) -> Turn:
        request = in_binary("last", numbers(size))
        check(server, request, is_seven)
        return http_turn(server, request, 1, CLIENT)

    return kind


def both_ways(size: int) -> Kind:
    """A tensor that comes back."""

    def kind(server: Server, _load: Generator) -> Turn:
        sent = numbers(size)
        request = in_binary("echo", sent, {"parameters": {"binary_data_output": True}})
        status, body = post(server, request)
        if status != HTTPStatus.OK or not body.endswith(sent):
            raise WrongAnswer(f"{server.name} answers {status}: {body[:200].decode(errors='replace')}")
        return http_turn(server, request, 1, CLIENT)

    return kind


def by_grpc(server: Server, _load: Generator) -> Turn:
    """1 MiB of raw contents, the last number back."""
    call = in_raw("last", numbers(MIB))
    return GrpcTurn(server, call, 1, check_call(server, call, is_seven))


KINDS: dict[str, Kind] = {
    "tiny": tiny,
    "1 MiB in": one_way(MIB),
    "1 MiB in and out": both_ways(MIB),
    "16 MiB in": one_way(16 * MIB),
    "16 MiB in and out": both_ways(16 * MIB),
    "gRPC, 1 MiB in": by_grpc,
}

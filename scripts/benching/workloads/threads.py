"""Threads: of the server for a model that waits, of linear algebra for one that multiplies."""

from contextlib import ExitStack
from typing import Any

from benching.processes import CORES
from benching.results import Result
from benching.turns import Bench, Turn, http_turn, noted, take_turns
from benching.wire import check, in_json, tensor
from benching.workloads.workers import COLUMNS

NUMBERS = [1.0, 2.5, 3.0]


def measure(bench: Bench) -> Result:
    """The server has all cores here; the load generator takes next to nothing."""
    how = f"{len(CORES)} cores for all. Waiting: 64 connections. Multiplying: 8 connections."
    result = Result("threads", "Threads, and workers against BLAS threads", COLUMNS, how, ratios=False)
    with ExitStack() as stack:
        turns: dict[str, Turn] = {}
        for words, model, connections, options in KINDS:
            with noted(result, words):
                server = stack.enter_context(bench.srv(words, cores=CORES, **options).serve(model))
                request = in_json(model, tensor("FP32", [3], NUMBERS))
                check(server, request, lambda numbers: numbers == NUMBERS)
                turns[words] = http_turn(server, request, connections, bench.http)
        take_turns(bench, result, turns)
    return result


def blas(count: int) -> dict[str, str]:
    """So many threads for each library that asks for them."""
    return {name: str(count) for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}


KINDS: tuple[tuple[str, str, int, dict[str, Any]], ...] = (
    ("waits 20 ms, threads 16", "waits", 64, {"settings": {"threads": 16}}),
    ("waits 20 ms, threads 64", "waits", 64, {"settings": {"threads": 64}}),
    ("multiplies, workers 1, BLAS as srv sets it", "multiplies", 8, {}),
    ("multiplies, workers 1, BLAS 1", "multiplies", 8, {"environ": blas(1)}),
    ("multiplies, workers 2, BLAS as srv sets it", "multiplies", 8, {"settings": {"workers": 2}}),
    ("multiplies, workers 2, BLAS 2", "multiplies", 8, {"settings": {"workers": 2}, "environ": blas(2)}),
)

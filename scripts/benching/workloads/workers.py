"""Workers: one against two, for a model that holds the interpreter lock and for one that takes no time."""

from benching.processes import CORES
from benching.results import THROUGHPUT, Bar, Column, Result, shown
from benching.turns import Bench, over_http
from benching.wire import in_json, tensor

COLUMNS = (THROUGHPUT, Column("cpu", "CPU µs/request"), Column("p50", "p50 ms"), Column("p99", "p99 ms"))


def measure(bench: Bench) -> Result:
    """The server has all cores here, and shares them with the load generator."""
    how = f"{bench.connections} connections; server and load share {len(CORES)} cores."
    result = Result("workers", "Workers, one and two", COLUMNS, how, ratios=False)
    for model, words in (("loops", "a loop in Python"), ("echo", "no work")):
        contestants = [
            bench.srv(f"{words}, workers {count}", settings={"workers": count}, cores=CORES) for count in (1, 2)
        ]
        request = in_json(model, tensor("FP32", [3], [1.0, 2.5, 3.0]))
        right = lambda numbers: numbers == [1.0, 2.5, 3.0]  # noqa: E731
        over_http(bench, result, contestants, [model], request, right, connections=bench.connections)
    one, two = (f"a loop in Python, workers {count}" for count in (1, 2))
    if (alone := result.best(one, "throughput")) and (both := result.best(two, "throughput")):
        result.bars.append(Bar("2 workers against 1, load on the same cores", f"{shown(both / alone)} times"))
    return result

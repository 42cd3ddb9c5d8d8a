"""HTTP, a model that sleeps a millisecond outside the interpreter lock: srv's worker against gunicorn's gthread."""

from benching.results import Result
from benching.turns import Bench, over_http
from benching.wire import in_json, tensor


def measure(bench: Bench) -> Result:
    """As many threads as connections."""
    how = f"Model slow, {bench.connections} connections and threads."
    result = Result("blocking", "HTTP, a model that sleeps 1 ms: srv's worker and gthread", how=how)
    contestants = [
        bench.srv(f"srv{beside}", settings={"worker_class": kind, "threads": bench.connections})
        for kind, beside in (("srv", ""), ("gthread", " with gthread"))
    ]
    request = in_json("slow", tensor("FP32", [1, 3], [1.0, 2.5, 3.0]))
    right = lambda numbers: numbers == [1.0, 2.5, 3.0]  # noqa: E731
    return over_http(bench, result, contestants, ["slow"], request, right, connections=bench.connections)

"""HTTP, three numbers in JSON."""

from benching.contestants import Contestant
from benching.results import Result
from benching.turns import Bench, over_http
from benching.wire import in_json, tensor


def measure(bench: Bench) -> Result:
    """The sum of three numbers."""
    result = Result("tiny", "HTTP, three numbers in JSON", how=f"Model sum, {bench.connections} connections.")
    request = in_json("sum", tensor("FP32", [3], [1.0, 2.5, 3.0]))
    gthread = bench.srv("srv with gthread", settings={"worker_class": "gthread"})
    contestants: list[Contestant] = [*bench.all(), gthread]
    over_http(
        bench,
        result,
        contestants,
        ["sum", "echo"],
        request,
        lambda numbers: numbers == [6.5],
        connections=bench.connections,
    )
    result.times_less("at least 12 times less CPU than MLServer", "srv", "mlserver", "cpu", least=12)
    return result

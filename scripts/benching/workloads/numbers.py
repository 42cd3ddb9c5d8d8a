"""HTTP, 262,144 numbers in JSON, one number back."""

import random

from benching.results import Result
from benching.turns import Bench, over_http
from benching.wire import in_json, tensor

COUNT = 262_144
CONNECTIONS = 4


def measure(bench: Bench) -> Result:
    """The sum of many numbers."""
    result = Result("numbers", f"HTTP, {COUNT:,} numbers in JSON", how=f"Model sum, {CONNECTIONS} connections.")
    source = random.Random(1)
    numbers = [round(source.random(), 7) for _ in range(COUNT)]
    request = in_json("sum", tensor("FP32", [COUNT], numbers))
    result.how += f" {len(request.body) / 1e6:.1f} MB of text."
    total = sum(numbers)
    over_http(
        bench,
        result,
        bench.all(),
        ["sum"],
        request,
        lambda answer: abs(answer[0] - total) < total / 1e5,
        connections=CONNECTIONS,
    )
    result.times_less("at least 2.5 times less CPU than MLServer", "srv", "mlserver", "cpu", least=2.5)
    return result

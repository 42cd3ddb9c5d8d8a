"""A batch of one: what batching costs where there is nobody to share a batch with."""

from dataclasses import replace

from benching.results import Result
from benching.turns import Bench, over_http
from benching.wire import in_json, tensor

UNBATCHED = "srv, unbatched"
#: What is looked for is smaller than what disturbs a round: so there are many short ones, and the best of each counts.
TIMES, SECONDS = 6, 1.0
HOW = f"Model echo, one connection; {TIMES} times as many rounds, of {SECONDS:g} s each, the two servers by turns."


def measure(bench: Bench) -> Result:
    """One client, a model that gives back what came."""
    result = Result("batch_of_one", "A batch of one: a model of 1 µs", how=HOW)
    bench = replace(bench, rounds=TIMES * bench.rounds, seconds=SECONDS)
    contestants = [bench.srv("srv", model_settings={"max_batch_size": 32}), bench.srv(UNBATCHED)]
    request = in_json("echo", tensor("FP32", [1, 3], [1.0, 2.5, 3.0]))
    right = lambda numbers: numbers == [1.0, 2.5, 3.0]  # noqa: E731
    over_http(bench, result, contestants, ["echo"], request, right, connections=1)
    result.at_most_over("at most 5 µs over no batching", "srv", UNBATCHED, "cpu", most=5)
    return result

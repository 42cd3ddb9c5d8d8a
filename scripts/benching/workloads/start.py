"""Start to ready, and idle memory, with models that import nothing heavy."""

from benching.results import Result
from benching.starting import COLUMNS, starts
from benching.turns import Bench


def measure(bench: Bench) -> Result:
    """One worker with sum and echo."""
    result = Result("start", "Start to ready, and idle memory: sum and echo", COLUMNS, "One worker, one core.")
    starts(bench, result, ["sum", "echo"])
    result.times_less("ready at least 3 times faster than MLServer", "srv", "mlserver", "ready", least=3)
    result.times_less("at most half the idle PSS of MLServer", "srv", "mlserver", "pss", least=2)
    return result

"""HTTP, one flower for a scikit-learn pipeline."""

import subprocess
import tempfile
from pathlib import Path

from benching.contestants import PROGRAMS, train
from benching.processes import SERVER_CORE, pinned
from benching.results import Result, Sample
from benching.turns import Bench, Turn, noted, over_http
from benching.wire import in_json, tensor

BARE = "bare predict"


def measure(bench: Bench) -> Result:
    """Which iris is it; beside it the estimator's own predict in a loop, without a server."""
    result = Result("iris", "HTTP, a scikit-learn prediction", how=f"One row of four, {bench.connections} connections.")
    request = in_json("iris", tensor("FP64", [1, 4], [5.1, 3.5, 1.4, 0.2], "input"))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "model.joblib")
        others: dict[str, Turn] = {}
        with noted(result, BARE):
            train(bench.python, file)
            others[BARE] = lambda seconds: bare(bench.python, file, seconds)
        right = lambda numbers: numbers in ([0], [[0]])  # noqa: E731 - MLServer answers a column
        over_http(bench, result, bench.all(), ["iris"], request, right, connections=bench.connections, others=others)
    result.at_most_over("at most 40 µs over a bare predict", "srv", BARE, "cpu", most=40)
    return result


def bare(python: Path, file: Path, seconds: float) -> Sample:
    """CPU and rate of predict alone, on the server's core."""
    command = [str(python), str(PROGRAMS / "bare_iris.py"), "predict", str(file), str(seconds)]
    printed = subprocess.run(pinned(command, [SERVER_CORE]), check=True, capture_output=True, text=True).stdout.split()
    return {"cpu": float(printed[0]), "throughput": float(printed[1])}

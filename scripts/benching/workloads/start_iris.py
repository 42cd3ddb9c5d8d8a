"""Start to ready, and idle memory, with a scikit-learn model; and what scikit-learn alone takes of it."""

import tempfile
from pathlib import Path

from benching.contestants import PROGRAMS, train
from benching.environments import say
from benching.results import Result
from benching.starting import COLUMNS, alone, starts
from benching.turns import Bench, noted

ALONE = "scikit-learn alone"


def measure(bench: Bench) -> Result:
    """One worker with iris; beside it a Python that only reads the estimator."""
    result = Result("start_iris", "Start to ready, and idle memory: iris", COLUMNS, "One worker, one core.")
    starts(bench, result, ["iris"])
    with noted(result, ALONE), tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "model.joblib")
        train(bench.python, file)
        for number in range(bench.rounds):
            say(f"{result.name}: {ALONE}, round {number + 1} of {bench.rounds}")
            sample = alone([str(bench.python), str(PROGRAMS / "bare_iris.py"), "import", str(file)])
            result.samples.setdefault(ALONE, []).append(sample)
    result.times_less("ready at least 1.6 times faster than MLServer", "srv", "mlserver", "ready", least=1.6)
    result.times_less("at most 0.75 of the idle PSS of MLServer", "srv", "mlserver", "pss", least=1 / 0.75)
    return result

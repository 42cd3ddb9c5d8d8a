"""How many threads a prediction takes."""

import os
import threading
from pathlib import Path

import pytest
import xgboost

from srv.cores import cores


def threads_of_the_process():
    return sum(1 for _ in Path("/proc/self/task").iterdir())


def threads_of_a_prediction(model, rows):
    """How many threads a prediction adds to the process, asked in a thread that has predicted nothing before."""
    added = []

    def ask():
        before = threads_of_the_process()
        model.ask(rows)
        added.append(threads_of_the_process() - before)

    thread = threading.Thread(target=ask)
    thread.start()
    thread.join()
    return added[0]


@pytest.mark.parametrize("threads, extra", [(1, {}), (2, {"threads": 2})])
def test_a_prediction_takes_one_thread_unless_the_settings_say_more(load, rows, threads, extra):
    model = load(xgboost.XGBRegressor(n_estimators=6, n_jobs=1).fit(rows, rows[:, 0]), extra=extra)
    # XGBoost takes no more than there are, nor than OpenMP is told.
    most = min(cores(), int(os.environ.get("OMP_NUM_THREADS", threads)))
    assert threads_of_a_prediction(model, rows) == min(threads, most) - 1

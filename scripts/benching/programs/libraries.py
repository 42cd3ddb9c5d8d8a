"""A model of each library, and the library alone: what trains it, what reads it, and one call of its predict.

libraries.py train NAME FOLDER                the model's file, and for 1 and 2,000 rows the rows and its answers
libraries.py predict NAME FOLDER N SECONDS    predict for N rows in a loop: CPU µs for a call, and calls a second
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

Call = Callable[[Any], Any]
FEATURES = 4
COUNTS = (1, 2000)


def trained_on() -> tuple[Any, Any]:
    """Rows and a number for each, always the same."""
    random = np.random.default_rng(16)
    rows = random.normal(size=(4000, FEATURES)).astype(np.float32).astype(np.float64)
    return rows, rows[:, 0] * rows[:, 1] + np.sin(3 * rows[:, 2])


def train_sklearn(file: str) -> None:
    """A pipeline, as most people have one."""
    import joblib
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    joblib.dump(make_pipeline(StandardScaler(), Ridge()).fit(*trained_on()), file)


def call_sklearn(file: str) -> Call:
    """Return predict of the file's estimator."""
    import joblib

    return joblib.load(file).predict


def train_xgboost(file: str) -> None:
    """A hundred trees."""
    from xgboost import XGBRegressor

    XGBRegressor(n_estimators=100, max_depth=6, n_jobs=1).fit(*trained_on()).save_model(file)


def call_xgboost(file: str) -> Call:
    """Return predict of the file's estimator, which takes an array in place."""
    from xgboost import XGBRegressor

    model = XGBRegressor(n_jobs=1)
    model.load_model(file)
    return model.predict


def train_lightgbm(file: str) -> None:
    """A hundred trees."""
    import lightgbm

    data = lightgbm.Dataset(*trained_on())
    lightgbm.train({"objective": "regression", "num_threads": 1, "verbose": -1}, data, 100).save_model(file)


def call_lightgbm(file: str) -> Call:
    """Return predict of the file's booster."""
    import lightgbm

    booster = lightgbm.Booster(model_file=str(file))
    return lambda rows: booster.predict(rows, num_threads=1)


def train_catboost(file: str) -> None:
    """A hundred trees."""
    from catboost import CatBoostRegressor

    options = {"iterations": 100, "depth": 6, "verbose": 0, "allow_writing_files": False, "thread_count": 1}
    CatBoostRegressor(**options).fit(*trained_on()).save_model(file)


def call_catboost(file: str) -> Call:
    """Return predict of the file's estimator."""
    from catboost import CatBoostRegressor

    model = CatBoostRegressor().load_model(file)
    return lambda rows: model.predict(rows, thread_count=1)


def train_onnx(file: str) -> None:
    """A network of two layers with numbers of no meaning."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    random = np.random.default_rng(16)
    weights = {"first": (FEATURES, 32), "second": (32, 1)}
    nodes = [
        helper.make_node("MatMul", ["input", "first"], ["hidden"]),
        helper.make_node("Relu", ["hidden"], ["active"]),
        helper.make_node("MatMul", ["active", "second"], ["predict"]),
    ]
    graph = helper.make_graph(
        nodes,
        "network",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["rows", FEATURES])],
        [helper.make_tensor_value_info("predict", TensorProto.FLOAT, ["rows", 1])],
        [
            numpy_helper.from_array(random.normal(size=shape).astype(np.float32), name)
            for name, shape in weights.items()
        ],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), file)


def call_onnx(file: str) -> Call:
    """Return run of a session with one thread."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    return lambda rows: session.run(None, {"input": rows})[0]


def rows_of(name: str, count: int) -> Any:
    """So many rows, in the datatype that clients send to this library."""
    return trained_on()[0][:count].astype(np.float32 if name == "onnx" else np.float64)


def main() -> None:
    """Train, or predict in a loop."""
    what, name, folder, *words = sys.argv[1:]
    [file] = (
        [each for each in Path(folder).iterdir() if each.name.startswith("model.")] if what == "predict" else [None]
    )
    if what == "train":
        file = Path(folder, words[0])
        globals()[f"train_{name}"](str(file))
    call = globals()[f"call_{name}"](str(file))
    if what == "train":
        for count in COUNTS:
            rows = rows_of(name, count)
            answers = {"rows": rows.ravel().tolist(), "predict": np.ravel(call(rows)).tolist()}
            Path(folder, f"{count}.json").write_text(json.dumps(answers))
        return
    rows, seconds = rows_of(name, int(words[0])), float(words[1])
    until = time.perf_counter() + seconds / 4
    while time.perf_counter() < until:
        call(rows)
    calls, before, started = 0, time.process_time(), time.perf_counter()
    while time.perf_counter() < started + seconds:
        for _ in range(10):
            call(rows)
        calls += 10
    took = time.perf_counter() - started
    print(1e6 * (time.process_time() - before) / calls, calls / took)


main()

"""Gives a result of the kind that its parameter names."""

import decimal

import mlflow
import numpy as np
import pandas as pd

RESULTS = {
    "array": np.array([[1.5, 2.0], [3.0, 4.0]]),
    "texts in an array": np.array([["a", "b"]], dtype=object),
    "mixture in an array": np.array([["a", 1]], dtype=object),
    "objects in a row": np.array(["a", None], dtype=object),
    "frame": pd.DataFrame({"n": [1, 2], "s": ["a", "b"]}),
    "frame without names": pd.DataFrame([[1, 2.5]]),
    "series": pd.Series([1.5, 2.5]),
    "numbers": [1, 2],
    "booleans": [True, False],
    "texts": ["a", "b"],
    "rows": [[1, 2], [3, 4]],
    "ragged": [[1], [2, 3]],
    "objects": [{"a": 1}, {"a": None}],
    "dict": {"x": np.array([1.0]), "y": ["t"], "z": {"deep": [1]}},
    "text": "hello",
    "number": 2.5,
    "scalar": np.float32(1.5),
    "nothing": None,
    "empty": [],
    "arrays": [np.array([1, 2]), np.array([3, 4])],
    "odd": object(),
    "decimal": [decimal.Decimal("1.5")],
}


class Results(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        return RESULTS[params["kind"]]


mlflow.models.set_model(Results())

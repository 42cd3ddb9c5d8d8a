"""Served by srv, each kind of estimator does what every runtime must do."""

from functools import partial

import joblib
import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_iris
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from srv.testing import assert_runtime_conforms

IRIS = load_iris()
ROWS = IRIS.data[[0, 60, 149]]
NAMES = IRIS.target_names[IRIS.target]

CLASSIFIER = make_pipeline(StandardScaler(), LogisticRegression()).fit(IRIS.data, NAMES)
REGRESSOR = LinearRegression().fit(IRIS.data[:, :3], IRIS.data[:, 3])
SCALER = StandardScaler().fit(IRIS.data)
TEXT = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(["good day", "bad night"], ["+", "-"])
VECTORISER = TEXT[:1]
ENCODER = OneHotEncoder(sparse_output=False).fit(np.array([["red"], ["green"]], dtype=object))
TABLE = make_pipeline(ColumnTransformer([("one", OneHotEncoder(), ["colour", "size"])]), LogisticRegression()).fit(
    pd.DataFrame({"colour": ["red", "green"], "size": ["S", "L"]}), [0, 1]
)
WORDS = np.array(["a good one", "bad"], dtype=object)


def dense(result):
    return result.toarray() if hasattr(result, "toarray") else result


@pytest.mark.parametrize("file, write", [("model.skops", skops.io.dump), ("model.joblib", joblib.dump)])
@pytest.mark.parametrize(
    "estimator, rows, output",
    [
        pytest.param(CLASSIFIER, ROWS, "predict", id="classifier"),
        pytest.param(REGRESSOR, ROWS[:, :3], "predict", id="regressor"),
        pytest.param(SCALER, ROWS, "transform", id="transformer"),
        pytest.param(TEXT, WORDS, "predict", id="text"),
        pytest.param(VECTORISER, WORDS, "transform", id="vectoriser"),
        pytest.param(ENCODER, np.array([["red"]], dtype=object), "transform", id="encoder"),
        pytest.param(TABLE, np.array([["red", "L"]], dtype=object), "predict", id="table"),
    ],
)
def test_it_conforms(estimator, rows, output, file, write):
    table = pd.DataFrame(rows, columns=["colour", "size"]) if estimator is TABLE else rows
    assert_runtime_conforms(
        "sklearn",
        request={"input": rows},
        expected={output: dense(getattr(estimator, output)(table))},
        wrong=[{"rows": rows}],
        files={file: partial(write, estimator)},
    )

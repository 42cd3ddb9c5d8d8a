"""Served by srv, each kind of estimator does what every runtime must do."""

from functools import partial

import joblib
import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.compose import ColumnTransformer, make_column_transformer
from sklearn.datasets import load_iris
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from srv.testing import assert_runtime_conforms
from srv_sklearn.files import HARMLESS

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
HOMES = pd.DataFrame(
    {
        "city": ["Ulm", "Bonn", "Ulm"],
        "area": [50.5, np.nan, 70.0],
        "balcony": [True, False, True],
        "note": ["a", "b", "c"],
    }
)
MIXED = make_pipeline(
    make_column_transformer((OneHotEncoder(handle_unknown="ignore"), ["city", "balcony"]), (SimpleImputer(), ["area"])),
    LinearRegression(),
).fit(HOMES, [1.0, 2.0, 3.0])
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
        pytest.param(TABLE, pd.DataFrame({"colour": ["red"], "size": ["L"]}), "predict", id="table"),
        pytest.param(MIXED, HOMES, "predict", id="mixed table"),
    ],
)
def test_it_conforms(estimator, rows, output, file, write):
    if file == "model.skops" and set(skops.io.get_untrusted_types(data=skops.io.dumps(estimator))) - HARMLESS:
        pytest.skip("This release of scikit-learn keeps in it what skops does not trust.")
    request = (
        {name: rows[name].tolist() for name in rows.columns} if isinstance(rows, pd.DataFrame) else {"input": rows}
    )
    deep = np.zeros((1, 1, 1, 1))
    assert_runtime_conforms(
        "sklearn",
        request=request,
        expected={output: dense(getattr(estimator, output)(rows))},
        wrong=[{"input": deep}, {"one": deep, "another": deep}],
        files={file: partial(write, estimator)},
    )

"""Served by srv, each kind of ONNX model does what every runtime must do."""

import numpy as np
import onnxruntime
import pandas as pd
import pytest
from graphs import BOOL, FLOAT, TEXT, bytes_of, convolution, identity, node, perceptron, value
from onnx import TensorProto
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType, Int64TensorType, StringTensorType
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from srv.testing import FORMS, assert_runtime_conforms, assert_tables

IRIS = load_iris()
ROWS = IRIS.data[[0, 60, 149]].astype(np.float32)
FOREST = to_onnx(
    RandomForestClassifier(5, random_state=0).fit(IRIS.data, IRIS.target_names[IRIS.target]),
    IRIS.data[:1].astype(np.float32),
    target_opset=17,
).SerializeToString()
HOMES = pd.DataFrame(
    {
        "city": ["Ulm", "Bonn", "Ulm", "Kiel"],
        "area": [50.5, 60.0, np.nan, 40.0],
        "rooms": [2, 3, 4, 1],
        "balcony": [True, False, True, False],
    }
)


def homes_model():
    """A pipeline over a table, converted with an input for each column."""
    columns = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), ["city"]), (StandardScaler(), ["rooms", "area"])
    )
    table = HOMES.assign(area=HOMES["area"].fillna(50.0)).drop(columns="balcony")
    pipeline = make_pipeline(columns, LogisticRegression()).fit(table, ["cheap", "dear", "cheap", "dear"])
    types = [
        ("city", StringTensorType([None, 1])),
        ("area", FloatTensorType([None, 1])),
        ("rooms", Int64TensorType([None, 1])),
    ]
    made = to_onnx(pipeline, initial_types=types, target_opset=17)
    made.graph.input.append(value("balcony", BOOL, [None, 1]))
    made.graph.output.append(value("dark", BOOL, [None, 1]))
    made.graph.node.append(node("Not", ["balcony"], ["dark"]))
    return made.SerializeToString()


HOMES_MODEL = homes_model()


def answers(model, **feed):
    """What onnxruntime itself gives, by output; maps as a column for each label."""
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    given = session.run(names, feed)
    return {
        name: np.array([[*row.values()] for row in each], np.float32) if isinstance(each, list) else each
        for name, each in zip(names, given, strict=True)
    }


IMAGE = np.random.default_rng(1).normal(size=(2, 3, 6, 5)).astype(np.float32)
TEXTS = np.array([["a", "é"], ["", "b\0c"]], dtype=object)
TWO = bytes_of(
    [value("a", FLOAT, ["n", 2]), value("b", FLOAT, ["n", 2])],
    [value("sum", FLOAT, ["n", 2]), value("product", FLOAT, ["n", 2])],
    [node("Add", ["a", "b"], ["sum"]), node("Mul", ["a", "b"], ["product"])],
)


@pytest.mark.parametrize(
    "model, request_, settings",
    [
        pytest.param(perceptron(), {"x": ROWS}, {}, id="perceptron"),
        pytest.param(perceptron(), {"x": ROWS}, {"max_batch_size": 16}, id="in batches"),
        pytest.param(convolution(), {"image": IMAGE}, {}, id="convolution"),
        pytest.param(FOREST, {"X": ROWS}, {}, id="forest with a map"),
        pytest.param(identity(TEXT, ["n", 2]), {"x": TEXTS}, {}, id="texts"),
        pytest.param(TWO, {"a": ROWS[:, :2], "b": ROWS[:, 2:]}, {}, id="two inputs"),
        pytest.param(identity(TensorProto.FLOAT16), {"x": ROWS[:, :2].astype(np.float16)}, {}, id="halves"),
    ],
)
def test_it_conforms(model, request_, settings):
    deep = np.zeros((1, 1, 1, 1, 1), np.float32)
    assert_runtime_conforms(
        "onnx",
        request=request_,
        expected=answers(model, **request_),
        wrong=[{"input": deep}, {"one": deep, "another": deep}],
        files={"model.onnx": model},
        settings=settings,
    )


def feed_of(homes):
    kinds = {"area": np.float32, "city": object}
    return {name: homes[name].to_numpy(kinds.get(name)).reshape(-1, 1) for name in homes.columns}


def test_a_table_is_taken_in_every_form_that_clients_send():
    expected = answers(HOMES_MODEL, **feed_of(HOMES))
    tried = assert_tables("onnx", frame=HOMES, expected=expected, files={"model.onnx": HOMES_MODEL})
    assert tried == 4 * len(FORMS)


def test_a_table_conforms():
    request = feed_of(HOMES.assign(area=[50.5, 60.0, 10.0, 40.0]))
    assert_runtime_conforms(
        "onnx",
        request=request,
        expected=answers(HOMES_MODEL, **request),
        wrong=[{"city": ["Ulm"]}, request | {"rooms": [1, 2]}, request | {"city": [1, 2, 3, 4]}],
        files={"model.onnx": HOMES_MODEL},
    )

"""ONNX models that skl2onnx converts of trained pipelines, and what onnxruntime itself answers."""

import numpy as np
import onnxruntime
import pandas as pd
from graphs import BOOL, node, value
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType, Int64TensorType, StringTensorType
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

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


def feed_of(homes):
    kinds = {"area": np.float32, "city": object}
    return {name: homes[name].to_numpy(kinds.get(name)).reshape(-1, 1) for name in homes.columns}

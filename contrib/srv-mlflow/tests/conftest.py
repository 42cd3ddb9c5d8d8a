"""Models that MLflow saves for the tests, each once in a run."""

import os
from contextlib import chdir
from pathlib import Path

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

import mlflow.pyfunc
import mlflow.sklearn
import numpy as np
import pandas as pd
import pytest
from mlflow.models import ModelSignature, infer_signature
from mlflow.types import ColSpec, ParamSchema, ParamSpec, Schema, TensorSpec
from mlflow.types.schema import Array, Map, Object, Property
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_iris
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, RidgeClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from srv.testing import model

CODE = Path(__file__).parent / "models"
IRIS = load_iris(as_frame=True)
ROWS = np.random.default_rng(0)
HOMES = pd.DataFrame(
    {
        "city": ROWS.choice(["Ulm", "Bonn", "Kiel"], 60),
        "area": np.where(ROWS.random(60) < 0.2, np.nan, ROWS.uniform(20, 200, 60)),
        "rooms": ROWS.integers(1, 6, 60),
        "balcony": ROWS.random(60) < 0.5,
    }
)
KINDS = Schema(
    [
        ColSpec("boolean", "flag"),
        ColSpec("integer", "short"),
        ColSpec("long", "long"),
        ColSpec("float", "small"),
        ColSpec("double", "number"),
        ColSpec("string", "text"),
        ColSpec("binary", "raw"),
        ColSpec("datetime", "since"),
        ColSpec(Array("double"), "list"),
        ColSpec(Object([Property("k", "string"), Property("n", "long", required=False)]), "object"),
        ColSpec(Map("long"), "map"),
        ColSpec("string", "more", required=False),
        ColSpec("boolean", "maybe", required=False),
    ]
)


def regressor():
    """Return a pipeline of text, numbers with gaps, integers and booleans."""
    columns = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), ["city"]), (SimpleImputer(), ["area", "rooms", "balcony"])
    )
    return make_pipeline(columns, LinearRegression()).fit(HOMES, HOMES["rooms"] * 100.0 + HOMES["balcony"])


def sklearn_model(estimator, **options):
    options = {"serialization_format": "cloudpickle", "pip_requirements": ["scikit-learn"]} | options
    return lambda folder: mlflow.sklearn.save_model(estimator, folder, **options)


def python_model(name, inputs=None, outputs=None, params=None, **options):
    signature = ModelSignature(inputs, outputs, params) if inputs or outputs or params else None
    return lambda folder: mlflow.pyfunc.save_model(
        folder,
        python_model=str(CODE / f"{name}.py"),
        signature=signature,
        pip_requirements=["mlflow-skinny"],
        **options,
    )


def iris():
    classifier = RidgeClassifier().fit(IRIS.data, IRIS.target_names[IRIS.target])
    signature = infer_signature(IRIS.data, classifier.predict(IRIS.data))
    return sklearn_model(classifier, signature=signature, input_example=IRIS.data.head(3))


def boosted():
    data = IRIS.data.to_numpy()
    estimator = HistGradientBoostingRegressor(max_iter=20).fit(data[:, :3], data[:, 3])
    return sklearn_model(estimator, signature=infer_signature(pd.DataFrame(data[:, :3]).set_axis([""] * 3, axis=1)))


def homes():
    estimator = regressor()
    return sklearn_model(estimator, signature=infer_signature(HOMES, estimator.predict(HOMES)))


MODELS = {
    "iris": iris,
    "homes": homes,
    "bare": lambda: sklearn_model(RidgeClassifier().fit(IRIS.data.to_numpy(), IRIS.target)),
    "echo": lambda: python_model("echo", KINDS, KINDS),
    "kinds": lambda: python_model("kinds", KINDS),
    "unnamed": lambda: python_model("kinds", Schema([ColSpec("double"), ColSpec("double")])),
    "tensors": lambda: python_model(
        "tensors",
        Schema([TensorSpec(np.dtype("float32"), (-1, 2), "p"), TensorSpec(np.dtype("int64"), (-1, 3), "q")]),
        Schema([TensorSpec(np.dtype("float32"), (-1, 2), "product"), TensorSpec(np.dtype("int64"), (-1,), "sums")]),
        ParamSchema([ParamSpec("by", "float", 2.0), ParamSpec("stop", "string", ["a"], shape=(-1,))]),
    ),
    "texts": lambda: python_model("echo", Schema([TensorSpec(np.dtype("str"), (-1, 1))])),
    "one tensor": lambda: python_model("kinds", Schema([TensorSpec(np.dtype("float64"), (-1, -1))])),
    "results": lambda: python_model("results", params=ParamSchema([ParamSpec("kind", "string", "array")])),
    "hinted": lambda: python_model("hinted"),
    "shouting": lambda: python_model("shouting"),
    "agent": lambda: python_model("agent"),
    "anything": lambda: python_model("kinds"),
    "failing": lambda: python_model("failing", Schema([ColSpec("string", "how")])),
    "counting": lambda: python_model("counting", Schema([ColSpec("double", "x")])),
}


@pytest.fixture(scope="session")
def saved(tmp_path_factory):
    """Return the folder of a model by its name here, saved when it is first asked for."""
    folders = {}

    def folder_of(name):
        if name not in folders:
            folders[name] = tmp_path_factory.mktemp("saved") / "model"
            with chdir(folders[name].parent):  # where older releases of MLflow begin a store
                MODELS[name]()(folders[name])
        return folders[name]

    return folder_of


@pytest.fixture(scope="session")
def given(saved):
    """Return a model for the kit's servers: the saved folder's files, with settings as in model-settings.json."""

    def given_model(name, called="m", **settings):
        folder = saved(name)
        files = {file.relative_to(folder).as_posix(): file for file in folder.rglob("*") if file.is_file()}
        return model("mlflow", name=called, files=files, **settings)

    return given_model


@pytest.fixture(scope="session")
def pyfunc(saved):
    """Return a model as MLflow itself loads it."""
    return lambda name: mlflow.pyfunc.load_model(str(saved(name)))

"""Data to train on, and a runtime that has loaded a model."""

import numpy as np
import pytest

from srv import InferenceRequest, ModelSettings, Tensor
from srv.model_settings import ModelParameters
from srv_lightgbm import LightGBMRuntime


@pytest.fixture(scope="session")
def rows():
    """1,200 rows of five features, with missing values."""
    made = np.random.default_rng(0).normal(size=(1200, 5))
    made[::7, 1] = np.nan
    made[::11, 3] = np.nan
    return made


class Loaded:
    """A runtime with a model, asked without a server."""

    def __init__(self, folder, write, file, inputs=None, **parameters):
        write(folder / file)
        given = {"uri": None, "version": None, "content_type": None, "format": None} | parameters
        given["extra"] = LightGBMRuntime.extra().load(given.get("extra", {}))
        self.runtime = LightGBMRuntime(
            ModelSettings(name="m", folder=folder, inputs=inputs, parameters=ModelParameters(**given))
        )
        self.runtime.load()

    def ask(self, data, *outputs, datatype=None):
        request = InferenceRequest([Tensor("x", data, datatype)], outputs=outputs or None)
        return {each.name: each.data for each in self.runtime.predict(request).outputs}


@pytest.fixture
def load(tmp_path):
    """A function that saves a model to a file and loads it."""

    def make(model, file="model.txt", **parameters):
        booster = getattr(model, "booster_", model)
        return Loaded(tmp_path, booster.save_model, file, **parameters)

    return make

"""Fails as its only column says."""

import mlflow

import srv


class Failing(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        if model_input["how"].iloc[0] == "input":
            raise srv.InvalidInput("This word is not taken.")
        raise ValueError("secret")


mlflow.models.set_model(Failing())

"""Multiplies one tensor by a parameter and adds up the rows of another one."""

import mlflow


class Tensors(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        return {"product": model_input["p"] * params["by"], "sums": model_input["q"].sum(axis=1)}


mlflow.models.set_model(Tensors())

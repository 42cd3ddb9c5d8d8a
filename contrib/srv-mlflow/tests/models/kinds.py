"""Says what it gets: the dtypes of columns, the type and the Python values."""

import json

import mlflow


class Kinds(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        if hasattr(model_input, "dtypes"):
            return json.dumps({str(name): str(dtype) for name, dtype in model_input.dtypes.items()})
        if isinstance(model_input, dict):
            return json.dumps({name: [str(each.dtype), list(each.shape)] for name, each in model_input.items()})
        return json.dumps([type(model_input).__name__, str(getattr(model_input, "dtype", ""))])


mlflow.models.set_model(Kinds())

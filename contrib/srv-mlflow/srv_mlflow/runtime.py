"""The runtime: requests become what the model's signature says, and what the model gives becomes outputs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from marshmallow import Schema, fields

from srv import InferenceRequest, RouteRequest, RouteResponse, Runtime
from srv.file_formats import check_format
from srv_mlflow.environment import prepare_environment

#: The file that makes a folder a model of MLflow.
FILE = "MLmodel"


class Extra(Schema):
    """What a model's settings may have under `parameters.extra`."""

    warm_up = fields.Boolean(
        truthy={True},
        falsy={False},
        load_default=False,
        metadata={
            "description": "Whether the model predicts the input example that it was saved with before it is ready."
        },
    )
    thread_safe = fields.Boolean(
        truthy={True},
        falsy={False},
        load_default=None,
        allow_none=True,
        metadata={
            "description": "Whether several requests may run in the model at once. Left out, they may in models of "
            "scikit-learn, and run one at a time in all others."
        },
    )
    model_config = fields.Dict(
        keys=fields.String(),
        load_default=dict,
        metadata={"description": "Values that replace those of the model_config with which the model was saved."},
    )


class MlflowRuntime(Runtime):
    """Serves the python_function of a model that MLflow has saved, with the inputs, outputs and params of its signature.

    MLflow promises nothing of threads, so one request at a time runs in a model whose library is not known to allow more.
    """

    extra = Extra
    any_input_name: ClassVar[bool] = True
    missing_values: ClassVar[bool] = True
    nested_parameters: ClassVar[bool] = True
    routes: Any = (
        ("POST", "invocations", "invocations"),
        ("POST", "/invocations", "invocations"),
        ("GET", "ping", "ping"),
        ("GET", "/ping", "ping"),
        ("GET", "health", "ping"),
        ("GET", "/health", "ping"),
        ("GET", "version", "mlflow_version"),
        ("GET", "/version", "mlflow_version"),
    )

    def load(self) -> None:
        """Have MLflow load the model, and learn from its signature what it takes and gives."""
        prepare_environment()
        from srv_mlflow.pyfunc import Pyfunc  # here, because it imports MLflow, which takes seconds

        file = self.artifact(FILE)
        check_format(file, self.settings.parameters.format)
        folder = file.parent
        self._model = Pyfunc(folder, self.settings)
        self.parameters |= self._model.description()
        if self.inputs is None:
            self.inputs = self._model.inputs()
        if self.outputs is None:
            self.outputs = self._model.outputs()
        self.example = self._model.example(folder)
        if not self._model.is_thread_safe:
            self.concurrency = 1  # type: ignore[misc]  # of this model alone
        if self._model.streams:
            self.predict_stream = self._predict_stream

    def predict(self, request: InferenceRequest) -> Any:
        """Return the model's outputs for a request."""
        return self._model.predict(request)

    def invocations(self, request: RouteRequest) -> RouteResponse:
        """Answer a request in the protocol of MLflow's scoring server.

        The body is JSON with one of dataframe_split, dataframe_records, instances and inputs, and with params, or it is CSV.
        """
        return self._model.invocations(request)

    def ping(self, request: RouteRequest) -> RouteResponse:  # noqa: ARG002  as routes are called
        """Say that the model is loaded, with an empty line."""
        return RouteResponse("\n", content_type="application/json")

    def mlflow_version(self, request: RouteRequest) -> RouteResponse:  # noqa: ARG002  as routes are called
        """Return the version of the MLflow that is installed."""
        return RouteResponse(self._model.mlflow_version, content_type="application/json")

    def unload(self) -> None:
        """Take the modules of the model's own out of the process."""
        self._model.close()

    def _predict_stream(self, request: InferenceRequest) -> Iterator[Any]:
        """Yield the outputs of each chunk that the model makes."""
        yield from self._model.predict_stream(request)

"""MLflow's own protocol: the body of /invocations is read, and its answer written, by MLflow's scoring server itself."""

from __future__ import annotations

from typing import Any

from mlflow.exceptions import MlflowException
from mlflow.pyfunc import PyFuncModel
from mlflow.pyfunc.scoring_server import invocations
from mlflow.version import VERSION

from srv import RouteRequest, RouteResponse
from srv.errors import UnsupportedMedia
from srv_mlflow.mlflow_errors import error_of_model

JSON = "application/json"
VERSION_OF_MLFLOW: str = VERSION


def answer(model: PyFuncModel, request: RouteRequest) -> RouteResponse:
    """Return the answer of MLflow's scoring server to a body.

    Raises MlflowException for what the client has done wrong, UnsupportedMedia, or what the model has raised.
    """
    schema: Any = model.metadata.get_input_schema()
    try:
        answered = invocations(request.body, request.headers.get("content-type", ""), model, schema)
    except MlflowException as error:
        raised = error_of_model(error)
        if raised is None:
            raise
        raise raised from None
    if answered.status == 415:
        raise UnsupportedMedia(" ".join(str(answered.response).split()))
    return RouteResponse(answered.response, answered.status, answered.mimetype)

"""A loaded model: what its MLmodel says of it, and its predictions for requests. Importing this imports MLflow."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol, TypeVar

import mlflow.pyfunc
import mlflow.tracing
from mlflow.exceptions import MlflowException
from mlflow.models import Model
from mlflow.pyfunc import PyFuncModel
from mlflow.types import Schema

from srv import InferenceRequest, ModelSettings, RouteRequest, RouteResponse, Spec
from srv.errors import SrvError, listed
from srv_mlflow.anything import Anything
from srv_mlflow.code_folders import CodeFolder
from srv_mlflow.columns import Columns
from srv_mlflow.hinted import Values
from srv_mlflow.invocations import VERSION_OF_MLFLOW, answer
from srv_mlflow.mlflow_errors import as_clients_fault
from srv_mlflow.params import Params
from srv_mlflow.results import Results
from srv_mlflow.sklearn_errors import of_scikit_learn
from srv_mlflow.tensors import Tensors

log = logging.getLogger(__name__)

FLAVOUR = "python_function"
_SKLEARN = "mlflow.sklearn"
#: Loaders whose models may be called by any number of threads, because predicting changes nothing in them.
SAFE_LOADERS = frozenset({_SKLEARN})
_END = object()
T = TypeVar("T")


class NoFunction(SrvError):
    """The model was saved for other languages or tools only."""

    def __init__(self, flavours: Mapping[str, object]) -> None:
        super().__init__(
            f"The MLmodel has the flavours {listed(flavours)}, and srv-mlflow serves {FLAVOUR}. Save the model with it."
        )


class NoExample(SrvError):
    """The model is to be warmed up with its input example, and was saved without one."""

    def __init__(self) -> None:
        super().__init__(
            "parameters.extra.warm_up is true, and the model was saved without an input_example. Save it with one, or leave "
            "warm_up out and write requests into 'warmup'."
        )


class Reader(Protocol):
    """Makes of a request what the model takes."""

    def specs(self) -> list[Spec] | None:
        """Return the inputs of the metadata, or None where nobody knows them."""

    def read(self, request: InferenceRequest) -> Any:
        """Return the model's argument. Raises InvalidInput."""

    def place_of_fault(self, data: Any) -> str:
        """Return where MLflow refuses the argument, as the beginning of a sentence; nothing where that is not known."""


class Pyfunc:
    """A model that MLflow has loaded. Loading runs the code in its folder; `close` takes its modules out of the process."""

    def __init__(self, folder: Path, settings: ModelSettings) -> None:
        described = Model.load(str(folder))
        function = described.flavors.get(FLAVOUR)
        if function is None:
            raise NoFunction(described.flavors)
        if not os.environ.get("MLFLOW_TRACKING_URI"):
            mlflow.tracing.disable()  # because without a server for them traces go to files in the current folder
        extra = settings.parameters.extra
        code = folder / function["code"] if function.get("code") else None
        self._code = CodeFolder(settings.name, settings.version, code)
        with self._code.importable():
            self._model: PyFuncModel = mlflow.pyfunc.load_model(
                str(folder), model_config=dict(extra.get("model_config") or {}) or None
            )
            self._learn(function, extra, settings)
            if extra.get("warm_up"):
                self._warm_up(folder)

    def _learn(self, function: Mapping[str, Any], extra: Mapping[str, Any], settings: ModelSettings) -> None:
        metadata = self._model.metadata
        params = metadata.get_params_schema()
        self._params = None if params is None else Params(params)
        self._results = Results(metadata.get_output_schema())
        self._reader = _reader_of(metadata, settings)
        self._loader = str(function["loader_module"])
        self.streams: bool = bool(function.get("streamable"))
        safe = extra.get("thread_safe")
        self.is_thread_safe: bool = self._loader in SAFE_LOADERS if safe is None else bool(safe)
        self.mlflow_version = VERSION_OF_MLFLOW

    def _warm_up(self, folder: Path) -> None:
        metadata = self._model.metadata
        example = metadata.load_input_example(str(folder))
        if example is None:
            raise NoExample
        self._model.predict(example, params=metadata.load_input_example_params(str(folder)))

    def example(self, folder: Path) -> Any:
        """Return the input example that the model was saved with, or None where it has none that can be read."""
        try:
            return self._model.metadata.load_input_example(str(folder))
        except Exception as error:  # noqa: BLE001  the model serves without it
            log.info("The input example in %s cannot be read: %s", folder.name, error)
            return None

    # -- what the metadata says -----------------------------------------------------------------------------------------

    def inputs(self) -> list[Spec] | None:
        """Return the inputs of the signature."""
        return self._reader.specs()

    def outputs(self) -> list[Spec] | None:
        """Return the outputs of the signature."""
        return self._results.specs()

    def description(self) -> dict[str, Any]:
        """Return what the metadata has beside inputs and outputs."""
        metadata = self._model.metadata
        described = {
            "flavors": sorted(metadata.flavors),
            "loader": self._loader,
            "mlflow_version": metadata.mlflow_version,
        }
        if metadata.run_id is not None:
            described["run_id"] = metadata.run_id
        if self._params is not None:
            described["params"] = self._params.described()
        return described

    # -- what is done for each request ----------------------------------------------------------------------------------

    def predict(self, request: InferenceRequest) -> Any:
        """Return the outputs for a request. Raises InvalidInput, or what the model raises."""
        return self._results.named(self._asked(self._model.predict, request))

    def predict_stream(self, request: InferenceRequest) -> Iterator[Any]:
        """Yield the outputs of each chunk."""
        chunks = self._asked(self._model.predict_stream, request)
        while (chunk := self._told(lambda: next(chunks, _END))) is not _END:
            yield self._results.named(chunk)

    def invocations(self, request: RouteRequest) -> RouteResponse:
        """Answer a request in the protocol of MLflow's scoring server."""
        return self._told(lambda: answer(self._model, request))

    def close(self) -> None:
        """Take the modules of the model's own out of the process."""
        self._code.close()

    def _asked(self, method: Callable[..., T], request: InferenceRequest) -> T:
        data = self._reader.read(request)
        params = None if self._params is None else self._params.read(request.parameters)
        return self._told(lambda: method(data, params=params), data)

    def _told(self, call: Callable[[], T], data: Any = None) -> T:
        """Return what the call returns. Raises InvalidInput where it raises because of the client's data."""
        try:
            return call()
        except MlflowException as error:
            fault = as_clients_fault(error, lambda: "" if data is None else self._reader.place_of_fault(data))
            raise fault or error from error.__cause__
        except ValueError as error:
            fault = of_scikit_learn(error, data) if self._loader == _SKLEARN else None
            raise fault or error from error.__cause__


def _reader_of(metadata: Model, settings: ModelSettings) -> Reader:
    """Return what reads requests as the model's signature says."""
    schema: Schema | None = metadata.get_input_schema()
    if schema is None or not schema.inputs:
        return Anything()
    if metadata._is_signature_from_type_hint():
        return Values(schema, settings)
    return Tensors(schema) if schema.is_tensor_spec() else Columns(schema, settings)

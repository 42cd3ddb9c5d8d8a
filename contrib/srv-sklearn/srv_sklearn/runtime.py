"""The runtime: requests become arrays, the estimator's methods become outputs."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

import numpy as np
from marshmallow import Schema, fields

from srv import InferenceRequest, InferenceResponse, InvalidInput, Runtime, Spec, Tensor
from srv.errors import listed, quoted
from srv.tensors import datatype_of
from srv_sklearn.files import WELL_KNOWN, read_estimator

INPUT = "input"
#: The estimator's methods that are outputs, the default first.
METHODS = ("predict", "transform", "predict_proba", "decision_function")
#: How scikit-learn begins what it says of data that it cannot take; anything else it raises is the model's fault.
CLIENTS_FAULT = (
    "Input X contains",
    "Input contains",
    "Found unknown categories",
    "Found array with 0 sample",
    "could not convert string to float",
)


class Extra(Schema):
    """What a model's settings may say under `parameters.extra`."""

    trusted_types = fields.List(
        fields.String(),
        load_default=list,
        metadata={"description": "Types in a skops file that you vouch for, such as 'mypackage.MyTransformer'."},
    )


class WrongFeatures(InvalidInput):
    """The rows do not have as many values as the estimator was trained on."""

    def __init__(self, shape: Sequence[int], features: int) -> None:
        super().__init__(
            f"Input '{INPUT}' has the shape {list(shape)}; the model takes rows of {features} features, "
            f"so the shape must be [n, {features}]."
        )


class NoWords(InvalidInput):
    """The estimator takes words or texts, and the input is something else."""

    def __init__(self, tensor: Tensor, shape: str) -> None:
        super().__init__(
            f"Input '{INPUT}' is {tensor.datatype} {list(tensor.shape)}; the model takes words, "
            f"BYTES of the shape {shape}."
        )


class NoSamples(InvalidInput):
    """The input is a scalar."""

    def __init__(self) -> None:
        super().__init__(f"Input '{INPUT}' is a scalar; the model takes samples, so the shape must begin with [n].")


class SklearnRuntime(Runtime):
    """Serves a fitted estimator or pipeline; each of its methods that the client asks for is an output.

    One input, `input`, a row for each sample. Threads share the estimator, since predicting changes nothing in it.
    """

    extra = Extra

    def load(self) -> None:
        """Read the file, and learn from the estimator what it takes and gives."""
        settings = self.settings.parameters
        trusted_types = settings.extra.get("trusted_types", ())
        self._estimator = read_estimator(self.artifact(*WELL_KNOWN), form=settings.format, trusted_types=trusted_types)
        self._methods = [method for method in METHODS if hasattr(self._estimator, method)]
        self._features: int | None = getattr(self._estimator, "n_features_in_", None)
        self._is_text = _reads_text(self._estimator)
        self._columns = _column_names(self._estimator)
        self.parameters |= self._description()
        self._floats = self._only_floats()
        self._is_words = not self._is_text and self._breaks_on_numbers()
        self._methods = [method for method in self._methods if not self._is_ragged(method)]
        if self.inputs is None:
            self.inputs = self._declared_inputs()
        if self.outputs is None:
            self.outputs = [self._declared_output(method) for method in self._methods]

    def predict(self, request: InferenceRequest) -> InferenceResponse:
        """One output for each method that the request names; without any, what the estimator is for."""
        rows = self._rows(request)
        asked = dict.fromkeys(output.name for output in request.outputs or ()) or self._methods[:1]
        for name in asked:
            if name not in self._methods:
                raise InvalidInput(f"The model has no output {quoted(name)}; it has {listed(self._methods)}.")
        return InferenceResponse([Tensor(name, self._run(name, rows)) for name in asked])

    def _rows(self, request: InferenceRequest) -> Any:
        """The samples as the estimator was trained on them: an array, or a table where columns had names."""
        tensor = request.tensor(INPUT)
        if self._is_text and (tensor.datatype != "BYTES" or len(tensor.shape) != 1):
            raise NoWords(tensor, "[n]")
        if self._is_words and tensor.datatype != "BYTES":
            raise NoWords(tensor, f"[n, {self._features}]")
        if self._features is not None and (len(tensor.shape) != 2 or tensor.shape[1] != self._features):
            raise WrongFeatures(tensor.shape, self._features)
        if not tensor.shape:
            raise NoSamples
        rows = _numbers_or_text(tensor)
        if self._floats is not None and rows.dtype.kind in "biuf":
            rows = rows.astype(self._floats, copy=False)
        return self._table(rows)

    def _table(self, rows: np.ndarray[Any, Any]) -> Any:
        if self._columns is None:
            return rows
        import pandas as pd

        return pd.DataFrame(rows, columns=self._columns)

    def _run(self, method: str, rows: Any) -> np.ndarray[Any, Any]:
        try:
            result = getattr(self._estimator, method)(rows)
        except ValueError as error:
            if str(error).startswith(CLIENTS_FAULT):
                raise InvalidInput(str(error).partition("\n")[0]) from error
            raise
        return _as_array(result)

    def _only_floats(self) -> str | None:
        """The one width of floats that the estimator takes, as clusters do that compare with centres in their own."""
        if self._features is None:
            return None
        taken = [width for width in ("float64", "float32") if not self._breaks_on_width(width)]
        return taken[0] if len(taken) == 1 else None

    def _breaks_on_width(self, width: str) -> bool:
        assert self._features is not None
        try:
            self._run(self._methods[0], self._table(np.zeros((1, self._features), width)))
        except Exception as error:  # noqa: BLE001 - any estimator may refuse zeros in its own way
            return "dtype mismatch" in str(error)
        return False

    def _breaks_on_numbers(self) -> bool:
        """Whether the estimator was trained on words: it compares what comes with them, and numbers do not compare."""
        if self._features is None:
            return False
        try:
            self._run(self._methods[0], self._table(np.zeros((1, self._features), self._floats)))
        except TypeError:
            return True
        except Exception as error:  # noqa: BLE001 - any estimator may refuse zeros in its own way
            self.log.debug("The model takes no zeros: %s", error)
        return False

    def _is_ragged(self, method: str) -> bool:
        """Whether the method gives an array a target with a different number of classes each, which is no tensor."""
        if self._features is None:
            return False
        try:
            answer = getattr(self._estimator, method)(self._table(np.zeros((1, self._features), self._floats)))
        except Exception as error:  # noqa: BLE001 - any estimator may refuse zeros in its own way
            self.log.debug("%s takes no zeros: %s", method, error)
            return False
        return isinstance(answer, list) and len({np.shape(target) for target in answer}) > 1

    def _declared_inputs(self) -> list[Spec] | None:
        if self._is_text:
            return [Spec("BYTES", (-1,), name=INPUT)]
        if self._features is None:
            return None
        return [Spec("BYTES" if self._is_words else "FP64", (-1, self._features), name=INPUT)]

    def _declared_output(self, method: str) -> Spec:
        """What the method gives, learnt by asking it once; what takes no zeros keeps it to itself."""
        if self._features is None:
            return Spec(name=method)
        try:
            answer = self._run(method, self._table(np.zeros((1, self._features), self._floats)))
        except Exception as error:  # noqa: BLE001 - any estimator may refuse zeros in its own way
            self.log.debug("%s takes no zeros: %s", method, error)
            return Spec(name=method)
        datatype = "BYTES" if answer.dtype.kind == "O" else datatype_of(answer.dtype)
        return Spec(datatype, (-1, *answer.shape[1:]), name=method)

    def _description(self) -> dict[str, Any]:
        """What the metadata tells beside inputs and outputs."""
        told: dict[str, Any] = {"estimator": type(self._estimator).__name__}
        names = getattr(self._estimator, "feature_names_in_", None)
        if names is not None:
            told["feature_names"] = [str(name) for name in names]
        classes = getattr(self._estimator, "classes_", None)
        if isinstance(classes, np.ndarray):
            told["classes"] = classes.tolist()
        return told


def _reads_text(estimator: Any) -> bool:
    """Whether the estimator, or the first step of a pipeline, is a vectoriser of texts."""
    while hasattr(estimator, "steps"):
        estimator = estimator.steps[0][1]
    return hasattr(estimator, "build_analyzer")


def _column_names(estimator: Any) -> list[str] | None:
    """The names of the columns the estimator was trained on, where it was a table and pandas is here to make one."""
    names = getattr(estimator, "feature_names_in_", None)
    return list(names) if names is not None and find_spec("pandas") else None


def _numbers_or_text(tensor: Tensor) -> np.ndarray[Any, Any]:
    """The input's values as scikit-learn takes them: numbers of at least 32 bits, or str."""
    if tensor.datatype == "BYTES":
        try:
            text = [value.decode() for value in tensor.data.reshape(-1)]
        except UnicodeDecodeError:
            raise InvalidInput(f"Input '{INPUT}' holds bytes that are not UTF-8 text.") from None
        return np.array(text, dtype=object).reshape(tensor.shape)
    if tensor.datatype in {"FP16", "BF16"}:
        return _widened(tensor)
    return tensor.data


def _widened(tensor: Tensor) -> np.ndarray[Any, Any]:
    if tensor.datatype == "FP16":
        return tensor.data.astype(np.float32)
    return (tensor.data.view(np.uint16).astype(np.uint32) << 16).view(np.float32)


def _as_array(result: Any) -> np.ndarray[Any, Any]:
    """What the method gave as one array: sparse ones filled in, one array per target side by side."""
    if hasattr(result, "toarray"):
        return np.asarray(result.toarray())
    if isinstance(result, list):
        return np.stack(result, axis=1)
    return np.asarray(result)

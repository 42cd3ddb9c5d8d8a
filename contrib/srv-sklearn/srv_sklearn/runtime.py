"""The runtime: requests become tables or arrays, and the estimator's methods become outputs."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import partial
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any, ClassVar
from warnings import filterwarnings

import numpy as np
from marshmallow import Schema, fields

from srv import InferenceRequest, InferenceResponse, InvalidInput, Runtime, Spec, Tensor
from srv.codecs import request_codec
from srv.errors import SrvError, listed, quoted
from srv.tables import Column, Table, columns_of_schema, columns_of_specs, described_columns
from srv.tables.extra import columns_field
from srv_sklearn.client_errors import as_clients_fault
from srv_sklearn.files import WELL_KNOWN, read_estimator
from srv_sklearn.probing import row_of, tried, with_kinds
from srv_sklearn.results import as_tensor
from srv_sklearn.trained_columns import Learnt, learn

#: The estimator's methods that are outputs, the default first.
METHODS = ("predict", "transform", "predict_proba", "decision_function")
#: What an estimator raises for values of another kind than it was trained on.
_UNFIT_VALUES = (TypeError, ValueError, AttributeError, KeyError, IndexError)
#: Kinds of columns that are the same figures in an array as in a DataFrame.
_FIGURES = frozenset({"number", "float", "integer", "boolean"})


class Extra(Schema):
    """What a model's settings may have under `parameters.extra`."""

    trusted_types = fields.List(
        fields.String(),
        load_default=list,
        metadata={
            "description": "Types in a skops file that you vouch for, such as 'mypackage.MyTransformer'; they count only "
            "in the folder that `srv start` is given, and in defaults for all models."
        },
    )
    columns = columns_field("Kinds of columns that the estimator does not say, such as {'since': 'datetime'}.")


class PandasMissing(SrvError):
    """The model was trained on a DataFrame, does not predict from an array, and pandas is not installed."""

    def __init__(self) -> None:
        super().__init__(
            "The model was trained on a table with named columns, and such a table needs pandas, which is not installed. "
            "Install it: pip install srv-sklearn[pandas]."
        )


class UnfitTable(InvalidInput):
    """The estimator cannot use the values of columns whose kind is not known, or takes something else than tables."""

    def __init__(self, columns: list[Column], error: Exception) -> None:
        said = f"The model cannot use these values; it raised {type(error).__name__}."
        if columns:
            names = listed(quoted(column.name) for column in columns)
            said += f" It does not say what belongs in {names}; see parameters.extra.columns in its settings."
        super().__init__(said)


class UnknownTable(InvalidInput):
    """The request has several inputs, and the estimator does not say which columns it was trained on."""

    def __init__(self) -> None:
        super().__init__(
            "The model does not say which columns it was trained on, so their order is unknown; send one input, or a table "
            "with the content type pd, or describe the columns with parameters.extra.columns in its settings."
        )


def _quieten_names() -> None:
    """Keep scikit-learn from warning at each request that an array has no names: the columns are in order already."""
    filterwarnings("ignore", "X does not have valid feature names", UserWarning)


class SklearnRuntime(Runtime):
    """Serves a fitted estimator or pipeline; each of its methods that the client asks for is an output.

    Trained on a DataFrame, it has one input for each column; otherwise one, `input`, with a row for each sample. Threads
    share the estimator, since predicting changes nothing in it.
    """

    extra = Extra
    any_input_name: ClassVar[bool] = True
    missing_values: ClassVar[bool] = True

    def load(self) -> None:
        """Read the file, and learn from the estimator what it takes and gives."""
        trusted_types = self.settings.operator_extra.get("trusted_types", ())
        form = self.settings.parameters.format
        self._estimator = read_estimator(self.artifact(*WELL_KNOWN), form=form, trusted_types=trusted_types)
        self._methods = [method for method in METHODS if hasattr(self._estimator, method)]
        self.parameters |= self._description()
        self._floats: str | None = None
        self._learn()
        self._methods = [method for method in self._methods if not self._is_ragged(method)]
        if self.inputs is None and self._table is not None:
            self.inputs = self._table.specs()
        if self.outputs is None:
            self.outputs = [self._declared_output(method) for method in self._methods]
        self.example = self._example()

    def predict(self, request: InferenceRequest) -> InferenceResponse:
        """Return one output for each method that the request names; without any, the estimator's main one."""
        asked = dict.fromkeys(output.name for output in request.outputs or ()) or self._methods[:1]
        for name in asked:
            if name not in self._methods:
                raise InvalidInput(f"The model has no output {quoted(name)}; it has {listed(self._methods)}.")
        rows = self._rows(request)
        return InferenceResponse([self._run(name, rows) for name in asked])

    # -- what is learnt at load -----------------------------------------------------------------------------------------

    def _learn(self) -> None:
        """Find the columns that the estimator was trained on: from its attributes, the settings, and trials with one row."""
        self._table: Table | None = None
        self._examples: list[Any] = []
        self._uncertain: list[Column] = []
        self._known: Mapping[str, Collection[Any]] = {}
        learnt = learn(self._estimator) or self._from_settings()
        if learnt is None:
            return
        said = self._described_columns(learnt)
        self._known = learnt.known
        is_named = learnt.is_named or bool(said)
        columns = described_columns(learnt.columns, said, named=learnt.is_named)
        has_pandas = find_spec("pandas") is not None
        make = partial(
            Table,
            frame=learnt.is_named and has_pandas,
            named=is_named,
            flat=learnt.is_flat,
            settings=self.settings,
        )
        known = {column.name for column in columns if column.kind != "any"}
        self._examples = [
            None if column.name in said else each for column, each in zip(columns, learnt.examples, strict=True)
        ]
        columns = with_kinds(partial(self._call, self._methods[0]), columns, self._examples, make)
        self._uncertain = [column for column in columns if column.name not in known and not column.optional]
        self._table = make(columns)
        if learnt.is_named and not has_pandas and not self._takes_arrays():
            raise PandasMissing
        if learnt.is_named and not has_pandas:
            _quieten_names()
        self._floats = self._only_floats()

    def _schema(self) -> dict[str, Column]:
        """Return the columns of `parameters.extra.columns`, by name."""
        return columns_of_schema(self.settings.parameters.extra.get("columns") or {})

    def _from_settings(self) -> Learnt | None:
        """Return the columns of an estimator that does not tell them, such as a pipeline with a class of the user's."""
        said = self._schema()
        specs = self.settings.inputs or ()
        said = said or (columns_of_specs(specs) if len(specs) > 1 else {})
        return Learnt(list(said.values()), [None] * len(said), is_named=True) if said else None

    def _described_columns(self, learnt: Learnt) -> dict[str, Column]:
        """Return the columns of the settings: `parameters.extra.columns`, then `inputs` by the columns' names."""
        said = self._schema()
        names = [column.name for column in learnt.columns]
        specs = self.settings.inputs or ()
        if learnt.is_named:
            return columns_of_specs(spec for spec in specs if spec.name in names) | said
        if not said and len(specs) == len(names) > 1:
            return columns_of_specs(specs)
        return said

    def _takes_arrays(self) -> bool:
        """Whether the columns are numbers or booleans, and the estimator answers a made-up row of them in an array."""
        assert self._table is not None
        if any(column.kind not in _FIGURES for column in self._table.columns):
            return False
        return self._trial(self._methods[0]) is not None

    def _only_floats(self) -> str | None:
        """Return the only width of floats that the estimator takes, as some clusterings have one; else None."""
        assert self._table is not None
        if any(column.kind != "number" for column in self._table.columns):
            return None
        taken = [width for width in ("float64", "float32") if not self._breaks_on(width)]
        return taken[0] if len(taken) == 1 else None

    def _breaks_on(self, width: str) -> bool:
        assert self._table is not None
        try:
            tried(lambda rows: self._call(self._methods[0], rows.astype(width)), self._table, self._examples)
        except Exception as error:  # noqa: BLE001 - estimators raise whatever they like
            return "dtype mismatch" in str(error)
        return False

    def _trial(self, method: str) -> Any:
        """Return the method's answer for a made-up row; None if the method refuses it."""
        if self._table is None:
            return None
        try:
            return tried(partial(self._call, method), self._table, self._examples)
        except Exception as error:  # noqa: BLE001 - estimators raise whatever they like
            self.log.debug("%s does not take a row that was made up: %s", method, error)
            return None

    def _example(self) -> dict[str, list[Any]] | None:
        """Return a row that the estimator answers, by the names of its columns; None where they have none, or it does not."""
        if self._table is None or self.inputs is None or self._trial(self._methods[0]) is None:
            return None
        row = row_of(self._table.columns, self._examples)
        values = {column.name: [value] for column, value in zip(self._table.columns, row, strict=True)}
        return values if {spec.name for spec in self.inputs} == {*values} else None

    def _is_ragged(self, method: str) -> bool:
        """Whether the method gives each target an array with another number of classes, which is no tensor."""
        answer = self._trial(method)
        return isinstance(answer, list) and len({np.shape(target) for target in answer}) > 1

    def _declared_output(self, method: str) -> Spec:
        """Return the Spec of the method's output, from a trial or from the estimator's classes."""
        answer = self._trial(method)
        if answer is not None:
            tensor = as_tensor(method, answer)
            return Spec(tensor.datatype, (-1, *tensor.shape[1:]), name=method, parameters=tensor.parameters)
        classes = getattr(self._estimator, "classes_", None)
        if not isinstance(classes, np.ndarray) or method == "transform":
            return Spec(name=method)
        if method == "predict":
            return Spec(as_tensor(method, classes).datatype, (-1,), name=method)
        is_flat = method == "decision_function" and len(classes) == 2
        return Spec("FP64", (-1,) if is_flat else (-1, len(classes)), name=method)

    def _description(self) -> dict[str, Any]:
        """Return what the metadata has beside inputs and outputs."""
        described: dict[str, Any] = {
            "scikit-learn": version("scikit-learn"),
            "estimator": type(self._estimator).__name__,
        }
        names = getattr(self._estimator, "feature_names_in_", None)
        if names is not None:
            described["feature_names"] = [str(name) for name in names]
        classes = getattr(self._estimator, "classes_", None)
        if isinstance(classes, np.ndarray):
            described["classes"] = classes.tolist()
        return described

    # -- what is done for each request ----------------------------------------------------------------------------------

    def _rows(self, request: InferenceRequest) -> Any:
        """Return the samples in the form of the training: an array, or a table if columns had names."""
        if self._table is not None:
            return self._table.read(request)
        if request.parameters.get("content_type") == "pd":
            return request_codec("pd").decode_request(request)
        if len(request.inputs) > 1:
            raise UnknownTable
        return request.decode(request.inputs[0].name if request.inputs else "input")

    def _call(self, method: str, rows: Any) -> Any:
        """Return the method's result, computed under numpy's default settings, which another model may have changed."""
        if self._floats is not None:
            with np.errstate(all="ignore"):
                rows = rows.astype(self._floats, copy=False)
        with np.errstate(divide="warn", over="warn", under="ignore", invalid="warn"):
            return getattr(self._estimator, method)(rows)

    def _run(self, method: str, rows: Any) -> Tensor:
        try:
            result = self._call(method, rows)
        except _UNFIT_VALUES as error:
            fault = as_clients_fault(error, rows, self._known)
            if fault is not None:
                raise fault from error
            if self._uncertain or self._table is None:
                self.log.warning("The model could not use a request's values.", exc_info=error)
                raise UnfitTable(self._uncertain, error) from error
            raise
        return as_tensor(method, result)

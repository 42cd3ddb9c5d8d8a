"""The runtime: requests become CatBoost's pools, and its predictions outputs."""

from __future__ import annotations

from collections.abc import Collection
from importlib.metadata import version
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from marshmallow import Schema, fields, validate

from srv import InferenceRequest, InferenceResponse, InvalidInput, Runtime, Spec, Tensor
from srv.errors import listed, quoted
from srv.tables.extra import columns_field
from srv_catboost.features import columns_of, with_lengths
from srv_catboost.files import WELL_KNOWN, checked_format, format_of
from srv_catboost.rows import Rows

#: Outputs whose shape is known without computing them, because that takes long.
_KNOWN = ("leaf", "contributions")
#: How many rows times trees are worth the start of further threads: some milliseconds of one thread's time.
_MUCH = 2_000_000


class Extra(Schema):
    """What a model's settings may have under `parameters.extra`."""

    columns = columns_field(
        "Kinds of columns where the file says less, such as {'rooms': 'integer'} for a category of "
        "integers, or {'size': {'category': ['S', 'L']}} to refuse all other categories."
    )
    embeddings = fields.Dict(
        keys=fields.String(),
        values=fields.Integer(strict=True, validate=validate.Range(min=1)),
        load_default=dict,
        metadata={"description": "How long the vectors of each embedding feature are, such as {'review': 768}."},
    )
    thread_count = fields.Integer(
        strict=True,
        load_default=None,
        allow_none=True,
        validate=validate.Range(min=1),
        metadata={"description": "How many threads one request may take; without it srv decides by the work there is."},
    )


class CatBoostRuntime(Runtime):
    """Serves a model that CatBoost saved; each output that the client asks for is one of its predictions.

    Where features have names, each is an input; otherwise there is one, `input`, with a row for each sample. Threads share
    the model.
    """

    extra = Extra
    any_input_name: ClassVar[bool] = True
    missing_values: ClassVar[bool] = True

    @classmethod
    def recognise(cls, path: Path) -> bool:
        """Return whether the file is CatBoost's, whose JSON is called as XGBoost's is."""
        return format_of(path) is not None

    def load(self) -> None:
        """Read the file, and learn from the model what it takes and gives."""
        # Here, because the import takes seconds, and srv imports this module to recognise files.
        from srv_catboost.trained_model import TrainedModel

        file = self.artifact(*WELL_KNOWN)
        self._model = TrainedModel(file, checked_format(file, self.settings.parameters.format))
        extra = self.settings.parameters.extra
        self._thread_count: int | None = extra.get("thread_count")
        features = with_lengths(self._model.features, extra.get("embeddings") or {})
        said = extra.get("columns") or {}
        has_vectors = any(feature.kind == "embedding" for feature in features)
        is_named = self._model.is_named or has_vectors
        columns = columns_of(features, nullable=self._model.nullable, named=is_named, said=said)
        self._rows = Rows(features, columns, named=is_named or bool(said), settings=self.settings)
        self._declared = {spec.name: spec for spec in self._outputs(len(features))}
        if self.inputs is None:
            self.inputs = self._rows.specs()
        if self.outputs is None:
            self.outputs = list(self._declared.values())
        self.parameters |= self._description()

    def predict(self, request: InferenceRequest) -> InferenceResponse:
        """Return the outputs that the request names; without any, what the estimator's predict gives."""
        asked = dict.fromkeys(output.name for output in request.outputs or ()) or ["predict"]
        for name in asked:
            if name not in self._declared:
                raise InvalidInput(f"The model has no output {quoted(name)}; it has {listed(self._declared)}.")
        rows = self._rows.read(request)
        threads = self._threads(len(rows), asked)
        pool = self._model.pool(rows, threads=threads)
        return InferenceResponse([_tensor(name, self._model.compute(name, pool, threads=threads)) for name in asked])

    def _threads(self, rows: int, asked: Collection[str]) -> int:
        """Return how many threads a request takes: one, or with much to compute as many as there are cores."""
        if self._thread_count is not None:
            return self._thread_count
        is_much = "contributions" in asked or rows * self._model.trees >= _MUCH
        return self.cores if is_much else 1

    def _outputs(self, width: int) -> list[Spec]:
        """Return the Spec of each output, by computing them for a row that is made up."""
        pool = self._model.pool(self._rows.example(), threads=1)
        found = {
            name: _tensor(name, self._model.compute(name, pool, threads=1))
            for name in self._model.outputs
            if name not in _KNOWN
        }
        # With RMSEWithUncertainty CatBoost tells contributions to the mean alone.
        several = (1,) if self._model.loss_function == "RMSEWithUncertainty" else found["raw"].shape[1:]
        shapes = {"leaf": ("UINT32", (self._model.trees,)), "contributions": ("FP64", (*several, width + 1))}
        shapes |= {name: (tensor.datatype, tensor.shape[1:]) for name, tensor in found.items()}
        return [Spec(shapes[name][0], (-1, *shapes[name][1]), name=name) for name in self._model.outputs]

    def _description(self) -> dict[str, Any]:
        """Return what the metadata has beside inputs and outputs."""
        described: dict[str, Any] = {"loss_function": self._model.loss_function, "trees": self._model.trees}
        if self._model.is_named:
            described["feature_names"] = [feature.name for feature in self._model.features if feature.kind != "dropped"]
        if self._model.classes:
            described["classes"] = self._model.classes
        return described | {"catboost": version("catboost")}


def _tensor(name: str, values: np.ndarray[Any, Any]) -> Tensor:
    return Tensor(name, values, "BYTES") if values.dtype.kind == "O" else Tensor(name, values)

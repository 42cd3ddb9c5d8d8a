"""The runtime: requests become arrays of numbers, and what a booster gives becomes outputs.

xgboost is imported by `load` and not here, because srv imports this module to ask which files are XGBoost's.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, ClassVar

from marshmallow import Schema, fields
from marshmallow.validate import Range

from srv import InferenceRequest, InferenceResponse, Runtime, Spec, Tensor
from srv.file_formats import check_format
from srv.tables.extra import classes_field, columns_field
from srv_xgboost.columns import codes_of, table_of
from srv_xgboost.files import WELL_KNOWN, FilesGone, format_of, is_xgboost


class Extra(Schema):
    """What a model's settings may have under `parameters.extra`."""

    classes = classes_field(
        "The names of the classes, in their order: texts, numbers or booleans. `predict` gives them then, where "
        "a classifier gives their places, and a Booster the probabilities."
    )
    columns = columns_field()
    missing = fields.Float(
        load_default=math.nan,
        allow_nan=True,
        metadata={"description": "The number that stood for a missing value in training, beside NaN, such as -999."},
    )
    best_iteration = fields.Boolean(
        load_default=None,
        metadata={
            "description": "Whether the trees after the best iteration of early stopping are left out. Unless it is said, they "
            "are where an estimator of xgboost.sklearn has saved the file, and not where a Booster has, as these predict."
        },
    )
    threads = fields.Integer(
        load_default=1,
        validate=Range(min=1),
        metadata={
            "description": "How many threads one prediction takes. Requests run beside each other anyway; more make the answer to a "
            "request of thousands of rows come sooner, for more of the processor's time."
        },
    )
    interactions = fields.Boolean(
        load_default=False,
        metadata={
            "description": "Whether the output `interactions` is offered. It has (features + 1) squared numbers for each row and "
            "class, more than any other output, and none of srv's limits counts them."
        },
    )


class XGBoostRuntime(Runtime):
    """Serves a booster or an estimator of XGBoost; a request chooses among its outputs.

    Trained with names of features, it has an input for each; otherwise one, `input`, with a row for each sample. Threads
    share the booster.
    """

    extra = Extra
    any_input_name: ClassVar[bool] = True
    missing_values: ClassVar[bool] = True

    @classmethod
    def recognise(cls, path: Path) -> bool:
        """Whether the file's first bytes are those of XGBoost's JSON, UBJSON or old binary format."""
        return is_xgboost(path)

    def load(self) -> None:
        """Read the file, and learn from the booster what it takes and gives."""
        try:
            from srv_xgboost.booster import OUTPUTS, Booster  # the only import of xgboost
        except ModuleNotFoundError as error:
            if error.name != "xgboost":
                raise
            raise FilesGone from error

        extra = self.settings.parameters.extra
        file = self.artifact(*WELL_KNOWN)
        form = format_of(file)
        check_format(file, self.settings.parameters.format, form)
        self._booster = Booster(
            file,
            form,
            threads=extra.get("threads", 1),
            missing=extra.get("missing", math.nan),
            classes=extra.get("classes"),
            best_iteration=extra.get("best_iteration"),
        )
        booster = self._booster
        self._table = table_of(booster.names, booster.types, booster.width, booster.categories, self.settings)
        booster.codes = codes_of(self._table, booster.types)
        self._compute = OUTPUTS
        self.parameters |= booster.description()
        if self.inputs is None:
            self.inputs = self._table.specs()
        examples = booster.outputs(with_interactions=extra.get("interactions", False))
        self._default = next(iter(examples))
        if self.outputs is None:
            tensors = [Tensor(name, example) for name, example in examples.items()]
            self.outputs = [Spec(each.datatype, (-1, *each.shape[1:]), name=each.name) for each in tensors]

    def predict(self, request: InferenceRequest) -> InferenceResponse:
        """Return the outputs that the request names; without any, `predict`."""
        rows: Any = self._table.read(request)
        asked = dict.fromkeys(output.name for output in request.outputs or ()) or [self._default]
        found = self._booster.rows(rows)
        return InferenceResponse([Tensor(name, self._compute[name](found)) for name in asked])

"""The runtime: requests become arrays of numbers, and what a booster gives becomes outputs.

lightgbm is imported by `load` and not here, because srv imports this module to ask which files are LightGBM's.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from marshmallow import Schema

from srv import InferenceRequest, InferenceResponse, Runtime, Spec, Tensor
from srv.file_formats import check_format
from srv.tables.extra import classes_field, columns_field
from srv_lightgbm.columns import table_of
from srv_lightgbm.files import WELL_KNOWN, is_lightgbm


class Extra(Schema):
    """What a model's settings may have under `parameters.extra`."""

    classes = classes_field(
        "The names of the classes, in the order of `classes_`: texts, numbers or booleans. The file does not hold "
        "them. `predict` gives them then, and the probabilities where nothing is said."
    )
    columns = columns_field()


class LightGBMRuntime(Runtime):
    """Serves a booster or an estimator of LightGBM; a request chooses among its outputs.

    Trained with names of features, it has an input for each; otherwise one, `input`, with a row for each sample. Threads
    share the booster.
    """

    extra = Extra
    any_input_name: ClassVar[bool] = True
    missing_values: ClassVar[bool] = True

    @classmethod
    def recognise(cls, path: Path) -> bool:
        """Whether the file begins as LightGBM's text format does."""
        return is_lightgbm(path)

    def load(self) -> None:
        """Read the file, and learn from the booster what it takes and gives."""
        from srv_lightgbm.booster import OUTPUTS, Booster  # the only import of lightgbm

        file = self.artifact(*WELL_KNOWN)
        check_format(file, self.settings.parameters.format, "text")
        booster = Booster(
            file,
            cores=self.cores,
            classes=self.settings.parameters.extra.get("classes"),
        )
        self._booster = booster
        self._table = table_of(booster.names, booster.infos, booster.category_places, booster.categories, self.settings)
        booster.codes = [place for place in booster.category_places if self._table.columns[place].kind != "category"]
        self._compute = OUTPUTS
        self.parameters |= booster.description()
        if self.inputs is None:
            self.inputs = self._table.specs()
        examples = booster.outputs()
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

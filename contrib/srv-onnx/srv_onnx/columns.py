"""Requests as the inputs of a model that takes a table: an input for each column, as converters of pipelines make them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from srv import InferenceRequest, ModelSettings, Spec
from srv.tables import Column, Table
from srv_onnx.value_types import Value

#: Datatype → the kind of column and the dtype. The other datatypes are in no table.
_KINDS: dict[str, tuple[str, str | None]] = {
    "BOOL": ("boolean", None),
    "UINT8": ("integer", "uint8"),
    "UINT16": ("integer", "uint16"),
    "UINT32": ("integer", "uint32"),
    "INT8": ("integer", "int8"),
    "INT16": ("integer", "int16"),
    "INT32": ("integer", "int32"),
    "INT64": ("integer", "int64"),
    "FP16": ("float", "float16"),
    "FP32": ("float", "float32"),
    "FP64": ("float", "float64"),
    "BYTES": ("text", None),
}


class Columns:
    """The inputs of a model, each a column of one table. One instance serves all threads.

    Floats may be NaN. Nothing else may be missing, because ONNX's other types have no value that says so.
    """

    def __init__(self, values: Sequence[Value], settings: ModelSettings) -> None:
        self._values = values
        self._shapes = {value.name: (-1,) if len(value.shape or ()) == 1 else (-1, 1) for value in values}
        self._table = Table([_column(value) for value in values], frame=False, by_column=True, settings=settings)

    def specs(self) -> list[Spec]:
        """The model's inputs."""
        return [value.spec() for value in self._values]

    def feed(self, request: InferenceRequest) -> dict[str, np.ndarray[Any, Any]]:
        """Return the arrays of a table in any form, by the names of their inputs. Raises InvalidInput."""
        columns = self._table.read_columns(request)
        return {name: np.ascontiguousarray(array).reshape(self._shapes[name]) for name, array in columns.items()}


def are_columns(values: Sequence[Value]) -> bool:
    """Whether inputs are columns of one table: all `[n, 1]`, or several `[n]` whose `n` has a name."""
    if not values or any(value.optional or value.datatype not in _KINDS for value in values):
        return False
    shapes = [value.shape or () for value in values]
    if any(not shape or isinstance(shape[0], int) or shape[1:] not in ((), (1,)) for shape in shapes):
        return False
    names = {shape[0] for shape in shapes}
    is_flat = any(len(shape) == 1 for shape in shapes)
    return len(names) == 1 and not (is_flat and (len(values) == 1 or None in names))


def _column(value: Value) -> Column:
    kind, dtype = _KINDS[value.datatype]
    return Column(value.name, kind, dtype=dtype, nullable=kind == "float")

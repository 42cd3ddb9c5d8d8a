"""Models with columns in their signature: requests become DataFrames of these columns, with the types of the signature."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from mlflow.exceptions import MlflowException
from mlflow.models import validate_schema
from mlflow.types import DataType, Schema

from srv import InferenceRequest, ModelSettings, Spec
from srv.errors import quoted
from srv.tables import Column, Table

#: Each type of a column: the kind in srv.tables, pandas' dtype where it is not the kind's own, and the wire's datatype.
_TYPES: dict[DataType, tuple[str, str | None, str]] = {
    DataType.boolean: ("boolean", None, "BOOL"),
    DataType.integer: ("integer", "int32", "INT32"),
    DataType.long: ("integer", "int64", "INT64"),
    DataType.float: ("float", "float32", "FP32"),
    DataType.double: ("float", None, "FP64"),
    DataType.string: ("text", None, "BYTES"),
    DataType.binary: ("bytes", None, "BYTES"),
    DataType.datetime: ("datetime", "datetime64[ns]", "BYTES"),
}


class Columns:
    """Reads requests as a DataFrame of the signature's columns. Columns without names are 0, 1, 2 and so on."""

    def __init__(self, schema: Schema, settings: ModelSettings) -> None:
        self._is_named = schema.has_input_names()
        self._specs = list(schema.inputs)
        self._types = [spec.type for spec in schema.inputs]
        columns = [
            _column(spec, spec.name if self._is_named else str(place)) for place, spec in enumerate(schema.inputs)
        ]
        self._table = Table(columns, named=self._is_named, settings=settings)

    def specs(self) -> list[Spec]:
        """Return an input for each column where columns have names, else one for all."""
        specs = self._table.specs()
        if not self._is_named:
            return specs
        return [replace(spec, datatype=datatype_of(kind)) for spec, kind in zip(specs, self._types, strict=True)]

    def read(self, request: InferenceRequest) -> Any:
        """Return the DataFrame. Raises TableError, a 400 with column and row."""
        frame: Any = self._table.read(request)
        if not self._is_named:
            frame.columns = range(len(self._types))  # as MLflow itself calls columns without names
        return frame

    def place_of_fault(self, frame: Any) -> str:
        """Return where a DataFrame has the first cell that MLflow refuses, as the beginning of a sentence; else nothing.

        Only lists, objects and maps are looked at, because the table has checked everything else.
        """
        for spec in self._specs:
            if isinstance(spec.type, DataType) or spec.name not in frame:
                continue
            for row in range(len(frame)):
                try:
                    validate_schema(frame[[spec.name]].iloc[[row]].reset_index(drop=True), Schema([spec]))
                except MlflowException:
                    return f"Column {quoted(spec.name)}, row {row}: "
        return ""


def datatype_of(kind: Any) -> str:
    """Return the wire's datatype for a column's type; what is a list, an object or a map travels as the text of JSON."""
    return _TYPES[kind][2] if isinstance(kind, DataType) else "BYTES"


def content_type_of(kind: Any) -> str | None:
    """Return the content type of a column's type, None for numbers and booleans."""
    known = _TYPES[kind][0] if isinstance(kind, DataType) else "json"
    return {"text": "str", "bytes": "base64", "datetime": "datetime", "json": "json"}.get(known)


def _column(spec: Any, name: str) -> Column:
    if not isinstance(spec.type, DataType):
        return Column(name, "json", optional=not spec.required)
    kind, dtype, _ = _TYPES[spec.type]
    # NumPy's integers and booleans have no missing value; an optional boolean is an object for MLflow where some are missing.
    nullable = kind not in ("integer", "boolean") or (kind == "boolean" and not spec.required)
    return Column(name, kind, dtype=dtype, nullable=nullable, optional=not spec.required)

"""A table: the columns of a model, and the conversion of requests to the DataFrame or array that the model takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from srv.messages import InferenceRequest
from srv.model_settings import ModelSettings, Spec
from srv.tables.cells import PLAIN_TYPES, Cells, Source, cells_of, json_values, native, shown
from srv.tables.columns import CONTENT_TYPES, Column
from srv.tables.errors import (
    ColumnsMissing,
    Nameless,
    NoRows,
    NotInTable,
    RowCounts,
    UnfitShape,
    UnfitValue,
    UnknownColumn,
)
from srv.tables.frames import (
    array_of,
    arrays_of,
    check_dtypes,
    check_figures,
    figures_of,
    frame_of,
    one_column,
    pandas_module,
)
from srv.tables.values import Array, values_of
from srv.tensors import Tensor

if TYPE_CHECKING:
    import pandas as pd

#: The name of the only input of a model whose columns have no names.
INPUT = "input"
_DIRECT = frozenset({"number", "any"})
#: Kinds of columns whose texts are read by the content type of the metadata where the client names none.
_ENCODED = frozenset({"bytes", "json"})


class Table:
    """The columns that a model was trained on. One instance serves all threads.

    `read` takes a request in any of these forms, the first two also with content types as the request codec `pd` writes
    them:

    - one tensor `[n, columns]` of any name;
    - a tensor `[n]` or `[n, 1]` for each column, in any order;
    - a BYTES tensor of JSON objects, one for each row, with the content type `json`.

    With `frame` it gives a pandas.DataFrame, else an array. A table whose columns have no names (`named=False`) takes the
    first form, and the last with JSON arrays. With `flat` it has one column and gives an array `[n]`, for vectorisers of
    texts. With `figures` the array is of numbers, as gradient boosting takes it: booleans are 1 and 0, a category is its
    position among the categories, and NaN is missing; its columns are numbers, booleans and closed categories. With
    `empty=False` a request without rows is refused.

    `read_columns` of a table with `by_column`, for models with an input for each column, gives an array for each.
    """

    def __init__(
        self,
        columns: Sequence[Column],
        *,
        frame: bool = True,
        named: bool = True,
        flat: bool = False,
        figures: bool = False,
        empty: bool = True,
        by_column: bool = False,
        settings: ModelSettings | None = None,
    ) -> None:
        if figures:
            check_figures(columns, frame=frame)
        self.columns = tuple(columns)
        self.frame = frame
        self.named = named
        self.flat = flat
        self.figures = figures
        self.empty = empty
        self.by_column = by_column
        self._by_name = {column.name: column for column in self.columns}
        self._titles = {
            column.name: f"Column '{column.name}'" if named else f"Input '{INPUT}'" if flat else f"Column {place}"
            for place, column in enumerate(self.columns)
        }
        self._required = [column.name for column in self.columns if not column.optional]
        self._direct = not by_column and all(
            column.kind in _DIRECT and column.nullable and column.dtype is None for column in columns
        )
        self._is_open = all(column.kind == "any" for column in columns)
        self._takes_texts = any(
            column.value_kind not in ("number", "float", "integer", "boolean") for column in columns
        )
        self._index = pandas_module().Index([column.name for column in self.columns]) if frame else None
        self._whole, self._own = _content_types(settings)
        if frame:
            check_dtypes(self.columns)

    def specs(self) -> list[Spec]:
        """The model's inputs: one for each column where columns have names, else one for all."""
        if self.named:
            return [column.spec() for column in self.columns]
        if self.flat:
            [column] = self.columns
            return [Spec(column.spec().datatype, (-1,), name=INPUT, parameters=column.spec().parameters)]
        return [Spec(self._common_datatype(), (-1, len(self.columns)), name=INPUT)]

    def read(self, request: InferenceRequest) -> pd.DataFrame | Array:
        """Return the DataFrame or array for a request in any form. Raises TableError, a 400 with column and row."""
        table = self._read(request)
        if not self.empty and not len(table):
            raise NoRows
        return table

    def read_columns(self, request: InferenceRequest) -> dict[str, Array]:
        """Return an array `[n]` for each column, in the column's dtype, of a table with `by_column`; text as objects.

        Needs no pandas. A column that is optional and not sent is left out. Raises TableError, a 400 with column and row.
        """
        values: dict[str, Array] = self._read(request)
        if not self.empty and not all(map(len, values.values())):
            raise NoRows
        return values

    def _read(self, request: InferenceRequest) -> Any:
        inputs = request.inputs
        whole = request.parameters.get("content_type") if request.parameters else None
        with np.errstate(all="ignore"):  # because a model may have set numpy to raise in this thread
            if len(inputs) == 1 and whole != "pd":
                return self._of_one(inputs[0], self._type_of(inputs[0], whole))
            return self._of_columns(inputs, whole)

    # -- forms ----------------------------------------------------------------------------------------------------------

    def _of_one(self, tensor: Tensor, content_type: str | None) -> Any:
        shape, width = tensor.shape, len(self.columns)
        is_json = content_type in ("json", "pd_json") and tensor.datatype == "BYTES"
        if len(shape) == 2 and shape[1] == width and (width > 1 or not is_json):
            return self._of_matrix(tensor, content_type, is_json=is_json)
        is_list = len(shape) == 1 or (len(shape) == 2 and shape[1] == 1)
        if is_json and is_list and not self._holds_json(tensor.name):
            values = json_values(tensor.data.reshape(-1), f"Input '{tensor.name[:80]}'")
            if not (width == 1 or tensor.name in self._by_name) or any(
                isinstance(each, dict | list) for each in values
            ):
                return self._of_rows(values)
        if self.named and tensor.name in self._by_name and width > 1:
            return self._of_columns([tensor], content_type)
        if width == 1 and is_list:
            return self._of_matrix(tensor, content_type, is_json=is_json)
        wanted = f"rows of {width} features, so the shape must be [n, {width}]"
        if width == 1:
            wanted = "one column, so the shape must be [n] or [n, 1]"
        raise UnfitShape(tensor.name, shape, f"the model takes {wanted}")

    def _of_matrix(self, tensor: Tensor, content_type: str | None, *, is_json: bool) -> Any:
        """Read all columns from one tensor. Numbers of columns that need no check are passed on without a copy."""
        if tensor.datatype != "BYTES":
            if content_type is not None and content_type not in PLAIN_TYPES - {"str"}:
                raise NotInTable(tensor.name, f"its content type '{content_type}' needs BYTES, not {tensor.datatype}")
            rows = native(tensor, tensor.data)
            if self._direct and rows.dtype.kind != "b" and not self.flat:
                return self._direct_rows(rows)
            source = Source.NATIVE
        elif is_json:
            return self._of_rows(_in_rows(json_values(tensor.data.reshape(-1), "Element"), len(self.columns)))
        else:
            rows = tensor.data
            if len(self.columns) == 1:
                return self._built({self.columns[0].name: self._cells(tensor, self.columns[0], content_type)})
            if content_type is not None and content_type not in PLAIN_TYPES:
                raise NotInTable(tensor.name, f"its content type is '{content_type}', which no table has")
            source = Source.MIXED_TEXTS if self._takes_texts and not self._is_open else Source.TEXTS
        rows = rows.reshape(-1, len(self.columns))
        return self._built(
            {
                column.name: Cells(source, rows[:, place], tensor.datatype, is_shared=len(self.columns) > 1)
                for place, column in enumerate(self.columns)
            }
        )

    def _direct_rows(self, rows: Array) -> Any:
        rows = rows if rows.ndim == 2 else rows.reshape(-1, 1)
        if not self.frame:
            return rows
        # Column-major, as DataFrames are, because the memory order changes the last bit of sums of products.
        by_column = np.array(rows, order="F")
        return pandas_module().DataFrame(by_column, columns=self._index, copy=False)

    def _of_columns(self, inputs: Sequence[Tensor], whole: str | None) -> Any:
        """Read a tensor for each column, in any order."""
        if not self.named:
            if len(inputs) == 1 and len(self.columns) == 1:
                return self._of_matrix(inputs[0], self._type_of(inputs[0], whole), is_json=False)
            raise Nameless([tensor.name for tensor in inputs], len(self.columns))
        given: dict[str, Cells] = {}
        only = self.columns[0].name if len(self.columns) == len(inputs) == 1 else None
        for tensor in inputs:
            name = only or tensor.name
            if name not in self._by_name:
                raise UnknownColumn(name, list(self._by_name))
            given[name] = self._cells(tensor, self._by_name[name], self._type_of(tensor, whole))
            first = next(iter(given))
            if len(given[name]) != len(given[first]):
                raise RowCounts(first, len(given[first]), name, len(given[name]))
        return self._built(given)

    def _cells(self, tensor: Tensor, column: Column, content_type: str | None) -> Cells:
        """Return the cells of a column's own tensor; without a content type bytes are base64, and JSON values are JSON."""
        if content_type is None and tensor.datatype == "BYTES" and column.kind in _ENCODED:
            content_type = CONTENT_TYPES[column.kind]
        return cells_of(tensor, self._titles[column.name], content_type)

    def _holds_json(self, name: str) -> bool:
        """Whether the elements of a tensor of JSON are the cells of one column of the kind json, and no rows."""
        column = self._by_name.get(name) if self.named else self.columns[0] if len(self.columns) == 1 else None
        return column is not None and column.kind == "json"

    def _of_rows(self, rows: Sequence[Any]) -> Any:
        """Read a JSON object for each row, or a JSON array of the row's values in the order of the columns."""
        width = len(self.columns)
        given: dict[str, list[Any]] = {column.name: [] for column in self.columns}
        absent: set[str] = set()
        for place, row in enumerate(rows):
            match row:
                case dict() if self.named or width == 1:
                    self._add_object(row, place, given, absent)
                case list() if len(row) == width:
                    for column, value in zip(self.columns, row, strict=True):
                        given[column.name].append(value)
                case list():
                    raise UnfitValue("The table", place, f"a JSON array of {len(row)} values", f"one of {width}")
                case dict():
                    raise Nameless(list(row), width)
                case _:
                    raise UnfitValue("The table", place, shown(row), "a JSON object with a value for each column")
        left_out = {name for name in absent if all(value is None for value in given[name])}
        return self._built(
            {name: Cells(Source.VALUES, values, "BYTES") for name, values in given.items() if name not in left_out}
        )

    def _add_object(self, row: Mapping[str, Any], place: int, given: dict[str, list[Any]], absent: set[str]) -> None:
        if not self.named and len(row) == 1:  # a model whose only column has no name takes it under any name
            row = {self.columns[0].name: next(iter(row.values()))}
        for name in row:
            if name not in given:
                raise UnknownColumn(name, list(given), place)
        for name, values in given.items():
            if name in row:
                values.append(row[name])
            elif self._by_name[name].optional:
                values.append(None)
                absent.add(name)
            else:
                raise ColumnsMissing([name for name in self._required if name not in row], place)

    # -- what is built --------------------------------------------------------------------------------------------------

    def _built(self, given: Mapping[str, Cells]) -> Any:
        missing = [name for name in self._required if name not in given]
        if missing:
            raise ColumnsMissing(missing)
        values = {
            column.name: values_of(given[column.name], column, self._titles[column.name])
            for column in self.columns
            if column.name in given
        }
        if self.by_column:
            return arrays_of(values, self._by_name)
        if self.frame:
            return frame_of(values, self._by_name)
        rows = len(next(iter(values.values())))
        for column in self.columns:
            if column.name not in values:
                values[column.name] = np.full(rows, np.nan)
        if self.figures:
            return figures_of([values[column.name] for column in self.columns], self.columns)
        if self.flat:
            return one_column(values[self.columns[0].name], self.columns[0])
        return array_of([values[column.name] for column in self.columns], self.columns)

    def _type_of(self, tensor: Tensor, whole: str | None) -> str | None:
        """The content type that applies to a tensor: its own, the request's for BYTES, then what the settings say."""
        own = tensor.parameters.get("content_type") if tensor.parameters else None
        if own is not None:
            return str(own)
        if whole is not None and whole != "pd" and tensor.datatype == "BYTES":
            return str(whole)
        return self._own.get(tensor.name, self._whole)

    def _common_datatype(self) -> str | None:
        datatypes = {column.spec().datatype for column in self.columns}
        if len(datatypes) == 1:
            return datatypes.pop()
        return "FP64" if datatypes <= {"FP64", "INT64"} else "BYTES"


def _content_types(settings: ModelSettings | None) -> tuple[str | None, dict[str, str]]:
    """What a model's settings say of content types: for all inputs, and for each."""
    if settings is None:
        return None, {}
    own = {
        spec.name: spec.parameters["content_type"]
        for spec in settings.inputs or ()
        if "content_type" in spec.parameters
    }
    whole = settings.parameters.content_type
    return (None if whole == "pd" else whole), own


def _in_rows(values: list[Any], width: int) -> list[list[Any]]:
    return [values[start : start + width] for start in range(0, len(values), width)]

"""Parquet files of rows and of answers, by pyarrow, which an extra installs."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, time
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np

from srv.client import Result
from srv.errors import InvalidInput
from srv.messages import ModelMetadata
from srv.model_settings import Spec
from srv_infer.answers import Answers, Array, numbers_of, rows_of, values_of
from srv_infer.errors import ExtraMissing, UnreadableInput
from srv_infer.files import arrow_of, working_file, write_whole
from srv_infer.rows import Batch, MissingCell, UnfitCell, is_float, layout_of

#: How many rows a row group of an output has at least, but for the last one.
_ROWS_OF_GROUP = 65536
#: The column of a batch in which all rows failed, whose columns are not known by it.
_NO_COLUMNS = "\0"


class ParquetSource:
    """A Parquet file of rows."""

    def __init__(self, name: str, metadata: ModelMetadata, renamed: Mapping[str, str]) -> None:
        try:
            import pyarrow as pa  # here, because the extra may be missing
            import pyarrow.parquet as pq
        except ImportError:
            raise ExtraMissing from None
        try:
            self._file = pq.ParquetFile(io.BytesIO(sys.stdin.buffer.read()) if name == "-" else name)
        except pa.ArrowInvalid as error:
            raise UnreadableInput(name, str(error).rstrip(".")) from None
        self._arrow = pa
        self._name = name
        self._layout = layout_of(self._file.schema_arrow.names, metadata, renamed)
        self.ignored = self._layout.ignored
        self._read = 0

    def batches(self, size: int, *, skip: int) -> Iterator[Batch]:
        """Yield the rows, in batches that a row group may cut short. Groups of skipped rows are not read."""
        groups, first = self._groups_behind(skip)
        try:
            for part in self._file.iter_batches(batch_size=size, row_groups=groups):
                rows = part.num_rows
                kept = part.slice(max(0, skip - first))
                at, first = first + rows - kept.num_rows, first + rows
                self._read = first
                if kept.num_rows:
                    yield self._batch(at, kept)
        except (self._arrow.ArrowException, OSError) as error:
            raise UnreadableInput(self._name, str(error).rstrip(".")) from None

    def done(self) -> float | None:
        """Return which part of the rows is read."""
        rows = self._file.metadata.num_rows
        return self._read / rows if rows else None

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _groups_behind(self, skip: int) -> tuple[list[int], int]:
        """Return the row groups that hold rows after the first `skip`, and the number of their first row."""
        metadata, first, group = self._file.metadata, 0, 0
        while group < metadata.num_row_groups and first + metadata.row_group(group).num_rows <= skip:
            first += metadata.row_group(group).num_rows
            group += 1
        return [*range(group, metadata.num_row_groups)], first

    def _batch(self, first: int, part: Any) -> Batch:
        failed: dict[int, str] = {}
        columns: list[tuple[Spec, Any]] = []
        for name, spec, column in zip(self._layout.columns, self._layout.specs, part.columns, strict=True):
            if spec is not None:
                values, unfit = values_of_column(name, spec, column)
                columns.append((spec, values))
                for place, why in unfit.items():
                    failed.setdefault(first + place, why)
        if failed:
            kept = [place for place in range(part.num_rows) if first + place not in failed]
            columns = [(spec, _taken(values, kept)) for spec, values in columns]
        if self._layout.matrix is not None:
            values = {self._layout.matrix: np.column_stack([values for _, values in columns])}
        else:
            values = {spec.name: values for spec, values in columns}
        return Batch(first, part.num_rows, values, failed)


def _taken(values: Any, places: Sequence[int]) -> Any:
    return values[places] if isinstance(values, np.ndarray) else [values[place] for place in places]


def values_of_column(name: str, spec: Spec, column: Any) -> tuple[Any, dict[int, str]]:
    """Return the values of an Arrow column for an input, and why rows cannot be sent, by their places.

    Numbers without nulls are an array, and others a list. Null is NaN among floats. Floats are integers where they are whole,
    because tables write integers so where some are missing.
    """
    import pyarrow as pa

    kind = column.type
    if pa.types.is_dictionary(kind):
        column = column.dictionary_decode()
        kind = column.type
    is_number = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
    if is_float(spec.datatype) and (is_number or pa.types.is_boolean(kind)):
        if pa.types.is_floating(kind) and not column.null_count:
            return column.to_numpy(zero_copy_only=False), {}
        numbers = [np.nan if value is None else float(value) for value in column.to_pylist()]
        return np.array(numbers, np.float64), {}
    if not column.null_count and (pa.types.is_integer(kind) or pa.types.is_boolean(kind)):
        return column.to_numpy(zero_copy_only=False), {}
    values = column.to_pylist()
    if spec.datatype is None or spec.datatype == "BYTES":
        return [_as_text(value) for value in values], {}
    failed: dict[int, str] = {}
    for place, value in enumerate(values):
        try:
            values[place] = _whole_number(name, value, spec.datatype)
        except InvalidInput as error:
            failed[place] = str(error)
    return values, failed


def _as_text(value: Any) -> Any:
    return value.isoformat() if isinstance(value, date | time) else str(value) if isinstance(value, Decimal) else value


def _whole_number(column: str, value: Any, datatype: str) -> Any:
    """Return what is no float as it is, and a whole float as an integer. Raises MissingCell or UnfitCell."""
    if value is None:
        raise MissingCell(column, datatype)
    if isinstance(value, float | Decimal) and not is_float(datatype):
        if value % 1 != 0 or datatype == "BOOL":  # NaN and infinity too
            raise UnfitCell(column, str(value), datatype)
        return int(value)
    if isinstance(value, str | bytes | date | time):
        raise UnfitCell(column, str(value), datatype)
    return value


class ParquetSink:
    """A Parquet file of answers. Until it is complete its rows stand in an Arrow file beside it, which can grow."""

    def __init__(self, path: Path, at: int) -> None:
        try:
            import pyarrow as pa  # here, because the extra may be missing
        except ImportError:
            raise ExtraMissing from None
        self._arrow = pa
        self._path = path
        self._working = arrow_of(path)
        self._file = working_file(self._working, at)
        self._at = at
        self._complete = False

    def write(self, answers: Answers) -> int:
        """Write the rows as a stream of Arrow of its own; a row that failed has nulls."""
        names = dict.fromkeys(name for _, result in answers.parts for name in result)
        columns = {name: self._column(name, answers) for name in names}
        table = self._arrow.table(columns or {_NO_COLUMNS: self._arrow.nulls(answers.rows)})
        stream = io.BytesIO()
        with self._arrow.ipc.new_stream(stream, table.schema) as writer:
            writer.write_table(table)
        self._at += write_whole(self._file, stream.getvalue())
        return self._at

    def finish(self) -> None:
        """Write the Parquet file from all streams."""
        import pyarrow.parquet as pq

        part = self._path.with_name(f"{self._path.name}.part")
        schemas = [self._arrow.schema([])]
        for table in self._tables():
            if table.schema != schemas[-1]:
                schemas.append(table.schema)
        schema = self._arrow.unify_schemas(schemas, promote_options="permissive")
        if _NO_COLUMNS in schema.names:
            schema = schema.remove(schema.get_field_index(_NO_COLUMNS))
            schema = schema if len(schema) else self._arrow.schema([("failed", self._arrow.null())])
        waiting: list[Any] = []
        with pq.ParquetWriter(part, schema) as writer:
            for table in self._tables():
                waiting.append(self._fitted(table, schema))
                if sum(each.num_rows for each in waiting) >= _ROWS_OF_GROUP:
                    writer.write_table(self._arrow.concat_tables(waiting))
                    waiting = []
            if waiting:
                writer.write_table(self._arrow.concat_tables(waiting))
        part.replace(self._path)
        self._complete = True

    def close(self) -> None:
        """Close the file of rows, and remove it where the Parquet file is there."""
        self._file.close()
        if self._complete:
            self._working.unlink(missing_ok=True)

    def _column(self, name: str, answers: Answers) -> Any:
        """Return an output as an Arrow column with a value for each row of the batch."""
        places: list[int | None] = [None] * answers.rows
        parts, before = [], 0
        for numbers, result in answers.parts:
            if name in result:
                parts.append(self._values(result, name, len(numbers)))
                for place, number in enumerate(numbers, before):
                    if number not in answers.failed:
                        places[number - answers.first] = place
                before += len(numbers)
        whole = parts[0] if len({part.type for part in parts}) == 1 else None
        if whole is None:  # parts of several types, whose values Arrow finds one for
            whole = self._arrow.array([value for part in parts for value in part.to_pylist()])
        elif len(parts) > 1:
            whole = self._arrow.concat_arrays(parts)
        return whole.take(self._arrow.array(places, self._arrow.int64()))

    def _values(self, result: Result, name: str, rows: int) -> Any:
        """Return the rows of an output as an Arrow array: numbers in their own type, others by their values."""
        tensor = result.tensor(name)
        array = rows_of(numbers_of(tensor), rows)
        if array.dtype.hasobject or tensor.parameters.get("content_type") not in (None, "np"):
            return self._arrow.array(values_of(result, name, rows))
        return self._nested(array)

    def _nested(self, array: Array) -> Any:
        if array.ndim == 1:
            return self._arrow.array(array)
        rows, width = array.shape[:2]
        offsets = self._arrow.array(np.arange(rows + 1, dtype=np.int32) * width)
        return self._arrow.ListArray.from_arrays(offsets, self._nested(array.reshape(rows * width, *array.shape[2:])))

    def _tables(self) -> Iterator[Any]:
        """Yield the rows of each batch."""
        with self._arrow.OSFile(str(self._working), "rb") as file:
            while file.tell() < file.size():
                yield self._arrow.ipc.open_stream(file).read_all()

    def _fitted(self, table: Any, schema: Any) -> Any:
        columns = [
            table[field.name].cast(field.type)
            if field.name in table.column_names
            else self._arrow.nulls(table.num_rows, field.type)
            for field in schema
        ]
        return self._arrow.table(columns, schema=schema)

"""Sinks: files of answers. Row i of an output answers row i of the input; a row that failed is empty there."""

from __future__ import annotations

import csv
import io
import os
import sys
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Protocol

import numpy as np
import orjson

from srv.client import Result
from srv.codecs import is_binary
from srv_infer.errors import ExtraMissing, NoPlaceForFailed, NoText, UnfitAnswer


class Answers:
    """The answers of a batch in the order of its rows: a result for parts of them, and reasons for rows that failed."""

    def __init__(self, first: int, rows: int) -> None:
        self.first = first
        self.rows = rows
        self.parts: list[tuple[Sequence[int], Result]] = []
        self.failed: dict[int, str] = {}

    def add(self, numbers: Sequence[int], result: Result) -> None:
        """Add the result for rows. Raises UnfitAnswer where an output has not a row for each."""
        for name, array in result.items():
            rows = len(array) if array.ndim else 0
            if rows != len(numbers) and len(numbers) != 1:
                raise UnfitAnswer(name, len(numbers), rows)
        self.parts.append((numbers, result))

    def by_row(self) -> list[dict[str, Any] | None]:
        """Return the outputs of each row as Python values; None for a row that failed."""
        rows: list[dict[str, Any] | None] = [None] * self.rows
        for numbers, result in self.parts:
            columns = {name: values_of(result, name, len(numbers)) for name in result}
            for place, number in enumerate(numbers):
                rows[number - self.first] = {name: values[place] for name, values in columns.items()}
        return rows


def values_of(result: Result, name: str, rows: int) -> list[Any]:
    """Return a value for each row of an output: text where it holds bytes, and base64 where its content type is of bytes.

    Raises NoText for bytes that are neither.
    """
    decoded = result.decode(name)
    values = decoded.tolist() if isinstance(decoded, np.ndarray) else decoded
    if not isinstance(values, list):
        values = [values]
    if len(values) != rows:  # the whole answer to a single row
        values = [values]
    if result.tensor(name).datatype != "BYTES":
        return values
    content_type = result.tensor(name).parameters.get("content_type")
    as_text = _as_base64 if content_type == "base64" or is_binary(content_type) else bytes.decode
    try:
        return [_with_texts(value, as_text) for value in values]
    except UnicodeDecodeError:
        raise NoText(name) from None


def _with_texts(value: Any, as_text: Callable[[bytes], str]) -> Any:
    if isinstance(value, bytes):
        return as_text(value)
    return [_with_texts(each, as_text) for each in value] if isinstance(value, list) else value


def _as_base64(value: bytes) -> str:
    return b64encode(value).decode()


class Sink(Protocol):
    """A file of answers that grows by batches."""

    def write(self, answers: Answers) -> int:
        """Write the answers of a batch; return how long the file is then."""

    def finish(self) -> None:
        """Complete the file."""

    def close(self) -> None:
        """Close the file as it is."""


def opened(name: str, form: str, at: int) -> Sink:
    """Return the sink of a file, `-` for standard output, which goes on behind so many bytes."""
    if form == "parquet":
        return ParquetSink(Path(name), at)
    file = sys.stdout.buffer if name == "-" else working_file(Path(name), at)
    if form == "npy":
        return NpySink(file, at)
    return CsvSink(file, at) if form == "csv" else JsonSink(file, at)


def working_file(path: Path, at: int) -> IO[bytes]:
    """Open a file for writing behind its first bytes; what stands behind these is cut off."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    file = os.fdopen(descriptor, "r+b", buffering=0)
    file.truncate(at)
    file.seek(at)
    return file


class JsonSink:
    """JSON lines: an object with the outputs of a row in each, null for one that failed."""

    def __init__(self, file: IO[bytes], at: int) -> None:
        self._file = file
        self._at = at

    def write(self, answers: Answers) -> int:
        """Write a line for each row."""
        data = b"".join(orjson.dumps(row, default=str) + b"\n" for row in answers.by_row())
        self._at += write_whole(self._file, data)
        return self._at

    def finish(self) -> None:
        """Complete the file, which it is after each batch."""
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class CsvSink:
    """CSV: a column for each output, or for each place of its rows; cells of a row that failed are empty."""

    def __init__(self, file: IO[bytes], at: int) -> None:
        self._file = file
        self._at = at
        self._columns: list[str] | None = None
        if at:
            file.seek(0)
            head = io.TextIOWrapper(io.BytesIO(file.read(at)), encoding="utf-8", newline="")
            self._columns = next(csv.reader(head), None)
        self._waiting = 0

    def write(self, answers: Answers) -> int:
        """Write a line for each row; the head comes with the first row that has an answer."""
        rows = [None if row is None else _flat(row) for row in answers.by_row()]
        text = io.StringIO(newline="")
        writer = csv.writer(text, lineterminator="\n")
        if self._columns is None:
            answered = next((row for row in rows if row is not None), None)
            if answered is None:
                self._waiting += len(rows)
                return self._at
            self._columns = list(answered)
            writer.writerow(self._columns)
        for _ in range(self._waiting):
            writer.writerow([""] * len(self._columns))
        self._waiting = 0
        writer.writerows([[""] * len(self._columns) if row is None else [*row.values()] for row in rows])
        self._at += write_whole(self._file, text.getvalue().encode())
        return self._at

    def finish(self) -> None:
        """Complete the file."""
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _flat(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row with a cell for each number of a flat list, and JSON for what is nested deeper."""
    cells: dict[str, Any] = {}
    for name, value in row.items():
        if isinstance(value, list) and len(value) == 1:
            cells[name] = _cell(value[0])
        elif isinstance(value, list):
            cells.update({f"{name}_{place}": _cell(each) for place, each in enumerate(value)})
        else:
            cells[name] = _cell(value)
    return cells


def _cell(value: Any) -> Any:
    if isinstance(value, list | dict):
        return orjson.dumps(value, default=str).decode()
    return "" if value is None or value != value else value


class NpySink:
    """A .npy file of the only output, or of the first one; its head is written anew as it grows."""

    #: As numpy leaves room in a head for the number of rows to grow.
    _HEAD = 128

    def __init__(self, file: IO[bytes], at: int) -> None:
        self._file = file
        self._at = at
        self._dtype: np.dtype[Any] | None = None
        self._shape: tuple[int, ...] = ()
        self._rows = 0
        if at:
            self._read_head()

    def write(self, answers: Answers) -> int:
        """Write the rows' values; NaN for one that failed. Raises NoPlaceForFailed where these are no floats."""
        if answers.parts and self._dtype is None:
            array = _first(answers.parts[0][1])
            self._dtype, self._shape = array.dtype, array.shape[1:]
        if self._dtype is None or (answers.failed and self._dtype.kind != "f"):
            number, why = next(iter(answers.failed.items()))
            raise NoPlaceForFailed(number, why)
        rows = np.full((answers.rows, *self._shape), np.nan if self._dtype.kind == "f" else 0, self._dtype)
        for numbers, result in answers.parts:
            rows[np.asarray(numbers) - answers.first] = _first(result)
        if not self._at:
            self._at = write_whole(self._file, self._head())
        self._at += write_whole(self._file, rows.tobytes())
        self._rows += answers.rows
        return self._at

    def finish(self) -> None:
        """Write the head with the number of rows."""
        if self._dtype is None:
            self._dtype = np.dtype(np.float64)
        if self._file.seekable():
            self._file.seek(0)
            self._file.write(self._head())
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _head(self) -> bytes:
        head = io.BytesIO()
        described = np.lib.format.header_data_from_array_1_0(np.empty((0, *self._shape), self._dtype))
        np.lib.format.write_array_header_1_0(head, {**described, "shape": (self._rows, *self._shape)})
        return head.getvalue()

    def _read_head(self) -> None:
        self._file.seek(0)
        np.lib.format.read_magic(self._file)
        (_, *shape), _, self._dtype = np.lib.format.read_array_header_1_0(self._file)
        self._shape = tuple(shape)
        row = self._dtype.itemsize * int(np.prod(self._shape))
        self._rows = (self._at - self._file.tell()) // row if row else 0
        self._file.seek(self._at)


def _first(result: Result) -> np.ndarray[Any, Any]:
    return result[next(iter(result))]


class ParquetSink:
    """A Parquet file, by pyarrow. Until it is complete its rows stand in an Arrow file beside it, which can grow."""

    def __init__(self, path: Path, at: int) -> None:
        try:
            import pyarrow as pa  # here, because other formats need none of it
        except ImportError:
            raise ExtraMissing from None
        self._arrow = pa
        self._path = path
        self._working = path.with_name(f"{path.name}.arrow")
        self._file = working_file(self._working, at)
        self._at = at

    def write(self, answers: Answers) -> int:
        """Write the rows as a stream of Arrow of its own; a row that failed has nulls."""
        rows = answers.by_row()
        names = dict.fromkeys(name for row in rows if row is not None for name in row)
        columns = {name: [None if row is None else row.get(name) for row in rows] for name in names}
        table = self._arrow.table(columns or {"failed": [True] * len(rows)})
        stream = io.BytesIO()
        with self._arrow.ipc.new_stream(stream, table.schema) as writer:
            writer.write_table(table)
        self._at += write_whole(self._file, stream.getvalue())
        return self._at

    def finish(self) -> None:
        """Write the Parquet file from all streams, and remove the file beside it."""
        import pyarrow.parquet as pq

        self._file.close()
        part = self._path.with_name(f"{self._path.name}.part")
        schemas = [table.schema for table in self._tables()] or [self._arrow.schema([])]
        schema = self._arrow.unify_schemas(schemas, promote_options="permissive")
        with pq.ParquetWriter(part, schema) as writer:
            for table in self._tables():
                writer.write_table(self._fitted(table, schema))
        part.replace(self._path)
        self._working.unlink()

    def close(self) -> None:
        """Close the file of rows."""
        self._file.close()

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


def write_whole(file: IO[bytes], data: bytes) -> int:
    """Write all bytes, which an unbuffered file may take in several parts; return how many they are."""
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]
    return len(data)

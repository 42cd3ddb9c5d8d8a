"""Sinks: files of answers. Row i of an output answers row i of the input; a row that failed is empty there."""

from __future__ import annotations

import csv
import io
import shutil
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any, Protocol

import numpy as np
import orjson

from srv.client import Result
from srv.errors import listed, quoted
from srv_infer.answers import Answers, Array, numbers_of, rows_of, values_of
from srv_infer.errors import NoPlaceForFailed, NotOneArray
from srv_infer.files import standard_output, working_file, write_whole


class Sink(Protocol):
    """A file of answers that grows by batches. Rows whose answers it cannot hold fail, in the answers themselves."""

    def write(self, answers: Answers) -> int:
        """Write the answers of a batch; return how long the file is then."""

    def finish(self) -> None:
        """Complete the file."""

    def close(self) -> None:
        """Close the file; as it is where it is not complete."""


def opened(name: str, form: str, at: int, *, rows: int = 0, delimiter: str = ",") -> Sink:
    """Return the sink of a file, `-` for standard output, which goes on behind so many bytes and rows."""
    if form in ("npy", "parquet"):
        kind = NpySink if form == "npy" else _parquet_sink
        return WholeAtItsEnd(kind) if name == "-" else kind(Path(name), at)
    file = standard_output() if name == "-" else working_file(Path(name), at)
    return CsvSink(file, at, rows=rows, delimiter=delimiter) if form == "csv" else JsonSink(file, at)


def _parquet_sink(path: Path, at: int) -> Sink:
    from srv_infer.parquet import ParquetSink  # here, because it imports pyarrow, and other formats need none of it

    return ParquetSink(path, at)


class WholeAtItsEnd:
    """Standard output in a format whose beginning tells of its end: a temporary file until all rows are there."""

    def __init__(self, kind: Callable[[Path, int], Sink]) -> None:
        self._folder = TemporaryDirectory(prefix="srv-infer-")
        self._path = Path(self._folder.name) / "output"
        self._sink = kind(self._path, 0)

    def write(self, answers: Answers) -> int:
        """Write the answers of a batch."""
        return self._sink.write(answers)

    def finish(self) -> None:
        """Complete the file and print it."""
        self._sink.finish()
        with self._path.open("rb") as file, standard_output() as output:
            shutil.copyfileobj(file, output)

    def close(self) -> None:
        """Remove the file."""
        self._sink.close()
        self._folder.cleanup()


class JsonSink:
    """JSON lines: an object with the outputs of a row in each, null for one that failed."""

    def __init__(self, file: IO[bytes], at: int) -> None:
        self._file = file
        self._at = at

    def write(self, answers: Answers) -> int:
        """Write a line for each row. NaN is null; a row with infinity fails, because JSON cannot say it."""
        for numbers, result in answers.parts:
            for name in result:
                rows = _infinite_rows(result, name, len(numbers))
                why = f"The output {quoted(name)} holds infinity, which JSON cannot say; write CSV, .npy or Parquet."
                answers.fail((numbers[place] for place in rows), why)
        data = b"".join(orjson.dumps(row, default=str) + b"\n" for row in answers.by_row())
        self._at += write_whole(self._file, data)
        return self._at

    def finish(self) -> None:
        """Do nothing: the file is complete after each batch."""

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _infinite_rows(result: Result, name: str, rows: int) -> list[int]:
    array = rows_of(numbers_of(result.tensor(name)), rows)
    if array.dtype.kind != "f" or not np.isinf(array).any():
        return []
    found: list[int] = np.flatnonzero(np.isinf(array.reshape(rows, -1)).any(axis=1)).tolist()
    return found


class CsvSink:
    """CSV: a column for each output, or for each place of its rows; cells of a row that failed are empty."""

    def __init__(self, file: IO[bytes], at: int, *, rows: int = 0, delimiter: str = ",") -> None:
        self._file = file
        self._at = at
        self._delimiter = delimiter
        #: Rows that failed before the head was known.
        self._waiting = 0 if at else rows
        self._columns: list[str] | None = None
        if at:
            file.seek(0)
            # Not closed, because it would close the file as well; and not read beyond the head but for a buffer.
            head = io.TextIOWrapper(io.BufferedReader(file), encoding="utf-8", newline="")  # type: ignore[type-var]
            self._columns = next(csv.reader(head, delimiter=delimiter), None)
            head.detach().detach()
            file.seek(at)

    def write(self, answers: Answers) -> int:
        """Write a line for each row; the head comes with the first row that has an answer."""
        text = io.StringIO(newline="")
        writer = csv.writer(text, lineterminator="\n", delimiter=self._delimiter)
        plain = _plain_columns(answers)
        if self._columns is None and plain is not None:
            self._columns = [*plain]
            writer.writerow(self._columns)
        if plain is None or [*plain] != self._columns:
            self._write_each(answers, writer)
        else:
            writer.writerows([[""] * len(plain)] * self._waiting)
            self._waiting = 0
            writer.writerows(zip(*plain.values(), strict=True))
        self._at += write_whole(self._file, text.getvalue().encode())
        return self._at

    def _write_each(self, answers: Answers, writer: Any) -> None:
        """Write row by row, where some failed, or where they are not all of one width."""
        rows = [None if row is None else _flat(row) for row in answers.by_row()]
        if self._columns is None:
            answered = next((row for row in rows if row is not None), None)
            if answered is None:
                self._waiting += len(rows)
                return
            self._columns = list(answered)
            writer.writerow(self._columns)
        empty = [""] * len(self._columns)
        writer.writerows([empty] * self._waiting)
        self._waiting = 0
        for number, row in enumerate(rows, answers.first):
            if row is not None and row.keys() != dict.fromkeys(self._columns).keys():
                answers.fail([number], self._unfit(row))
                row = None
            writer.writerow(empty if row is None else [row[column] for column in self._columns])

    def finish(self) -> None:
        """Write empty lines where no row has an answer."""
        if self._waiting:
            self._at += write_whole(self._file, b'""\n' * self._waiting)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _unfit(self, row: Mapping[str, Any]) -> str:
        return (
            f"The answer has {len(row)} columns, not the {len(self._columns or ())} of the first one; write JSON lines."
        )


def _plain_columns(answers: Answers) -> dict[str, Sequence[Any]] | None:
    """Return the cells of all rows column by column, much faster than one by one; None where they are no plain table."""
    if answers.failed or len(answers.parts) != 1:
        return None
    [(numbers, result)] = answers.parts
    columns: dict[str, Sequence[Any]] = {}
    for name in result:
        tensor = result.tensor(name)
        array = rows_of(numbers_of(tensor), len(numbers))
        values = values_of(result, name, len(numbers))
        is_number = array.dtype.kind in "biuf" and tensor.parameters.get("content_type") in (None, "np")
        if array.dtype.kind == "f" and np.isnan(array).any():
            values = _with_empty(values)
        if array.ndim == 1 and (is_number or all(type(value) is str for value in values)):
            columns[name] = values
        elif array.ndim == 2 and is_number and array.shape[1] > 0:
            names = [name] if array.shape[1] == 1 else [f"{name}_{place}" for place in range(array.shape[1])]
            columns.update(zip(names, zip(*values, strict=True), strict=True))
        else:
            return None
    return columns or None


def _with_empty(values: list[Any]) -> list[Any]:
    """Return values with an empty text for NaN."""
    return [_with_empty(each) if isinstance(each, list) else "" if each != each else each for each in values]


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
    if isinstance(value, date):
        return value.isoformat()
    return "" if value is None or value != value else value


class NpySink:
    """A .npy file of the only output; its head is written anew as it grows."""

    def __init__(self, path: Path, at: int) -> None:
        self._file = working_file(path, at)
        self._at = at
        self._dtype: np.dtype[Any] | None = None
        self._shape: tuple[int, ...] = ()
        self._rows = 0
        if at:
            self._read_head()

    def write(self, answers: Answers) -> int:
        """Write the rows' values; NaN for one that failed.

        Raises NoPlaceForFailed where these are no floats, and NotOneArray for several outputs, texts or other shapes.
        """
        parts = [(numbers, _only(result, len(numbers))) for numbers, result in answers.parts]
        if parts and self._dtype is None:
            array = parts[0][1]
            self._dtype, self._shape = array.dtype, array.shape[1:]
        if self._dtype is None or (answers.failed and self._dtype.kind != "f"):
            raise NoPlaceForFailed(min(answers.failed), answers.first_reason)
        rows = np.full((answers.rows, *self._shape), np.nan if self._dtype.kind == "f" else 0, self._dtype)
        for numbers, array in parts:
            if (array.dtype, array.shape[1:]) != (self._dtype, self._shape):
                said = f"{array.dtype}{list(array.shape[1:])} after {self._dtype}{list(self._shape)}"
                raise NotOneArray(f"row {numbers[0]} was answered with {said}")
            rows[np.asarray(numbers) - answers.first] = array
        if not self._at:
            self._at = write_whole(self._file, self._head())
        self._at += write_whole(self._file, rows.tobytes())
        self._rows += answers.rows
        return self._at

    def finish(self) -> None:
        """Write the head with the number of rows."""
        if self._dtype is None:
            self._dtype = np.dtype(np.float64)
        self._file.seek(0)
        write_whole(self._file, self._head())

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


def _only(result: Result, rows: int) -> Array:
    """Return the rows of the only output, which are numbers. Raises NotOneArray."""
    if len(result) != 1:
        raise NotOneArray(f"the model gives {listed(map(quoted, result)) or 'none'}")
    [name] = result
    array = numbers_of(result.tensor(name))
    if array.dtype.hasobject:
        raise NotOneArray(f"{quoted(name)} is no numbers but {result.tensor(name).datatype}")
    return rows_of(array, rows)

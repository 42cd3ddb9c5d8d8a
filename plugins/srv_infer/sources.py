"""Sources: files of rows, read in batches and never as a whole."""

from __future__ import annotations

import csv
import io
import itertools
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any, Protocol

import numpy as np
import orjson

from srv.errors import InvalidInput, quoted
from srv.messages import ModelMetadata
from srv_infer.errors import ExtraMissing, UnclearInputs, UnknownFormat, UnreadableInput
from srv_infer.rows import Batch, Layout, WrongNumberOfCells, layout_of, reader_of

FORMATS = ("csv", "jsonl", "npy", "parquet")
_ENDINGS = {
    ".csv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".npy": "npy",
    ".parquet": "parquet",
    ".pq": "parquet",
}


class Source(Protocol):
    """A file of rows."""

    #: Columns of the file that no input takes.
    ignored: list[str]

    def batches(self, size: int, *, skip: int) -> Iterator[Batch]:
        """Yield the rows after the first `skip` ones, so many at once."""

    def done(self) -> float | None:
        """Return which part of the file is read, from 0 to 1; None where that is not known."""

    def close(self) -> None:
        """Close the file."""


def format_of(name: str, said: str | None) -> str:
    """Return the format that was said, or that a file's ending says. Raises UnknownFormat."""
    found = said or _ENDINGS.get(Path(name).suffix.lower())
    if found is None:
        raise UnknownFormat("standard input or output" if name == "-" else name, FORMATS)
    return found


def opened(name: str, form: str, metadata: ModelMetadata, renamed: Mapping[str, str]) -> Source:
    """Return the source of a file, `-` for standard input. Raises UnreadableInput and what a format raises."""
    try:
        if form == "npy":
            return NpySource(name, metadata)
        if form == "parquet":
            return ParquetSource(name, metadata, renamed)
        file = sys.stdin.buffer if name == "-" else Path(name).open("rb")  # noqa: SIM115 - its source closes it
        size = None if name == "-" else Path(name).stat().st_size
        lines = _Counted(file, size)
        return CsvSource(name, lines, metadata, renamed) if form == "csv" else JsonSource(name, lines, metadata)
    except OSError as error:
        raise UnreadableInput(name, error.strerror or type(error).__name__) from None


class _Counted:
    """The lines of a file, and how much of it they are."""

    def __init__(self, file: IO[bytes], size: int | None) -> None:
        self.file = file
        self._size = size
        self._read = 0

    def __iter__(self) -> Iterator[bytes]:
        for line in self.file:
            self._read += len(line)
            yield line

    def done(self) -> float | None:
        """Return the part of the bytes that is read."""
        return None if not self._size else self._read / self._size


class CsvSource:
    """A table as CSV with a head, in UTF-8; cells become what the model's inputs declare."""

    def __init__(self, name: str, lines: _Counted, metadata: ModelMetadata, renamed: Mapping[str, str]) -> None:
        self._name = name
        self._lines = lines
        self._rows = csv.reader(self._texts(), strict=True)
        try:
            head = next(self._rows, [])
        except csv.Error as error:
            raise UnreadableInput(name, str(error)) from None
        if head:
            head[0] = head[0].removeprefix("\ufeff")
        self._layout: Layout = layout_of(head, metadata, renamed)
        self.ignored = self._layout.ignored
        self._readers = [reader_of(*pair) for pair in zip(head, self._layout.specs, strict=True)]

    def batches(self, size: int, *, skip: int) -> Iterator[Batch]:
        """Yield the rows; one that cannot be read fails alone."""
        try:
            rows = itertools.islice(self._rows, skip, None)
            for first in itertools.count(skip, size):
                taken = [*itertools.islice(rows, size)]
                if not taken:
                    return
                yield self._batch(first, taken)
        except (csv.Error, UnicodeDecodeError) as error:
            raise UnreadableInput(self._name, f"line {self._rows.line_num}: {error}") from None

    def done(self) -> float | None:
        """Return which part of the file is read."""
        return self._lines.done()

    def close(self) -> None:
        """Close the file."""
        self._lines.file.close()

    def _texts(self) -> Iterator[str]:
        return (line.decode() for line in self._lines)

    def _batch(self, first: int, rows: list[list[str]]) -> Batch:
        typed: list[list[Any]] = []
        failed: dict[int, str] = {}
        for number, row in enumerate(rows, first):
            try:
                if len(row) != len(self._readers):
                    raise WrongNumberOfCells(len(row), len(self._readers))
                typed.append([read(cell) for read, cell in zip(self._readers, row, strict=True)])
            except InvalidInput as error:
                failed[number] = str(error)
        return Batch(first, len(rows), self._layout.values(typed), failed)


class JsonSource:
    """JSON lines: in each an object with a value for each input, or the value of the only input."""

    def __init__(self, name: str, lines: _Counted, metadata: ModelMetadata) -> None:
        self._name = name
        self._lines = lines
        self._names = [spec.name for spec in metadata.inputs]
        self.ignored: list[str] = []

    def batches(self, size: int, *, skip: int) -> Iterator[Batch]:
        """Yield the rows; a line that is no JSON fails alone, and a key that it lacks is a missing value."""
        lines = itertools.islice((line for line in self._lines if line.strip()), skip, None)
        for first in itertools.count(skip, size):
            taken = [*itertools.islice(lines, size)]
            if not taken:
                return
            yield self._batch(first, taken)

    def done(self) -> float | None:
        """Return which part of the file is read."""
        return self._lines.done()

    def close(self) -> None:
        """Close the file."""
        self._lines.file.close()

    def _batch(self, first: int, lines: list[bytes]) -> Batch:
        rows: list[dict[str, Any]] = []
        failed: dict[int, str] = {}
        for number, line in enumerate(lines, first):
            try:
                rows.append(self._row(line))
            except InvalidInput as error:
                failed[number] = str(error)
        names = dict.fromkeys(name for row in rows for name in row)
        return Batch(first, len(lines), {name: [row.get(name) for row in rows] for name in names}, failed)

    def _row(self, line: bytes) -> dict[str, Any]:
        try:
            value = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            raise InvalidInput(f"The line is no JSON: {error}.") from None
        if isinstance(value, dict):
            return value
        if len(self._names) != 1:
            raise UnclearInputs("A line is no object, and the model has not exactly one input.")
        return {self._names[0]: value}


class NpySource:
    """An array in a .npy file, whose first dimension are the rows of the only input. It is mapped, not read."""

    def __init__(self, name: str, metadata: ModelMetadata) -> None:
        self.ignored: list[str] = []
        if len(metadata.inputs) != 1:
            raise UnclearInputs(
                f"A .npy file is one input, and the model {quoted(metadata.name)} has {len(metadata.inputs)}."
            )
        self._input = metadata.inputs[0].name
        try:
            whole = io.BytesIO(sys.stdin.buffer.read()) if name == "-" else None
            self._array: np.ndarray[Any, Any] = (
                np.load(name, mmap_mode="r", allow_pickle=False)
                if whole is None
                else np.load(whole, allow_pickle=False)
            )
        except ValueError as error:
            raise UnreadableInput(name, str(error)) from None
        if self._array.ndim == 0:
            raise UnreadableInput(name, "it has no rows")
        self._read = 0

    def batches(self, size: int, *, skip: int) -> Iterator[Batch]:
        """Yield slices of the array."""
        for first in range(skip, len(self._array), size):
            part = np.ascontiguousarray(self._array[first : first + size])
            self._read = first + len(part)
            yield Batch(first, len(part), {self._input: part})

    def done(self) -> float | None:
        """Return which part of the rows is read."""
        return self._read / len(self._array) if len(self._array) else None

    def close(self) -> None:
        """Let the file go."""
        del self._array


class ParquetSource:
    """A Parquet file, by pyarrow."""

    def __init__(self, name: str, metadata: ModelMetadata, renamed: Mapping[str, str]) -> None:
        try:
            import pyarrow as pa  # here, because other formats need none of it
            import pyarrow.parquet as pq
        except ImportError:
            raise ExtraMissing from None
        try:
            self._file = pq.ParquetFile(io.BytesIO(sys.stdin.buffer.read()) if name == "-" else name)
        except pa.ArrowInvalid as error:
            raise UnreadableInput(name, str(error).rstrip(".")) from None
        self._layout = layout_of(self._file.schema_arrow.names, metadata, renamed)
        self.ignored = self._layout.ignored
        self._read = 0

    def batches(self, size: int, *, skip: int) -> Iterator[Batch]:
        """Yield the rows, in batches that a row group may cut short."""
        first = 0
        for part in self._file.iter_batches(batch_size=size):
            rows = part.num_rows
            kept = part.slice(max(0, skip - first))
            at, first = first + rows - kept.num_rows, first + rows
            self._read = first
            if kept.num_rows:
                yield Batch(at, kept.num_rows, self._values(kept))

    def done(self) -> float | None:
        """Return which part of the rows is read."""
        rows = self._file.metadata.num_rows
        return self._read / rows if rows else None

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _values(self, part: Any) -> dict[str, Any]:
        columns = [_values_of(column) for column in part.columns]
        if self._layout.matrix is not None:
            return {self._layout.matrix: np.column_stack(columns)}
        pairs = zip(self._layout.specs, columns, strict=True)
        return {spec.name: column for spec, column in pairs if spec is not None}


def _values_of(column: Any) -> Any:
    """Return the values of an Arrow column: an array of numbers without nulls, else a list."""
    import pyarrow as pa

    is_plain = not column.null_count and (pa.types.is_integer(column.type) or pa.types.is_floating(column.type))
    return column.to_numpy(zero_copy_only=False) if is_plain else column.to_pylist()

"""Sources: files of rows, read in batches and never as a whole."""

from __future__ import annotations

import csv
import io
import itertools
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any, Protocol

import numpy as np
import orjson

from srv.errors import InvalidInput, listed, quoted
from srv.messages import ModelMetadata
from srv_infer.errors import UnclearInputs, UnknownFormat, UnreadableInput, WhichDelimiter
from srv_infer.rows import (
    ABSENT,
    Batch,
    Layout,
    WrongNumberOfCells,
    check_mapping,
    is_float,
    layout_of,
    read_column,
    reader_of,
)

FORMATS = ("csv", "jsonl", "npy", "parquet")
_ENDINGS = {
    ".csv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".npy": "npy",
    ".parquet": "parquet",
    ".pq": "parquet",
}
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
#: What other CSV files have in a comma's place.
_DELIMITERS = ";\t|"
#: A cell of more is a quote that is left open, which would read the whole file.
_LONGEST_CELL = 1 << 26
_ZIP = b"PK"
_NOT_UTF8 = "it is not text in UTF-8"


class Source(Protocol):
    """A file of rows."""

    #: Columns of the file that no input takes; of JSON lines, keys that were seen so far.
    ignored: list[str]

    def batches(self, size: int, *, skip: int) -> Iterator[Batch]:
        """Yield the rows after the first `skip` ones, so many at once."""

    def done(self) -> float | None:
        """Return which part of the file is read, from 0 to 1; None where that is not known."""

    def close(self) -> None:
        """Close the file."""


def format_of(name: str, said: str | None, *, flag: str) -> str:
    """Return the format that was said, or that a file's ending says. Raises UnknownFormat, which names the flag."""
    found = said or _ENDINGS.get(Path(name).suffix.lower())
    if found is None:
        place = "standard input" if flag == "--from" else "standard output"
        raise UnknownFormat(place if name == "-" else name, flag, FORMATS)
    return found


def opened(
    name: str, form: str, metadata: ModelMetadata, renamed: Mapping[str, str], *, delimiter: str | None = None
) -> Source:
    """Return the source of a file, `-` for standard input. Raises UnreadableInput and what a format raises."""
    try:
        if form == "npy":
            return NpySource(name, metadata)
        if form == "parquet":
            from srv_infer.parquet import ParquetSource  # here, because it imports pyarrow

            return ParquetSource(name, metadata, renamed)
        file = sys.stdin.buffer if name == "-" else Path(name).open("rb")  # noqa: SIM115 - its source closes it
        with ExitStack() as refused:
            refused.callback(file.close)
            lines = _Counted(file, None if name == "-" else Path(name).stat().st_size)
            source: Source = (
                CsvSource(name, lines, metadata, renamed, delimiter=delimiter)
                if form == "csv"
                else JsonSource(lines, metadata, renamed)
            )
            refused.pop_all()
        return source
    except OSError as error:
        raise UnreadableInput(name, error.strerror or type(error).__name__) from None


class _Counted:
    """The lines of a file without a byte order mark, and how much of it they are."""

    def __init__(self, file: IO[bytes], size: int | None) -> None:
        self.file = file
        self._size = size
        self._read = 0

    def __iter__(self) -> Iterator[bytes]:
        for line in self.file:
            text = line if self._read else line.removeprefix(_BYTE_ORDER_MARK)
            self._read += len(line)
            yield text

    def done(self) -> float | None:
        """Return the part of the bytes that is read."""
        return None if not self._size else self._read / self._size


class CsvSource:
    """A table as CSV with a head, in UTF-8; cells become what the model's inputs declare.

    Lines without anything are left out, but for a table of one column, whose cell is empty there.
    """

    def __init__(
        self,
        name: str,
        lines: _Counted,
        metadata: ModelMetadata,
        renamed: Mapping[str, str],
        *,
        delimiter: str | None = None,
    ) -> None:
        csv.field_size_limit(_LONGEST_CELL)
        self._name = name
        self._lines = lines
        self._undecoded = False
        self._rows = csv.reader(self._texts(), strict=True, delimiter=delimiter or ",")
        try:
            head = next(self._rows, [])
        except csv.Error as error:
            raise UnreadableInput(name, _NOT_UTF8 if self._undecoded else _without_advice(error)) from None
        if self._undecoded:
            raise UnreadableInput(name, _NOT_UTF8)
        if delimiter is None and len(head) == 1 and (found := [each for each in _DELIMITERS if each in head[0]]):
            raise WhichDelimiter(name, found[0])
        self._layout: Layout = layout_of(head, metadata, renamed)
        self.ignored = self._layout.ignored
        self._readers = [reader_of(*pair) for pair in zip(head, self._layout.specs, strict=True)]

    def batches(self, size: int, *, skip: int) -> Iterator[Batch]:
        """Yield the rows; one that cannot be read fails alone."""
        rows = itertools.islice(self._each(), skip, None)
        for first in itertools.count(skip, size):
            taken = [*itertools.islice(rows, size)]
            if not taken:
                return
            yield self._batch(first, taken)

    def done(self) -> float | None:
        """Return which part of the file is read."""
        return self._lines.done()

    def close(self) -> None:
        """Close the file."""
        self._lines.file.close()

    def _texts(self) -> Iterator[str]:
        for line in self._lines:
            try:
                yield line.decode()
            except UnicodeDecodeError:
                self._undecoded = True
                yield line.decode(errors="replace")

    def _each(self) -> Iterator[list[str] | InvalidInput]:
        """Yield each row, or why it is none. Raises UnreadableInput where it is not known at which line the next one begins."""
        rows, only_column = self._rows, len(self._readers) == 1
        while True:
            before = rows.line_num
            try:
                row = next(rows)
            except StopIteration:
                return
            except csv.Error as error:
                if rows.line_num - before != 1 or "unexpected end" in str(error):
                    why = "a cell that begins there with a quote does not end as one"
                    raise UnreadableInput(self._name, f"line {before + 1}: {why} ({error})") from None
                yield InvalidInput(f"The line is no CSV: {_without_advice(error)}.")
                continue
            if self._undecoded:
                self._undecoded = False
                yield InvalidInput("The row is not text in UTF-8.")
            elif row or only_column:
                yield row or [""]

    def _batch(self, first: int, rows: list[list[str] | InvalidInput]) -> Batch:
        values = self._plain(rows)
        if values is not None:
            return Batch(first, len(rows), values)
        typed: list[list[Any]] = []
        failed: dict[int, str] = {}
        for number, row in enumerate(rows, first):
            try:
                if isinstance(row, InvalidInput):
                    raise row
                if len(row) != len(self._readers):
                    raise WrongNumberOfCells(len(row), len(self._readers))
                typed.append([read(cell) for read, cell in zip(self._readers, row, strict=True)])
            except InvalidInput as error:
                failed[number] = str(error)
        return Batch(first, len(rows), self._layout.values(typed), failed)

    def _plain(self, rows: list[list[str] | InvalidInput]) -> dict[str, Any] | None:
        """Return the values of rows by input, column by column; None where a row or a cell needs a closer look."""
        width = len(self._readers)
        cells = [row for row in rows if isinstance(row, list) and len(row) == width]
        if len(cells) != len(rows):
            return None
        try:
            columns = [read_column(*pair) for pair in zip(self._layout.specs, zip(*cells, strict=True), strict=True)]
        except (ValueError, OverflowError):
            return None
        return self._layout.values_of_columns(columns)


def _without_advice(error: csv.Error) -> str:
    """Return what the csv module says, without its advice to whoever has written the program."""
    return str(error).partition(" - do you need")[0]


class JsonSource:
    """JSON lines: in each an object with a value for each input, or the value of the only input."""

    def __init__(self, lines: _Counted, metadata: ModelMetadata, renamed: Mapping[str, str]) -> None:
        self._lines = lines
        self._specs = {spec.name: spec for spec in metadata.inputs}
        if self._specs:
            check_mapping(renamed, self._specs)
        self._renamed = renamed
        #: Inputs whose null is none of their values, and leaves them out.
        self._without_null = {
            name
            for name, spec in self._specs.items()
            if not (is_float(spec.datatype) or spec.datatype in (None, "BYTES"))
        }
        self.ignored: list[str] = []

    def batches(self, size: int, *, skip: int) -> Iterator[Batch]:
        """Yield the rows; a line that is no row fails alone."""
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
        values = {name: [row.get(name, ABSENT) for row in rows] for name in names}
        return Batch(first, len(lines), values, failed, uneven=any(len(row) < len(names) for row in rows))

    def _row(self, line: bytes) -> dict[str, Any]:
        """Return the values of a line by input. Raises InvalidInput."""
        try:
            value = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            raise InvalidInput(f"The line is no JSON: {error}.") from None
        if not self._specs:
            if isinstance(value, dict):
                return value
            raise InvalidInput("The line is no object, and the model does not say which inputs it takes.")
        row = self._by_input(value)
        for name in self._without_null & row.keys():
            if row[name] is None:
                del row[name]
        if not row:
            raise InvalidInput(f"The object has none of the inputs {listed(map(quoted, self._specs))}.")
        return row

    def _by_input(self, value: Any) -> dict[str, Any]:
        if isinstance(value, dict):
            row = {self._renamed.get(key, key): each for key, each in value.items()}
            taken = {key: each for key, each in row.items() if key in self._specs}
            if len(taken) < len(row) and (taken or len(self._specs) > 1):
                self.ignored += [key for key in row if key not in self._specs and key not in self.ignored]
            if taken or not self._takes_objects:
                return taken
        if len(self._specs) != 1:
            raise InvalidInput("The line is no object, and the model has several inputs.")
        return {next(iter(self._specs)): value}

    @property
    def _takes_objects(self) -> bool:
        """Whether an object may be the value of the only input."""
        return len(self._specs) == 1 and next(iter(self._specs.values())).parameters.get("content_type") == "json"


class NpySource:
    """An array in a .npy file, whose first dimension are the rows of the only input. It is mapped, not read."""

    def __init__(self, name: str, metadata: ModelMetadata) -> None:
        self.ignored: list[str] = []
        if len(metadata.inputs) != 1:
            raise UnclearInputs(
                f"A .npy file is one input, and the model {quoted(metadata.name)} has {len(metadata.inputs)}."
            )
        self._input = metadata.inputs[0].name
        self._array: np.ndarray[Any, Any] = _array_of(name)
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


def _array_of(name: str) -> np.ndarray[Any, Any]:
    """Return the array of a file, which is mapped where it is one. Raises UnreadableInput."""
    whole = io.BytesIO(sys.stdin.buffer.read()) if name == "-" else None
    with whole or Path(name).open("rb") as file:
        magic = file.read(len(np.lib.format.MAGIC_PREFIX))
        if magic != np.lib.format.MAGIC_PREFIX:
            archive = magic.startswith(_ZIP)
            raise UnreadableInput(
                name, "it is an archive of arrays, not one .npy file" if archive else "it is no .npy file"
            )
        try:
            if whole is None:
                mapped: np.ndarray[Any, Any] = np.load(name, mmap_mode="r", allow_pickle=False)
                return mapped
            file.seek(0)
            loaded: np.ndarray[Any, Any] = np.load(whole, allow_pickle=False)
        except (ValueError, EOFError) as error:
            raise UnreadableInput(name, _why_no_array(str(error).rstrip("."))) from None
    return loaded


def _why_no_array(said: str) -> str:
    """Return why numpy loads no array of a file, in words of whoever has the file."""
    if "object" in said.lower():
        return "it holds Python objects, as which nothing is loaded because they can run any code"
    return "it is cut off" if "mmap" in said or "EOF" in said or "reading array" in said else said

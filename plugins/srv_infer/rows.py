"""Rows of a file on their way to a model: a batch of them, and how cells become the inputs' values."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from srv.errors import InvalidInput, quoted
from srv.messages import ModelMetadata
from srv.model_settings import Spec
from srv_infer.errors import ColumnsMissing, ColumnTwice, UnclearInputs, UnknownMapping

_YES, _NO = frozenset({"true", "1"}), frozenset({"false", "0"})
#: Beyond this a float does not tell each integer from the next.
_MOST_EXACT = 2**53


#: What stands in a column where a row does not give the input at all, which is not a missing value.
ABSENT = object()


@dataclass
class Batch:
    """Rows that are sent together: the number of the first one in the file, and a list or an array for each input.

    `failed` are rows that cannot be sent, by number, with the reason; their values are left out. Rows may give different inputs
    where the batch is `uneven`: ABSENT stands for the others.
    """

    first: int
    rows: int
    values: Mapping[str, Any]
    failed: dict[int, str] = field(default_factory=dict)
    uneven: bool = False

    @property
    def numbers(self) -> list[int]:
        """The numbers of the rows whose values are there, in order."""
        return [number for number in range(self.first, self.first + self.rows) if number not in self.failed]

    def parts(self) -> Iterator[tuple[list[int], Mapping[str, Any]]]:
        """Yield the rows that give the same inputs, by their numbers, with their values."""
        numbers = self.numbers
        if not self.uneven:
            if numbers:
                yield numbers, self.values
            return
        places: dict[tuple[bool, ...], list[int]] = {}
        for place, row in enumerate(zip(*self.values.values(), strict=True)):
            places.setdefault(tuple(value is not ABSENT for value in row), []).append(place)
        for given, alike in places.items():
            taken = zip(self.values.items(), given, strict=True)
            yield (
                [numbers[place] for place in alike],
                {name: [column[place] for place in alike] for (name, column), is_given in taken if is_given},
            )


class UnfitCell(InvalidInput):
    """A cell cannot be a value of its input."""

    def __init__(self, column: str, cell: str, datatype: str) -> None:
        super().__init__(f"Column {quoted(column)}: {quoted(cell)} is no {datatype}.")


class MissingCell(InvalidInput):
    """A cell is null, and its input is of a datatype that has no missing values."""

    def __init__(self, column: str, datatype: str) -> None:
        super().__init__(f"Column {quoted(column)}: null is no {datatype}.")


class WrongNumberOfCells(InvalidInput):
    """A row has more or fewer cells than the head has columns."""

    def __init__(self, given: int, wanted: int) -> None:
        super().__init__(f"The row has {given} cells, and the head names {wanted} columns.")


@dataclass(frozen=True)
class Layout:
    """How the columns of a file become the inputs of a model: by name, or all of them as rows of one input."""

    columns: Sequence[str]
    #: The input of each column, None for a column that no input takes; the same one for all columns of a `matrix`.
    specs: Sequence[Spec | None]
    matrix: str | None = None

    @property
    def ignored(self) -> list[str]:
        """The columns that no input takes."""
        return [column for column, spec in zip(self.columns, self.specs, strict=True) if spec is None]

    def values(self, rows: Sequence[Sequence[Any]]) -> dict[str, Any]:
        """Return rows of typed cells as values by input."""
        if self.matrix is not None:
            return {self.matrix: [list(row) for row in rows]}
        by_column = [*zip(*rows, strict=True)] if rows else [()] * len(self.columns)
        return {spec.name: list(cells) for spec, cells in zip(self.specs, by_column, strict=True) if spec is not None}

    def values_of_columns(self, columns: Sequence[Any]) -> dict[str, Any]:
        """Return columns of values, None for those that no input takes, as values by input."""
        if self.matrix is not None:
            return {self.matrix: np.column_stack(columns)}
        return {spec.name: column for spec, column in zip(self.specs, columns, strict=True) if spec is not None}


def layout_of(columns: Sequence[str], metadata: ModelMetadata, renamed: Mapping[str, str]) -> Layout:
    """Return how a file's columns become the model's inputs.

    Raises ColumnsMissing, ColumnTwice, UnclearInputs or UnknownMapping.
    """
    specs = {spec.name: spec for spec in metadata.inputs}
    if not specs:
        raise UnclearInputs(f"The model {quoted(metadata.name)} does not say which inputs it takes.")
    check_mapping(renamed, specs, columns)
    found = [specs.get(renamed.get(column, column)) for column in columns]
    if len(specs) == 1 and not any(found):
        [spec] = specs.values()
        return _of_only_input(columns, spec)
    given = Counter(spec.name for spec in found if spec is not None)
    for name, times in given.items():
        if times > 1:
            raise ColumnTwice(name, times)
    missing = [spec.name for spec in metadata.inputs if spec.name not in given and not _is_optional(spec)]
    if missing:
        raise ColumnsMissing(missing, columns)
    return Layout(columns, found)


def check_mapping(renamed: Mapping[str, str], inputs: Iterable[str], columns: Iterable[str] | None = None) -> None:
    """Raise UnknownMapping where a mapping names no input, or no column where the columns are known."""
    for column, name in renamed.items():
        if name not in inputs:
            raise UnknownMapping("input of the model", name, inputs)
        if columns is not None and column not in columns:
            raise UnknownMapping("column of the file", column, columns)


def _of_only_input(columns: Sequence[str], spec: Spec) -> Layout:
    width = spec.shape[1] if spec.shape is not None and len(spec.shape) == 2 else None
    if spec.datatype not in (None, "BYTES") and width is not None and width in (-1, len(columns)):
        return Layout(columns, [spec] * len(columns), matrix=spec.name)
    if len(columns) == 1 and width in (None, -1, 1):
        return Layout(columns, [spec])
    raise ColumnsMissing([spec.name], columns)


def _is_optional(spec: Spec) -> bool:
    return bool(spec.parameters.get("optional"))


def is_float(datatype: str | None) -> bool:
    """Whether a datatype is one of floats, among which a missing value is NaN."""
    return datatype is not None and datatype[:2] in ("FP", "BF")


def reader_of(column: str, spec: Spec | None) -> Callable[[str], Any]:
    """Return the function that reads the text of a cell. It raises UnfitCell; an empty cell is NaN among floats."""
    datatype = spec.datatype if spec is not None else None
    if datatype is None or datatype == "BYTES":
        return str
    kind = "FP" if is_float(datatype) else datatype

    def read(cell: str) -> Any:
        text = cell.strip()
        try:
            if kind == "FP":
                return _float(text)
            if kind == "BOOL":
                return _boolean(text)
            return _integer(text)
        except ValueError:
            raise UnfitCell(column, cell, datatype) from None

    return read


def read_column(spec: Spec | None, cells: Sequence[str]) -> Any:
    """Return the values of a column whose cells are all plain, much faster than one by one.

    Raises ValueError or OverflowError where some of them need a closer look.
    """
    if spec is None:
        return None
    if spec.datatype is None or spec.datatype == "BYTES":
        return list(cells)
    if spec.datatype == "BOOL" or "_" in "".join(cells):
        raise ValueError(cells)
    if is_float(spec.datatype):
        return np.array([float(cell) if cell else math.nan for cell in cells])
    return np.array([*map(int, cells)], np.int64)


def _float(text: str) -> float:
    """Return the float of a text. Underscores in numbers are Python's own."""
    if "_" in text:
        raise ValueError(text)
    return float(text) if text else float("nan")


def _integer(text: str) -> int:
    """Return the integer of a text; also of 5.0, as which tables write the integers of a column that has lost some."""
    try:
        return int(text.replace("_", "no integer"))
    except ValueError:
        value = _float(text)
        if not (value.is_integer() and abs(value) <= _MOST_EXACT):
            raise
        return int(value)


def _boolean(text: str) -> bool:
    folded = text.lower()
    if folded in _YES or folded in _NO:
        return folded in _YES
    raise ValueError(text)

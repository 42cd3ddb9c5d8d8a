"""Columns put together as the model was trained on them: a pandas.DataFrame with its dtypes, or a numpy array."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from srv.tables.cells import shown
from srv.tables.columns import FIGURES, Column
from srv.tables.errors import BadColumn, PandasMissing, UnfitValue
from srv.tables.values import Array

if TYPE_CHECKING:
    import pandas as pd


def frame_of(values: Mapping[str, Array], columns: Mapping[str, Column]) -> pd.DataFrame:
    """A DataFrame of these columns in the order of `values`, with an index that counts from 0."""
    pandas = pandas_module()
    return pandas.DataFrame({name: _series(array, columns[name], pandas) for name, array in values.items()})


def arrays_of(values: Mapping[str, Array], columns: Mapping[str, Column]) -> dict[str, Array]:
    """An array for each column, in its numpy dtype where it has one. Raises UnfitValue where a value is none of that dtype."""
    return {name: _in_dtype(one_column(array, columns[name]), columns[name]) for name, array in values.items()}


def _in_dtype(array: Array, column: Column) -> Array:
    if column.dtype is None or array.dtype.kind == "O":
        return array
    dtype = np.dtype(column.dtype)
    _check_range(array, dtype, column, is_nullable=False)
    return array.astype(dtype, copy=False)


def array_of(values: Sequence[Array], columns: Sequence[Column]) -> Array:
    """An array `[n, columns]`: of numbers where all are, else of objects."""
    if all(array.dtype.kind != "O" and column.dtype != "object" for array, column in zip(values, columns, strict=True)):
        return np.column_stack(values)
    rows = len(values[0])
    table = np.empty((rows, len(values)), dtype=object)
    for place, (array, column) in enumerate(zip(values, columns, strict=True)):
        table[:, place] = _with_missing(array, column) if array.dtype.kind == "O" else array.tolist()
    return table


def figures_of(values: Sequence[Array], columns: Sequence[Column]) -> Array:
    """An array `[n, columns]` of numbers: booleans are 1 and 0, categories their positions, missing values NaN."""
    return np.column_stack([_figures(array, column) for array, column in zip(values, columns, strict=True)])


def _figures(array: Array, column: Column) -> Array:
    if column.kind == "category":
        places: dict[Any, float] = {value: place for place, value in enumerate(column.categories or ())}
        return np.array([places.get(value, math.nan) for value in array.tolist()], dtype=np.float64)
    if array.dtype.kind == "O":
        return np.array([math.nan if value is None else float(value) for value in array], dtype=np.float64)
    return array.astype(np.float64) if array.dtype.kind == "b" else array


def one_column(array: Array, column: Column) -> Array:
    """An array `[n]` of a model's only column."""
    return _with_missing(array, column) if array.dtype.kind == "O" else array


def check_dtypes(columns: Iterable[Column]) -> None:
    """Raise BadColumn for a column with a dtype that pandas does not know."""
    for column in columns:
        if column.dtype is not None:
            try:
                pandas_module().api.types.pandas_dtype(column.dtype)
            except TypeError:
                raise BadColumn(column.name, f"has the unknown dtype '{column.dtype}'") from None


def check_figures(columns: Iterable[Column], *, frame: bool) -> None:
    """Raise ValueError for a table of figures that is a DataFrame, or has a column whose values are none."""
    if frame:
        raise ValueError("A table of figures is an array; say frame=False.")
    for column in columns:
        if not (column.closed and (column.kind == "category" or column.kind in FIGURES)):
            raise BadColumn(column.name, f"is of the kind '{column.kind}', which the model cannot take as numbers")


def pandas_module() -> ModuleType:
    """Import pandas and return it. Raises PandasMissing."""
    try:
        import pandas
    except ImportError:
        raise PandasMissing from None
    module: ModuleType = pandas
    return module


def _series(array: Array, column: Column, pandas: ModuleType) -> Any:
    if column.kind == "category":
        series = _categories(array, column, pandas)
    elif array.dtype.kind != "O":
        series = array
    else:
        series = _of_objects(array, column, pandas)
    if column.dtype is None:
        return series
    return _as_trained(series, column, pandas)


def _of_objects(array: Array, column: Column, pandas: ModuleType) -> Any:
    kinds = {type(value) for value in array} - {type(None)}
    if column.kind == "datetime" or (column.kind == "any" and kinds and _are_datetimes(array)):
        return _datetimes(array, column, pandas)
    if column.kind == "text" or (column.kind == "any" and kinds == {str}):
        if column.missing == "na":
            return pandas.Series(array, dtype="string")
        if column.missing != "none" and column.dtype != "object" and _has_str_dtype():
            return pandas.Series(array, dtype="str")
    if column.missing == "na" and column.kind == "boolean":
        return pandas.Series(array, dtype="boolean")
    return pandas.Series(_with_missing(array, column), dtype=object)


def _datetimes(array: Array, column: Column, pandas: ModuleType) -> Any:
    moments = array.tolist()
    first = next((moment for moment in moments if moment is not None), None)
    is_aware = column.timezone is not None or (first is not None and first.tzinfo is not None)
    if column.timezone is not None:
        for row, moment in enumerate(moments):
            if moment is not None and moment.tzinfo is None:
                raise UnfitValue(_title(column), row, f"'{moment.isoformat()}'", "a datetime with an offset")
    try:
        found = pandas.to_datetime(moments, utc=is_aware)
    except pandas.errors.OutOfBoundsDatetime:
        row = next(row for row, moment in enumerate(moments) if not _is_in_bounds(moment, pandas))
        raise UnfitValue(_title(column), row, f"'{moments[row].isoformat()}'", "a datetime that pandas holds") from None
    series = pandas.Series(found if first is not None else found.astype(_usual_datetimes(is_aware=is_aware)))
    return series if column.timezone is None else series.dt.tz_convert(column.timezone)


def _is_in_bounds(moment: Any, pandas: ModuleType) -> bool:
    try:
        pandas.to_datetime([moment], utc=True)
    except pandas.errors.OutOfBoundsDatetime:
        return False
    return True


@cache
def _usual_datetimes(*, is_aware: bool) -> str:
    """The dtype that this pandas gives to Python's datetimes, with an offset or without one."""
    return str(pandas_module().Series([datetime(2000, 1, 1, tzinfo=UTC if is_aware else None)]).dtype)


@cache
def _has_str_dtype() -> bool:
    """Whether this pandas reads text as its own dtype `str`, as pandas 3 does."""
    return str(pandas_module().Series(["a"]).dtype) == "str"


def _categories(array: Array, column: Column, pandas: ModuleType) -> Any:
    known = list(column.categories or ())
    values = array.tolist()
    if not column.closed:
        seen = set(known)
        known += sorted({value for value in values if value is not None and value == value and value not in seen})
    values = [None if value is None or value != value else value for value in values]
    if column.value_kind == "integer":
        values = [None if value is None else int(value) for value in values]
    return pandas.Series(pandas.Categorical(values, categories=known, ordered=column.ordered))


def _as_trained(series: Any, column: Column, pandas: ModuleType) -> Any:
    """The column in the dtype of training. Raises UnfitValue where a value is none of that dtype."""
    series = pandas.Series(series)
    dtype = pandas.api.types.pandas_dtype(column.dtype)
    plain = getattr(dtype, "numpy_dtype", dtype)
    if isinstance(plain, np.dtype) and plain.kind in "iuf" and series.dtype.kind in "iuf":
        _check_range(series.to_numpy(), plain, column, is_nullable=plain is not dtype)
    try:
        return series.astype(dtype)
    except (ValueError, TypeError, OverflowError):
        row = next((row for row in range(len(series)) if not _is_of(series.iloc[row : row + 1], dtype)), 0)
        raise UnfitValue(_title(column), row, shown(series.iloc[row]), f"a value of {column.dtype}") from None


def _check_range(numbers: Array, dtype: np.dtype[Any], column: Column, *, is_nullable: bool) -> None:
    missing = np.isnan(numbers) if numbers.dtype.kind == "f" else np.zeros(len(numbers), dtype=bool)
    if dtype.kind == "f":
        with np.errstate(all="ignore"):
            wrong = np.isinf(numbers.astype(dtype)) & ~np.isinf(numbers)
    else:
        limits = np.iinfo(dtype)
        wrong = ((numbers < limits.min) | (numbers > limits.max)) & ~missing
        if not is_nullable:
            wrong |= missing
    if wrong.any():
        row = int(wrong.argmax())
        found = "a missing value" if missing[row] else shown(numbers[row])
        raise UnfitValue(_title(column), row, found, f"a value of {column.dtype}")


def _is_of(one: Any, dtype: Any) -> bool:
    try:
        one.astype(dtype)
    except (ValueError, TypeError, OverflowError):
        return False
    return True


def _are_datetimes(array: Array) -> bool:
    return all(value is None or isinstance(value, datetime) for value in array)


def _title(column: Column) -> str:
    return f"Column '{column.name}'"


def _with_missing(array: Array, column: Column) -> Array:
    """Replace None by the missing value of training: NaN or pandas.NA."""
    if column.missing not in ("nan", "na"):
        return array
    missing: Any = math.nan
    if column.missing == "na":
        missing = pandas_module().NA
    changed = array.copy()
    for row, value in enumerate(array):
        if value is None:
            changed[row] = missing
    return changed

"""Errors of tables: in requests, and in the schema of columns; one class and sentence for each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from srv.errors import InvalidInput, SrvError, listed, nearest, quoted


class TableError(InvalidInput):
    """The tensors of a request are not the table that the model takes."""


class UnfitValue(TableError):
    """A value is not of its column's kind; `title` names the column."""

    def __init__(self, title: str, row: int, found: str, wanted: str) -> None:
        super().__init__(f"{title}, row {row}: {found} stands where {wanted} belongs.")


class UnfitColumn(TableError):
    """A whole column is not of the kind that the model takes."""

    def __init__(self, title: str, found: str, wanted: str) -> None:
        super().__init__(f"{title} came as {found}, where {wanted} belongs.")


class UnknownColumn(TableError):
    """The request brings a column that the model was not trained on."""

    def __init__(self, name: str, known: Sequence[str], row: int | None = None) -> None:
        place = "" if row is None else f", row {row},"
        super().__init__(
            f"Column {quoted(name)}{place} is unknown; the model takes {listed(known)}.{nearest(name, known)}"
        )


class ColumnsMissing(TableError):
    """The request, or one of its rows, leaves out columns that the model needs."""

    def __init__(self, names: Sequence[str], row: int | None = None) -> None:
        verb = f"Column {quoted(names[0])} is" if len(names) == 1 else f"Columns {listed(map(quoted, names))} are"
        where = "" if row is None else f" in row {row}; null says that a value is missing"
        super().__init__(f"{verb} missing{where}.")


class RepeatedKey(TableError):
    """A JSON object has a key twice."""

    def __init__(self, title: str, row: int, name: str) -> None:
        super().__init__(f"{title}, row {row}: a JSON object has the key {quoted(name)} twice.")


class UnfitShape(TableError):
    """A tensor has a shape that no column, or no table of this width, has."""

    def __init__(self, name: str, shape: Sequence[int], wanted: str) -> None:
        super().__init__(f"Input {quoted(name)} has the shape {list(shape)}; {wanted}.")


class RowCounts(TableError):
    """Two columns have different numbers of rows."""

    def __init__(self, first: str, rows: int, second: str, others: int) -> None:
        super().__init__(f"Column {quoted(first)} has {rows} rows and column {quoted(second)} has {others}.")


class Ambiguous(TableError):
    """One tensor of texts holds all columns, and it is not known whether this column holds texts or numbers."""

    def __init__(self, title: str) -> None:
        super().__init__(
            f"{title} may hold values of any kind, and texts beside other columns do not say which; send a tensor for each "
            "column, or JSON values with the content type json."
        )


class NoRows(TableError):
    """The request brings columns without any row, to a model that answers for one row at least."""

    def __init__(self) -> None:
        super().__init__("The request has no rows; the model takes one or more.")


class NotInTable(TableError):
    """A tensor's content type or elements cannot be read as a part of a table."""

    def __init__(self, name: str, why: str) -> None:
        super().__init__(f"Input {quoted(name)} cannot be read as a part of a table: {why}.")


class Nameless(TableError):
    """The request names columns, and the model was trained on an array, whose columns have no names."""

    def __init__(self, given: Iterable[str], width: int) -> None:
        super().__init__(
            f"The model was trained on an array, whose columns have no names, and the request brings "
            f"{listed(map(quoted, given))}; send one input of the shape [n, {width}]."
        )


class PandasMissing(SrvError):
    """The model takes a DataFrame, and pandas is not installed."""

    def __init__(self) -> None:
        super().__init__(
            "The model was trained on a pandas.DataFrame, and pandas is not installed here; install it with: "
            "pip install 'srv-inference[pandas]'."
        )


class UndescribedColumns(SrvError):
    """The settings describe columns that the model was not trained on, or not all columns of a model that names none."""

    def __init__(self, given: Sequence[str], known: Sequence[str] | None, width: int) -> None:
        if known is None:
            said = f"{len(given)} columns, and the model was trained on an array with {width}. Name all of them, in their order."
        else:
            name = next(name for name in given if name not in known)
            said = f"{quoted(name)}, and the model was trained on {listed(known)}.{nearest(name, known)}"
        super().__init__(f"parameters.extra.columns names {said}")


class BadColumn(SrvError):
    """A schema of columns, as settings give it, cannot be used."""

    def __init__(self, name: str, why: str) -> None:
        super().__init__(f"Column {quoted(name)} of the settings {why}.")

"""Tables for runtimes: the columns that a model was trained on, and the forms in which clients send their values.

    table = Table([Column("city", "text"), Column("rooms", "integer"), Column("since", "datetime")])
    table.specs()          # one input for each column, for Runtime.inputs
    table.read(request)    # a pandas.DataFrame, or an array for Table(..., frame=False)

pandas is imported by `read` of a table that gives a DataFrame, and by nothing else here.
"""

from srv.tables.columns import KINDS, Column
from srv.tables.errors import (
    BadColumn,
    ColumnsMissing,
    NoRows,
    NotInTable,
    PandasMissing,
    RowCounts,
    TableError,
    UndescribedColumns,
    UnfitColumn,
    UnfitShape,
    UnfitValue,
    UnknownColumn,
)
from srv.tables.schema import columns_of_schema, columns_of_specs, described_columns
from srv.tables.table import Table

__all__ = [
    "KINDS",
    "BadColumn",
    "Column",
    "ColumnsMissing",
    "NoRows",
    "NotInTable",
    "PandasMissing",
    "RowCounts",
    "Table",
    "TableError",
    "UndescribedColumns",
    "UnfitColumn",
    "UnfitShape",
    "UnfitValue",
    "UnknownColumn",
    "columns_of_schema",
    "columns_of_specs",
    "described_columns",
]

"""The columns that a booster was trained on, from its names, types and categories."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from srv.errors import SrvError, quoted
from srv.model_settings import ModelSettings
from srv.tables import Column, Table, columns_of_schema, described_columns

#: XGBoost's types of features, and the kinds of columns that they are. All others are numbers.
_KINDS = {"i": "boolean", "c": "integer"}


class UnreadableCategories(SrvError):
    """The file has the categories of a column with letters beyond ASCII, as xgboost writes them: cut at wrong places."""

    def __init__(self, name: str, count: int) -> None:
        super().__init__(
            f"The categories of column {quoted(name)} have letters beyond ASCII, which xgboost does not keep as they were in "
            f'training. Name its {count} categories in their order: parameters.extra.columns {{"{name}": {{"category": [...]}}}}'
        )


class OtherCategories(SrvError):
    """The settings name categories of a column, and the model was trained on another number of them."""

    def __init__(self, name: str, given: int, wanted: int) -> None:
        super().__init__(
            f"parameters.extra.columns names {given} categories of column {quoted(name)}, and the model was trained on "
            f"{wanted}. Name all of them, in the order of training."
        )


def table_of(
    names: Sequence[str] | None,
    types: Sequence[str] | None,
    width: int,
    categories: Mapping[int, tuple[Any, ...]],
    settings: ModelSettings,
) -> Table:
    """Return the table that a booster takes; `categories` are those that the file holds, by the feature's place."""
    said = columns_of_schema(settings.parameters.extra.get("columns") or {})
    own = [
        _column(
            str(place) if names is None else names[place], types[place] if types else "float", categories.get(place)
        )
        for place in range(width)
    ]
    columns = described_columns(own, said, named=names is not None)
    for place, known in categories.items():
        _check_categories(columns[place], known)
    named = names is not None or bool(said)
    return Table(columns, frame=False, named=named, figures=True, empty=False, settings=settings)


def codes_of(table: Table, types: Sequence[str] | None) -> list[int]:
    """Return the places of columns that hold the codes of categories which the file does not name."""
    pairs = enumerate(zip(table.columns, types or (), strict=False))
    return [place for place, (column, kind) in pairs if kind == "c" and column.kind != "category"]


def _column(name: str, kind: str, categories: tuple[Any, ...] | None) -> Column:
    if categories:
        return Column(name, "category", categories=categories)
    return Column(name, _KINDS.get(kind, "number"))


def _check_categories(column: Column, known: tuple[Any, ...]) -> None:
    given = column.categories or ()
    if column.kind == "category" and len(given) != len(known):
        raise OtherCategories(column.name, len(given), len(known))
    if None in given:
        raise UnreadableCategories(column.name, len(known))

"""The columns that a booster was trained on, from its names and categories."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from srv.errors import SrvError, quoted
from srv.model_settings import ModelSettings
from srv.tables import Column, Table, columns_of_schema, described_columns
from srv_lightgbm.category_places import placed


class UnclearCategories(SrvError):
    """The file has categories of columns, and does not say of which."""

    def __init__(self, categories: Sequence[Sequence[Any]]) -> None:
        shown = "; ".join(_in_order(each) for each in categories)
        super().__init__(
            f"The model was trained on a DataFrame with categories, and its file does not say in which columns: {shown}. "
            'Name these columns with their categories: parameters.extra.columns {"name": {"category": [...]}}.'
        )


class OtherCategories(SrvError):
    """The settings name categories, and the model was trained on others."""

    def __init__(self, name: str, wanted: Sequence[Any]) -> None:
        super().__init__(
            f"parameters.extra.columns names other categories of column {quoted(name)} than the model's file, which has "
            f"{_in_order(wanted)}, in this order."
        )


def _in_order(categories: Sequence[Any]) -> str:
    return ", ".join(map(quoted, categories))


def table_of(
    names: Sequence[str],
    infos: Sequence[str],
    codes: Sequence[int],
    categories: Sequence[Sequence[Any]],
    settings: ModelSettings,
) -> Table:
    """Return the table that a booster takes.

    `infos` are the values that each feature had in training, as the file tells them, `codes` the places of features that
    training treated as categories, and `categories` those of the columns that were categories in pandas, in their order.
    """
    said = columns_of_schema(settings.parameters.extra.get("columns") or {})
    known: Mapping[int, Sequence[Any]] = {}
    if categories and not any(column.kind == "category" for column in said.values()):
        found = placed(codes, categories, infos)
        if found is None:
            raise UnclearCategories(categories)
        known = found
    is_named = not is_made_up(names)
    own = [_column(name, place in codes, known.get(place)) for place, name in enumerate(names)]
    columns = described_columns(own, said, named=is_named)
    if categories and not known:
        _check([column for column in columns if column.kind == "category"], categories)
    return Table(columns, frame=False, named=is_named or bool(said), figures=True, empty=False, settings=settings)


def is_made_up(names: Sequence[str]) -> bool:
    """Whether LightGBM has made up the names of features, because it was trained on an array."""
    return list(names) == [f"Column_{place}" for place in range(len(names))]


def _check(columns: Sequence[Column], categories: Sequence[Sequence[Any]]) -> None:
    if len(columns) != len(categories):
        raise UnclearCategories(categories)
    for column, known in zip(columns, categories, strict=True):
        if list(column.categories or ()) != list(known):
            raise OtherCategories(column.name, known)


def _column(name: str, is_code: bool, categories: Sequence[Any] | None) -> Column:  # noqa: FBT001 - a fact, no choice
    if categories is not None:
        return Column(name, "category", categories=tuple(categories))
    return Column(name, "integer" if is_code else "number")

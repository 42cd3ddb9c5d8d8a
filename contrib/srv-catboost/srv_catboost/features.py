"""Features: what a model was trained on, as the columns of a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from srv.errors import SrvError, listed, nearest, quoted
from srv.tables import Column, columns_of_schema, described_columns

#: The kinds of columns that a feature may be called in the settings, its own kind first.
_KINDS = {
    "number": ("number", "float", "integer", "boolean"),
    "label": ("label", "text", "integer", "boolean", "category"),
    "text": ("text",),
}
#: What a column may be said to be, and no feature is: CatBoost has types of its own, and needs each feature in each row.
_NO_KEYS = frozenset({"dtype", "missing", "optional", "timezone"})
#: The kinds of a feature as people say them.
_SAID = {"number": "numbers", "label": "categories", "text": "texts", "embedding": "vectors"}


class NoVectors(SrvError):
    """The settings say how long the vectors of a feature are that holds none."""

    def __init__(self, name: str, known: Sequence[str]) -> None:
        found = f"has vectors in {listed(known)}.{nearest(name, known)}" if known else "takes none."
        super().__init__(f"parameters.extra.embeddings names {quoted(name)}, and the model {found}")


class UnfitKind(SrvError):
    """The settings give a feature a kind that the model's feature cannot have."""

    def __init__(self, name: str, said: str, kind: str) -> None:
        others = f"; the kinds of these are {listed(_KINDS[kind])}" if kind in _KINDS else ""
        super().__init__(
            f"parameters.extra.columns says '{said}' for {quoted(name)}, which holds {_SAID[kind]} in the model{others}."
        )


class UnfitKey(SrvError):
    """The settings say of a feature what CatBoost has no use for."""

    def __init__(self, name: str, key: str) -> None:
        super().__init__(
            f"parameters.extra.columns says '{key}' for {quoted(name)}, which means nothing to a model of CatBoost. Leave it out."
        )


class UnknownLength(SrvError):
    """The model takes vectors, and neither the file nor the settings say how long they are."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"The model takes vectors in {quoted(name)}, and its file does not say how long they are: CatBoost answers for "
            f'vectors of any length. Say it in the settings: {{"parameters": {{"extra": {{"embeddings": {{"{name}": 768}}}}}}}}.'
        )


@dataclass(frozen=True)
class Feature:
    """One feature: `number`, `label` (a category), `text` or `embedding`; or `dropped`, which no tree reads any more."""

    name: str
    kind: str
    #: The length of an embedding's vectors.
    length: int = 0


def columns_of(features: Sequence[Feature], *, nullable: bool, named: bool, said: Mapping[str, Any]) -> list[Column]:
    """Return the columns of all features but embeddings. `said` is `parameters.extra.columns`.

    `nullable` is whether numbers may be missing; categories and texts may not, because CatBoost takes none that are.
    Raises UndescribedColumns, UnfitKind or UnfitKey.
    """
    for name, definition in said.items():
        for key in _NO_KEYS & (definition.keys() if isinstance(definition, Mapping) else set()):
            raise UnfitKey(name, key)
    plain = [feature for feature in features if feature.kind != "embedding"]
    own = [_column(feature, nullable=nullable) for feature in plain]
    columns = described_columns(own, columns_of_schema(said), named=named)
    for feature, column in zip(plain, columns, strict=True):
        if column.name in said and column.kind not in _KINDS.get(feature.kind, ()):
            raise UnfitKind(column.name, column.kind, feature.kind)
    return columns


def with_lengths(features: Sequence[Feature], said: Mapping[str, int]) -> list[Feature]:
    """Return the features with the lengths of `parameters.extra.embeddings`. Raises UnknownLength or NoVectors."""
    names = [feature.name for feature in features if feature.kind == "embedding"]
    for name in said:
        if name not in names:
            raise NoVectors(name, names)
    for name in names:
        if name not in said:
            raise UnknownLength(name)
    return [replace(feature, length=said.get(feature.name, 0)) for feature in features]


def _column(feature: Feature, *, nullable: bool) -> Column:
    if feature.kind == "dropped":
        return Column(feature.name, "number", optional=True)
    return Column(feature.name, feature.kind, nullable=nullable and feature.kind == "number")

"""Schemas of columns, as a model's settings give them: names and kinds, or inputs with datatypes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from srv.errors import listed, nearest, quoted
from srv.model_settings import Spec
from srv.tables.columns import KINDS, MISSING, Column
from srv.tables.errors import BadColumn, UndescribedColumns

_KEYS = {
    "kind": str,
    "category": list,
    "ordered": bool,
    "dtype": str,
    "missing": str,
    "nullable": bool,
    "optional": bool,
    "timezone": str,
}


def columns_of_schema(schema: Mapping[str, Any]) -> dict[str, Column]:
    """The columns of a schema such as `{"city": "text", "size": {"category": ["S", "L"]}}`, by name.

    A definition is a kind, or an object with `kind` or `category`, and any of `ordered`, `dtype`, `missing`,
    `nullable`, `optional`, `timezone`. Raises BadColumn.
    """
    return {name: _column(name, definition) for name, definition in schema.items()}


def columns_of_specs(specs: Iterable[Spec]) -> dict[str, Column]:
    """The columns that declared inputs describe, by name: a datatype each, and the content type `datetime`."""
    return {spec.name: Column(spec.name, _kind_of(spec)) for spec in specs}


def described_columns(own: Sequence[Column], said: Mapping[str, Column], *, named: bool) -> list[Column]:
    """The columns that a model's file tells of, completed by those that its settings describe.

    Settings may describe some columns of a model that names its columns. Where it does not (`named=False`), they name all
    of them, in the order of training. Raises UndescribedColumns.
    """
    if not said:
        return list(own)
    names = [column.name for column in own]
    if named and not said.keys() <= set(names):
        raise UndescribedColumns(list(said), names, len(names))
    if not named and len(said) != len(own):
        raise UndescribedColumns(list(said), None, len(own))
    pairs = zip(own, said.values(), strict=True) if not named else ((each, said.get(each.name, each)) for each in own)
    return [
        replace(
            given,
            kind=mine.kind if given.kind == "any" else given.kind,
            categories=mine.categories if given.kind == "any" else given.categories,
            missing=given.missing or mine.missing,
            nullable=given.nullable and mine.nullable,
            optional=given.optional or mine.optional,
        )
        for mine, given in pairs
    ]


def _kind_of(spec: Spec) -> str:
    datatype = spec.datatype or ""
    if datatype == "BYTES":
        return "datetime" if spec.parameters.get("content_type") == "datetime" else "text"
    if datatype == "BOOL":
        return "boolean"
    if datatype.startswith(("INT", "UINT")):
        return "integer"
    return "number" if datatype else "any"


def _column(name: str, definition: Any) -> Column:
    if isinstance(definition, str):
        definition = {"kind": definition}
    if not isinstance(definition, Mapping):
        raise BadColumn(name, f"must be a kind, or an object; the kinds are {listed(KINDS)}")
    for key, value in definition.items():
        if key not in _KEYS:
            raise BadColumn(
                name,
                f"has the unknown key {quoted(key)}; it may have {listed(_KEYS)}.{nearest(key, _KEYS)}".rstrip("."),
            )
        if not isinstance(value, _KEYS[key]):
            raise BadColumn(name, f"has {quoted(key)} of another type than {_KEYS[key].__name__}")
    said = dict(definition)
    categories = said.pop("category", None)
    kind = said.setdefault("kind", "category" if categories is not None else "any")
    if kind not in KINDS:
        raise BadColumn(
            name,
            f"has the unknown kind {quoted(kind)}; the kinds are {listed(KINDS)}.{nearest(kind, KINDS)}".rstrip("."),
        )
    if (kind == "category") != (categories is not None):
        raise BadColumn(name, 'needs its categories, {"category": [...]}, and no other kind has any')
    if "timezone" in said and not _is_zone(said["timezone"]):
        raise BadColumn(name, f"has the unknown timezone {quoted(said['timezone'])}")
    if said.get("missing") not in (None, *MISSING):
        raise BadColumn(name, f"has 'missing' that is none of {listed(MISSING)}")
    if categories is not None and (
        not categories or not all(isinstance(each, str | int | float) for each in categories)
    ):
        raise BadColumn(name, "has categories that are neither texts, numbers nor booleans")
    if categories is not None and len(set(categories)) != len(categories):
        raise BadColumn(name, "has a category twice")
    return Column(name, categories=tuple(categories) if categories is not None else None, **said)


def _is_zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True

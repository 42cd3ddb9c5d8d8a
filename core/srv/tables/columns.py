"""Columns: the name, kind and missing values of each one that a model was trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from srv.model_settings import Spec

#: Each kind of column, and the datatype that its values have on the wire; None where the client decides.
KINDS: dict[str, str | None] = {
    "number": "FP64",
    "float": "FP64",
    "integer": "INT64",
    "boolean": "BOOL",
    "text": "BYTES",
    "label": "BYTES",
    "category": "BYTES",
    "datetime": "BYTES",
    "bytes": "BYTES",
    "json": "BYTES",
    "any": None,
}
#: The content type that the metadata names for a kind.
CONTENT_TYPES = {"datetime": "datetime", "text": "str", "label": "str", "bytes": "base64", "json": "json"}
#: The kinds whose values are the same figures in an array as in a DataFrame.
FIGURES = frozenset({"number", "float", "integer", "boolean"})
#: The missing values of arrays that cannot hold NaN.
MISSING = ("none", "nan", "na")


@dataclass(frozen=True)
class Column:
    """One column of a table.

    Kinds: `number` takes integers, floats and booleans, as they come; `float` takes numbers and gives float64;
    `integer` takes integers, also those that travel as floats because some are missing; `boolean`, `text`, `datetime`
    (ISO 8601) take these; `label` takes texts, integers and booleans, for models to which 3 and "3" are one category, and
    gives them as they came; `bytes` takes base64; `json` takes a JSON value in each cell, such as a list or an object;
    `category` takes the `categories`, or others too where it is not `closed`; `any` takes what the client's datatype says.

    `dtype` is the pandas dtype of training where it is not the kind's usual one, such as Int64 or float32. `missing`
    says what a missing text or boolean was in training: None ("none"), NaN ("nan") or pandas.NA ("na"); left out, it
    is what pandas makes of None. A column that is not `nullable` refuses missing values; an `optional` one may be left
    out by the client. Datetimes with an offset become UTC, or the `timezone`'s time.
    """

    name: str
    kind: str = "any"
    categories: Sequence[Any] | None = None
    ordered: bool = False
    closed: bool = True
    dtype: str | None = None
    missing: str | None = None
    nullable: bool = True
    optional: bool = False
    timezone: str | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"Column.kind must be one of {', '.join(KINDS)}, not {self.kind!r}.")
        if self.missing not in (None, *MISSING):
            raise ValueError(f"Column.missing must be one of {', '.join(MISSING)} or None, not {self.missing!r}.")
        if (self.kind == "category") != (self.categories is not None):
            raise ValueError("A column of the kind category has categories, and no other has.")

    @property
    def value_kind(self) -> str:
        """The kind of the values: that of its categories for a category, else its own."""
        if self.kind != "category":
            return self.kind
        kinds = {type(value) for value in self.categories or ()}
        for types, kind in _KINDS_OF_CATEGORIES:
            if kinds and kinds <= types:
                return kind
        return "any"

    def spec(self) -> Spec:
        """The column as one of the model's inputs."""
        content_type = CONTENT_TYPES.get(self.value_kind)
        parameters: dict[str, Any] = {} if content_type is None else {"content_type": content_type}
        if self.optional:
            parameters["optional"] = True
        return Spec(KINDS[self.value_kind], (-1,), name=self.name, parameters=parameters)


_KINDS_OF_CATEGORIES: tuple[tuple[frozenset[type], str], ...] = (
    (frozenset({str}), "text"),
    (frozenset({bool}), "boolean"),
    (frozenset({int}), "integer"),
    (frozenset({int, float}), "float"),
)

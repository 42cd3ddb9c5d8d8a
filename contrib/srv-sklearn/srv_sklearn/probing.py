"""Probes a fitted estimator with one row, to learn the kinds of columns that its attributes do not say."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import orjson

from srv import InferenceRequest, Tensor
from srv.tables import Column, Table

#: A value of each kind to try with, in JSON; no zeros, by which a ratio cannot be made.
EXAMPLES = {
    "number": 1.0,
    "float": 1.0,
    "integer": 1,
    "boolean": True,
    "text": "text",
    "datetime": "2020-01-01T12:00:00",
}
#: The kinds that a column of unknown kind is tried as.
KINDS = ("number", "text", "datetime", "boolean")
#: Up to this many unknown columns are tried in all combinations of kinds; more of them all as the same kind.
_FEW = 4
_SECONDS = 5.0

#: Calls one of the estimator's methods with rows.
Call = Callable[[Any], Any]


def tried(call: Call, table: Table, examples: Sequence[Any]) -> Any:
    """Call the estimator with one row of the table, and return its answer. Raises whatever the estimator raises for it."""
    row = row_of(table.columns, examples)
    element = np.array([orjson.dumps(row, option=orjson.OPT_SERIALIZE_NUMPY)], dtype=object)
    request = InferenceRequest([Tensor.trusted("rows", element, "BYTES", {"content_type": "json"})])
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        return call(table.read(request))


def row_of(columns: Sequence[Column], examples: Sequence[Any]) -> list[Any]:
    """Return a row to try with: the values that the estimator is known to take, and for the other columns made-up ones."""
    return [
        _example_of(column) if example is None else example for column, example in zip(columns, examples, strict=True)
    ]


def _example_of(column: Column) -> Any:
    example = EXAMPLES.get(column.value_kind, 1.0)
    return f"{example}Z" if column.kind == "datetime" and column.timezone is not None else example


def with_kinds(
    call: Call, columns: Sequence[Column], examples: Sequence[Any], make: Callable[..., Table]
) -> list[Column]:
    """Return the columns, each unknown one with its kind where the estimator takes values of that kind only."""
    unknown = [place for place, column in enumerate(columns) if column.kind == "any" and not column.optional]
    if not unknown:
        return list(columns)
    taken: list[set[str]] = [set() for _ in columns]
    end = time.monotonic() + _SECONDS
    for kinds in _assignments(len(unknown)):
        if time.monotonic() > end:
            return list(columns)
        changed = list(columns)
        for place, kind in zip(unknown, kinds, strict=True):
            changed[place] = replace(changed[place], kind=kind)
        if _works(call, make(changed), examples):
            for place, kind in zip(unknown, kinds, strict=True):
                taken[place].add(kind)
    found = [
        replace(column, kind=_only(kinds)) if kinds else column for column, kinds in zip(columns, taken, strict=True)
    ]
    return found if any(taken[place] for place in unknown) else _with_moments(call, found, unknown, examples, make)


def _with_moments(
    call: Call, columns: list[Column], unknown: list[int], examples: Sequence[Any], make: Callable[..., Table]
) -> list[Column]:
    """Return the columns, the unknown ones as datetimes with an offset where the estimator takes these."""
    changed = list(columns)
    for place in unknown:
        changed[place] = replace(changed[place], kind="datetime", timezone="UTC")
    return changed if _works(call, make(changed), examples) else columns


def _assignments(count: int) -> Iterator[tuple[str, ...]]:
    if count <= _FEW:
        return product(KINDS, repeat=count)
    return iter([(kind,) * count for kind in KINDS])


def _works(call: Call, table: Table, examples: Sequence[Any]) -> bool:
    try:
        tried(call, table, examples)
    except Exception:  # noqa: BLE001 - an estimator refuses what it does not take in any way it likes
        return False
    return True


def _only(kinds: set[str]) -> str:
    if kinds == {"number", "boolean"}:
        return "number"
    return next(iter(kinds)) if len(kinds) == 1 else "any"

"""The categories in a model of XGBoost 3.1 or newer, by the place of their feature."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import msgspec

#: Categories as XGBoost writes them: texts as the bytes of all and where each begins, numbers as they are.
_Encoded = dict[str, list[int | float] | int]


class _Categories(msgspec.Struct):
    enc: list[_Encoded] = []


class _Trees(msgspec.Struct):
    cats: _Categories = msgspec.field(default_factory=_Categories)


class _Booster(msgspec.Struct):
    model: _Trees = msgspec.field(default_factory=_Trees)
    #: dart holds a gbtree.
    gbtree: _Booster | None = None


class _Learner(msgspec.Struct):
    gradient_booster: _Booster


class _File(msgspec.Struct):
    learner: _Learner


def categories_of(model: bytes | bytearray) -> dict[int, tuple[Any, ...]]:
    """Return the categories of a model in JSON. The trees, which are most of it, are passed over.

    Where letters beyond ASCII are in them, each is None: up to version 3.2 at least, xgboost counts letters where it should
    count bytes when it takes categories from pandas, so that "Köln", "Ulm" stand in the file as "Köl", "nUl".
    """
    booster = _file_of(model).learner.gradient_booster
    encoded = (booster.gbtree or booster).model.cats.enc
    return {place: found for place, each in enumerate(encoded) if (found := _values(each))}


def _file_of(model: bytes | bytearray) -> _File:
    try:
        return msgspec.json.decode(model, type=_File)
    except msgspec.DecodeError:  # because XGBoost writes NaN and Infinity, which are not JSON
        return msgspec.convert(json.loads(model), type=_File)


def _values(encoded: _Encoded) -> tuple[Any, ...]:
    values, offsets = encoded.get("values"), encoded.get("offsets")
    if not isinstance(values, list):
        return ()
    if not isinstance(offsets, list):
        return tuple(values)
    text = bytes(int(each) & 0xFF for each in values)  # because the bytes are written as numbers with a sign
    if not text.isascii():
        return (None,) * (len(offsets) - 1)
    ends = [int(each) for each in offsets]
    return tuple(text[start:end].decode() for start, end in pairwise(ends))

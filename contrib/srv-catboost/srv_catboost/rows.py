"""Rows: what a request brings, in the form from which CatBoost makes its pool fastest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, TypeAlias

import numpy as np

from srv import InferenceRequest, InvalidInput, ModelSettings, Spec, Tensor
from srv.errors import listed, quoted
from srv.tables import Column, ColumnsMissing, NoRows, RowCounts, Table, UnknownColumn
from srv_catboost.features import Feature

Array: TypeAlias = np.ndarray[Any, Any]

#: Below so many rows an array of objects makes a pool in less time than a DataFrame does, whose cost is by column.
_FEW_ROWS = 256
_FLOATS = frozenset({"FP16", "FP32", "FP64", "BF16"})


class UnfitVectors(InvalidInput):
    """An input is not a vector of the right length for each row."""

    def __init__(self, tensor: Tensor, length: int) -> None:
        super().__init__(
            f"Input {quoted(tensor.name)} is {tensor.datatype} {list(tensor.shape)}; the model takes a vector of {length} "
            f"floats for each row there, so it must be FP32 or FP64 [n, {length}]."
        )


class MissingInVector(InvalidInput):
    """A vector holds NaN or an infinity, for which CatBoost has no meaning."""

    def __init__(self, name: str, row: int) -> None:
        super().__init__(f"Input {quoted(name)}, row {row}: the vector holds a value that is missing or infinite.")


class NoForm(InvalidInput):
    """The request is a table in a form that cannot carry vectors."""

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__(
            f"The model takes vectors in {listed(map(quoted, names))}; send a tensor for each feature, by its name."
        )


class Rows:
    """Reads requests for a model of these features. One instance serves all threads."""

    def __init__(
        self,
        features: Sequence[Feature],
        columns: Sequence[Column],
        *,
        named: bool,
        settings: ModelSettings | None = None,
    ) -> None:
        self._width = len(features)
        self._features = features
        self._places = [place for place, feature in enumerate(features) if feature.kind != "embedding"]
        self._vectors = {f.name: place for place, f in enumerate(features) if f.kind == "embedding"}
        self._only_numbers = all(feature.kind in ("number", "dropped") for feature in features)
        is_whole = not any(column.optional for column in columns)
        make = partial(Table, columns, named=named, empty=False, settings=settings)
        self._array = make(frame=False)
        self._frame = make() if is_whole and not (self._only_numbers or self._vectors) else None

    def specs(self) -> list[Spec]:
        """Return the model's inputs: one for each feature where these have names, else one for all."""
        if not self._vectors:
            return [spec for spec in self._array.specs() if not spec.parameters.get("optional")]
        of_columns = iter(self._array.specs() if self._places else ())
        return [
            Spec("FP32", (-1, feature.length), name=feature.name) if feature.kind == "embedding" else next(of_columns)
            for feature in self._features
        ]

    def read(self, request: InferenceRequest) -> Any:
        """Return an array or a DataFrame of all features, in the order of training. Raises InvalidInput."""
        if self._vectors:
            return self._with_vectors(request)
        if self._only_numbers:
            return column_major(self._array.read(request))
        if self._frame is not None and _count(request) > _FEW_ROWS:
            return self._frame.read(request)
        return self._array.read(request)

    def example(self) -> Any:
        """Return one row that is made up."""
        if self._only_numbers:
            return np.zeros((1, self._width), dtype=np.float32)
        row = np.empty((1, self._width), dtype=object)
        for place, feature in enumerate(self._features):
            values = {"number": 0.0, "dropped": 0.0, "embedding": np.zeros(feature.length, dtype=np.float32)}
            row[0, place] = values.get(feature.kind, "")
        return row

    def _with_vectors(self, request: InferenceRequest) -> Array:
        given = {tensor.name: tensor for tensor in request.inputs if tensor.name in self._vectors}
        rest = [tensor for tensor in request.inputs if tensor.name not in self._vectors]
        if not given:
            raise NoForm(list(self._vectors))
        if missing := [name for name in self._vectors if name not in given]:
            raise ColumnsMissing(missing)
        vectors = {
            name: _vectors_of(given[name], self._features[place].length) for name, place in self._vectors.items()
        }
        first = next(iter(vectors))
        if not len(vectors[first]):
            raise NoRows
        rows = np.empty((len(vectors[first]), self._width), dtype=object)
        table = self._table_of(rest, request.parameters)
        if table is not None:
            if len(table) != len(rows):
                raise RowCounts(first, len(rows), rest[0].name, len(table))
            rows[:, self._places] = table
        for name, each in vectors.items():
            if len(each) != len(rows):
                raise RowCounts(first, len(rows), name, len(each))
            rows[:, self._vectors[name]] = np.fromiter(each, dtype=object, count=len(each))
        return rows

    def _table_of(self, rest: list[Tensor], parameters: Mapping[str, Any]) -> Array | None:
        """Return the features that are no vectors; None where there are none. Each has its own tensor."""
        names = [column.name for column in self._array.columns]
        for tensor in rest:
            if tensor.name not in names:
                raise UnknownColumn(tensor.name, [feature.name for feature in self._features])
        if not names:
            return None
        if not rest:
            raise ColumnsMissing(names)
        table: Array = self._array.read(InferenceRequest(rest, parameters=dict(parameters)))
        return table


def column_major(rows: Array) -> Array:
    """Return numbers as float32 by column, which is how CatBoost computes: it makes a pool of them without a copy.

    CatBoost converts other arrays likewise, number by number, in ten times the time.
    """
    with np.errstate(all="ignore"):  # because CatBoost says nothing of what float32 does not hold either
        return np.asfortranarray(rows, dtype=np.float32)


def _count(request: InferenceRequest) -> int:
    return request.inputs[0].shape[0] if request.inputs and request.inputs[0].shape else 0


def _vectors_of(tensor: Tensor, length: int) -> Array:
    """Return the vectors of a tensor `[n, length]` of floats."""
    if tensor.datatype not in _FLOATS or len(tensor.shape) != 2 or tensor.shape[1] != length:
        raise UnfitVectors(tensor, length)
    data = tensor.data
    if tensor.datatype == "BF16":
        data = (data.view(np.uint16).astype(np.uint32) << 16).view(np.float32)
    with np.errstate(all="ignore"):
        vectors = data.astype(np.float32)  # a copy, because CatBoost takes no vectors that are read-only
    wrong = ~np.isfinite(vectors).all(axis=1)
    if wrong.any():
        raise MissingInVector(tensor.name, int(wrong.argmax()))
    return vectors

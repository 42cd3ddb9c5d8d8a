"""What a model gives, as tensors: sequences of tensors are stacked, and maps become a column for each label."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from operator import itemgetter
from typing import Any

import numpy as np

from srv import Tensor
from srv.errors import ModelError, SrvError, listed, quoted
from srv.tensors import DTYPES
from srv_onnx.value_types import Value


class UnevenTensors(ModelError):
    """A model gives a sequence of tensors whose shapes differ, which are not one tensor."""

    def __init__(self, name: str, shapes: Sequence[tuple[int, ...]]) -> None:
        said = listed(dict.fromkeys(str(list(shape)) for shape in shapes))
        super().__init__(
            f"The output {quoted(name)} is a sequence of tensors of the shapes {said}, and only tensors of one shape can be "
            "sent together. Ask for one row at a time, or export the model with an output for each."
        )


class OtherLabels(ModelError):
    """A model gives a map without one of the labels that its file names."""

    def __init__(self, name: str) -> None:
        super().__init__(f"The output {quoted(name)} has a row without one of the labels that the model's file names.")


class UnknownLabels(SrvError):
    """The labels of a map are not in the file, so its values would have no names."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"The model's output {quoted(name)} is a map whose labels no ZipMap of the file says. Export the model with a "
            "tensor in its place; for skl2onnx that is options={'zipmap': False}."
        )


class Result:
    """One output of a model, and how its values become a tensor."""

    def __init__(self, value: Value, labels: Sequence[int | str] | None) -> None:
        if value.form == "map" and not labels:
            raise UnknownLabels(value.name)
        self.value = value
        self.labels = labels if value.form == "map" else None
        self._values_of = itemgetter(*labels or ("",))

    @property
    def shape(self) -> tuple[int, ...] | None:
        """The shape as the metadata says it; None where it is open."""
        return (-1, len(self.labels)) if self.labels else self.value.lengths

    def tensor(self, given: Any) -> Tensor:
        """Return what onnxruntime gave as a tensor. Raises ModelError."""
        value = self.value
        if self.labels:
            return Tensor(value.name, self._table(given), value.datatype)
        if value.form == "list":
            given = self._stacked(given)
        if value.datatype == "BYTES":
            return Tensor.trusted(value.name, _as_bytes(given), "BYTES")
        return Tensor(value.name, given, value.datatype)

    def _table(self, rows: Sequence[Mapping[int | str, float]]) -> np.ndarray[Any, Any]:
        assert self.labels is not None
        width = len(self.labels)
        values = map(self._values_of, rows)
        flat = (
            values if width == 1 else chain.from_iterable(values)
        )  # because itemgetter of one key gives its value alone
        try:
            table = np.fromiter(flat, DTYPES[self.value.datatype], len(rows) * width)
        except KeyError:
            raise OtherLabels(self.value.name) from None
        return table.reshape(-1, width)

    def _stacked(self, tensors: Sequence[Any]) -> np.ndarray[Any, Any]:
        arrays = [np.asarray(each) for each in tensors]
        if not arrays:
            return np.empty(0, DTYPES[self.value.datatype])
        if len({array.shape for array in arrays}) > 1:
            raise UnevenTensors(self.value.name, [array.shape for array in arrays])
        return np.stack(arrays)


def _as_bytes(texts: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    elements = np.empty(texts.size, dtype=object)
    elements[:] = [*map(str.encode, texts.reshape(-1).tolist())]
    return elements.reshape(texts.shape)

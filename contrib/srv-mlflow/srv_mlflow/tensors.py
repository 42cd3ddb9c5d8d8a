"""Models with tensors in their signature: requests become arrays of the signature's dtype and shape, by name or alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from mlflow.types import Schema

from srv import InferenceRequest, InvalidInput, Spec, Tensor
from srv.codecs import input_codec
from srv.errors import SrvError, listed, nearest, quoted
from srv.tensors import datatype_of

#: The name of the only input of a signature without names.
INPUT = "input"
#: The content type by which the elements of BYTES become values, for each kind of dtype that BYTES carries.
_CONTENT_TYPES = {"U": "str", "O": "str", "S": "base64", "M": "datetime"}


class UnfitDtype(SrvError):
    """The signature has a dtype that no tensor can carry."""

    def __init__(self, name: str, dtype: object) -> None:
        super().__init__(
            f"The tensor {quoted(name)} of the model's signature has the dtype {dtype}, which no datatype is like."
        )


class UnknownTensor(InvalidInput):
    """The request brings an input that the signature does not have."""

    def __init__(self, name: str, known: Sequence[str]) -> None:
        super().__init__(f"Input {quoted(name)} is unknown; the model takes {listed(known)}.{nearest(name, known)}")


class TensorMissing(InvalidInput):
    """The request leaves out an input of the signature."""

    def __init__(self, name: str, given: Sequence[str]) -> None:
        super().__init__(f"Input {quoted(name)} is missing; the request brings {listed(map(quoted, given))}.")


class UnfitTensor(InvalidInput):
    """An input has another datatype, shape or content type than the signature says."""

    def __init__(self, name: str, found: str, wanted: str) -> None:
        super().__init__(f"Input {quoted(name)} has {found}; the model takes {wanted}.")


class Tensors:
    """Reads requests as the arrays of the signature: a dict by name, or one array where the signature has no names."""

    def __init__(self, schema: Schema) -> None:
        self._is_named = schema.has_input_names()
        self._wanted = [_Wanted(spec, spec.name if self._is_named else INPUT) for spec in schema.inputs]
        self._by_name = {wanted.name: wanted for wanted in self._wanted}

    def specs(self) -> list[Spec]:
        """Return an input for each tensor of the signature."""
        return [wanted.spec for wanted in self._wanted]

    def read(self, request: InferenceRequest) -> Any:
        """Return the array or the dict of arrays. Raises an InvalidInput that names the input and what was expected."""
        if len(request.inputs) == len(self._wanted) == 1:  # which may have any name
            [tensor], [wanted] = request.inputs, self._wanted
            array = wanted.read(tensor)
            return {wanted.name: array} if self._is_named else array
        given = {tensor.name: tensor for tensor in request.inputs}
        for name in given:
            if name not in self._by_name:
                raise UnknownTensor(name, list(self._by_name))
        for name in self._by_name:
            if name not in given:
                raise TensorMissing(name, list(given))
        return {name: wanted.read(given[name]) for name, wanted in self._by_name.items()}

    def place_of_fault(self, data: Any) -> str:  # noqa: ARG002  as readers are asked
        """Return nothing: what MLflow checks of tensors is checked before."""
        return ""


class _Wanted:
    """One tensor of the signature: what it must be, and how it is read."""

    def __init__(self, spec: Any, name: str) -> None:
        self.name = name
        self._dtype: np.dtype[Any] = spec.type
        self._shape: tuple[int, ...] = tuple(spec.shape)
        self._content_type = _CONTENT_TYPES.get(self._dtype.kind)
        datatype = "BYTES" if self._content_type is not None else datatype_of(self._dtype)
        if datatype is None:
            raise UnfitDtype(name, self._dtype)
        self._datatype = datatype
        self.spec = spec_of(self._dtype, self._shape, name)

    def read(self, tensor: Tensor) -> Any:
        """Return the tensor's array in the dtype of the signature, without a copy where it is one of numbers."""
        if tensor.datatype != self._datatype:
            raise UnfitTensor(tensor.name, f"the datatype {tensor.datatype}", self._datatype)
        shape = tensor.shape
        if len(shape) != len(self._shape) or any(
            wanted not in (-1, length) for length, wanted in zip(shape, self._shape, strict=True)
        ):
            raise UnfitTensor(tensor.name, f"the shape {list(shape)}", f"{list(self._shape)}, -1 standing for any")
        given = tensor.parameters.get("content_type") if tensor.parameters else None
        if given not in (None, "np", self._content_type):
            raise UnfitTensor(
                tensor.name, f"the content type {quoted(given)}", self._content_type or "numbers without one"
            )
        if self._content_type is None:
            return tensor.data
        values = input_codec(self._content_type).decode(Tensor.trusted(tensor.name, tensor.data.reshape(-1), "BYTES"))
        if self._dtype.kind == "S" and any(value.endswith(b"\0") for value in values):
            raise UnfitTensor(
                tensor.name, "bytes that end with a zero", "bytes that NumPy's fixed-width dtype can hold"
            )
        array = np.empty(len(values), dtype=object)
        array[:] = values
        return array.reshape(shape) if self._dtype.kind == "O" else array.astype(self._dtype).reshape(shape)


def spec_of(dtype: np.dtype[Any], shape: Sequence[int], name: str) -> Spec:
    """Return a tensor of a signature as metadata has it."""
    content_type = _CONTENT_TYPES.get(dtype.kind)
    if content_type is None:
        return Spec(datatype_of(dtype), tuple(shape), name=name)
    return Spec("BYTES", tuple(shape), name=name, parameters={"content_type": content_type})

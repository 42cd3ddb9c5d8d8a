"""Tensors of BYTES as lists of values: each element is the text of one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from srv.errors import InvalidInput, SrvError, quoted
from srv.tensors import Tensor


class Unreadable(InvalidInput):
    """A tensor is not of the content type by which it is read."""

    def __init__(self, name: str, content_type: str, why: str) -> None:
        super().__init__(f"Tensor {quoted(name)} cannot be read as content type '{content_type}': {why}.")


class Unwritable(SrvError):
    """A value is not of the content type by which it is written."""

    def __init__(self, name: str, content_type: str, why: str) -> None:
        super().__init__(f"Tensor '{name}' cannot be written as content type '{content_type}': {why}.")


def read_elements(tensor: Tensor, content_type: str) -> Sequence[bytes]:
    """Return the elements in order.

    Raises Unreadable for another datatype than BYTES, for another shape than [N] or [N,1], and for missing values.
    """
    if tensor.datatype != "BYTES":
        raise Unreadable(tensor.name, content_type, f"its datatype is {tensor.datatype}, not BYTES")
    if tensor.missing:
        raise Unreadable(tensor.name, content_type, "it holds null, which this content type has no value for")
    elements: list[bytes] = flat(tensor, content_type).tolist()
    return elements


def flat(tensor: Tensor, content_type: str) -> np.ndarray[Any, Any]:
    """Return the array in one dimension. Raises Unreadable if its shape is not [N] or [N,1]."""
    if len(tensor.shape) != 1 and not (len(tensor.shape) == 2 and tensor.shape[1] == 1):
        raise Unreadable(tensor.name, content_type, f"its shape is {list(tensor.shape)}, not [N] or [N,1]")
    return tensor.data.reshape(-1)


def check_elements(name: str, values: Iterable[object], kind: type, content_type: str) -> None:
    """Raise Unwritable if a value is not of the type of the content type."""
    for place, value in enumerate(values):
        if not isinstance(value, kind):
            why = f"element {place} is of type {type(value).__name__}, not {kind.__name__}"
            raise Unwritable(name, content_type, why)


def write_elements(name: str, elements: Sequence[bytes], content_type: str) -> Tensor:
    """Return a tensor of shape [N] that names its content type."""
    array = np.empty(len(elements), dtype=object)
    array[:] = elements
    return Tensor.trusted(name, array, "BYTES", {"content_type": content_type})

"""Comparisons of answers, tensors and values, as tests mean them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from srv.messages import InferenceResponse
from srv.model_settings import Spec
from srv.tensors import Tensor

#: Sums in another order differ in their last digits; so many digits must agree.
_TOLERANCE = {"FP16": 1e-2, "FP32": 1e-5, "FP64": 1e-8}


def differences(given: InferenceResponse, wanted: InferenceResponse) -> str:
    """Return what differs between two responses, as the end of a sentence; empty if nothing does."""
    names, others = [one.name for one in given.outputs], [one.name for one in wanted.outputs]
    if names != others:
        return f"its outputs are {names} and not {others}"
    return next(filter(None, map(different, given.outputs, wanted.outputs)), "")


def different(given: Tensor, wanted: Tensor) -> str:
    """Return what differs between two tensors; the last digits of floats may differ."""
    if (given.datatype, given.shape) != (wanted.datatype, wanted.shape):
        return f"'{given.name}' is {given.datatype} {list(given.shape)} and not {wanted.datatype} {list(wanted.shape)}"
    return "" if _close(given.data, wanted.data, given.datatype) else f"'{given.name}' is {_both(given, wanted)}"


def unlike(given: Tensor, expected: Any) -> str:
    """Return what differs between a tensor and the values that a test expects, whatever their datatype."""
    if isinstance(expected, Tensor):
        return different(given, expected)
    wanted = Tensor(given.name, expected)
    if given.shape != wanted.shape:
        return f"'{given.name}' has the shape {list(given.shape)} and not {list(wanted.shape)}"
    return "" if _close(given.data, wanted.data, given.datatype) else f"'{given.name}' is {_both(given, wanted)}"


def equal(given: Any, wanted: Any) -> bool:
    """Whether two Python values are the same: arrays by type, shape and elements, tables by their own comparison."""
    if isinstance(given, np.ndarray) or isinstance(wanted, np.ndarray):
        return _equal_arrays(np.asarray(given), np.asarray(wanted))
    if type(given) is not type(wanted):
        return False
    if isinstance(given, Mapping):
        return given.keys() == wanted.keys() and all(equal(value, wanted[key]) for key, value in given.items())
    if isinstance(given, list | tuple):
        return len(given) == len(wanted) and all(map(equal, given, wanted))
    if callable(getattr(given, "equals", None)):
        return bool(given.equals(wanted))
    return bool(given == wanted) or (given != given and wanted != wanted)


def _equal_arrays(given: np.ndarray[Any, Any], wanted: np.ndarray[Any, Any]) -> bool:
    if given.shape != wanted.shape or given.dtype.newbyteorder("=") != wanted.dtype.newbyteorder("="):
        return False
    return bool(np.array_equal(given, wanted, equal_nan=given.dtype.kind == "f"))


def _close(given: np.ndarray[Any, Any], wanted: np.ndarray[Any, Any], datatype: str) -> bool:
    tolerance = _TOLERANCE.get(datatype)
    if tolerance is None or wanted.dtype.kind not in "fiu":
        return bool(np.array_equal(given, wanted))
    return bool(np.allclose(given, wanted, rtol=tolerance, atol=tolerance * 1e-3, equal_nan=True))


def _both(given: Tensor, wanted: Tensor) -> str:
    return f"{_short(given)} and not {_short(wanted)}"


def _short(tensor: Tensor) -> str:
    return np.array2string(tensor.data, threshold=8, separator=", ").replace("\n", "")


def fits(tensor: Tensor, spec: Spec) -> bool:
    """Whether a tensor is what a Spec declares."""
    if spec.datatype not in (None, tensor.datatype):
        return False
    if spec.shape is None:
        return True
    return len(spec.shape) == len(tensor.shape) and all(
        wanted in (-1, length) for wanted, length in zip(spec.shape, tensor.shape, strict=True)
    )


def shown(spec: Spec) -> str:
    """Return a Spec as a sentence shows it."""
    shape = "of any shape" if spec.shape is None else str(list(spec.shape))
    return f"{spec.datatype or 'any datatype'} {shape}"

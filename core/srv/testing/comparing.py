"""Whether two answers, tensors or values are the same, as a test means it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from srv.messages import InferenceResponse
from srv.tensors import Tensor

#: Sums in another order differ in their last digits; so many digits must agree.
_TOLERANCE = {"FP16": 1e-2, "FP32": 1e-5, "FP64": 1e-8}


def differences(given: InferenceResponse, wanted: InferenceResponse) -> str:
    """What differs between two responses, in a sentence's end; nothing where they are the same."""
    names, others = [one.name for one in given.outputs], [one.name for one in wanted.outputs]
    if names != others:
        return f"its outputs are {names} and not {others}"
    return next(filter(None, map(different, given.outputs, wanted.outputs)), "")


def different(given: Tensor, wanted: Tensor) -> str:
    """What differs between two tensors; the last digits of floats may."""
    if (given.datatype, given.shape) != (wanted.datatype, wanted.shape):
        return f"'{given.name}' is {given.datatype} {list(given.shape)} and not {wanted.datatype} {list(wanted.shape)}"
    return "" if _close(given.data, wanted.data, given.datatype) else f"'{given.name}' is {_both(given, wanted)}"


def unlike(given: Tensor, expected: Any) -> str:
    """What differs between a tensor and the values that a test expects, whatever their datatype."""
    if isinstance(expected, Tensor):
        return different(given, expected)
    wanted = Tensor(given.name, expected)
    if given.shape != wanted.shape:
        return f"'{given.name}' has the shape {list(given.shape)} and not {list(wanted.shape)}"
    return "" if _close(given.data, wanted.data, given.datatype) else f"'{given.name}' is {_both(given, wanted)}"


def equal(given: Any, wanted: Any) -> bool:
    """Whether two Python values are the same: arrays by type, shape and elements, tables by their own word."""
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

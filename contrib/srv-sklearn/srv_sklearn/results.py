"""Results of an estimator's methods, as tensors."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import numpy as np
import orjson

from srv import Tensor
from srv.errors import SrvError


class UnfitResult(SrvError):
    """A method gave values that no tensor can carry."""

    def __init__(self, name: str, kind: str) -> None:
        super().__init__(f"The estimator's {name} gave a {kind}, which no tensor can carry.")


def as_tensor(name: str, result: Any) -> Tensor:
    """Return a method's result as one tensor: sparse arrays filled in, an array for each target stacked to one.

    Objects that are all text, booleans or numbers get the datatype of these; a mixture, such as a transformer's table of
    numbers and words, becomes JSON values, with the content type `json`.
    """
    if hasattr(result, "toarray"):
        return Tensor(name, np.asarray(result.toarray()))
    if isinstance(result, list) and all(isinstance(each, np.ndarray) for each in result):
        return Tensor(name, np.stack(result, axis=1))
    array = np.asarray(result)
    return _of_objects(name, array) if array.dtype.kind == "O" else Tensor(name, array)


def _of_objects(name: str, array: np.ndarray[Any, Any]) -> Tensor:
    values = array.reshape(-1).tolist()
    kinds = {type(value) for value in values}
    if kinds <= {str, bytes}:
        return Tensor(name, array, "BYTES")
    for members, dtype in (({bool, np.bool_}, np.bool_), ({int}, np.int64), ({int, float}, np.float64)):
        if kinds <= members:
            return Tensor(name, array.astype(dtype))
    elements = np.empty(len(values), dtype=object)
    elements[:] = [_in_json(name, value) for value in values]
    return Tensor(name, elements.reshape(array.shape), "BYTES", parameters={"content_type": "json"})


def _in_json(name: str, value: Any) -> bytes:
    if type(value).__name__ in ("NAType", "NaTType"):
        value = None
    elif isinstance(value, datetime):
        value = value.isoformat()  # because orjson takes no subclass of datetime, such as pandas' Timestamp
    try:
        return orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY)
    except TypeError:
        if type(value) is int:  # of more than 64 bits
            return str(value).encode()
        raise UnfitResult(name, type(value).__name__) from None

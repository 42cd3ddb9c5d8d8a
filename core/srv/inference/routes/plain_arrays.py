"""Arrays and scalars of NumPy as JSON, of whatever layout and datatype."""

from __future__ import annotations

from typing import Any

import numpy as np
import orjson

_NUMBERS = "biuf"


def plain(value: object) -> Any:
    """Return what orjson can write in place of an array or a scalar of NumPy. Raises TypeError for anything else.

    orjson itself takes contiguous arrays only, and writes NaT as 1970-01-01.
    """
    if not isinstance(value, np.ndarray | np.generic):
        raise TypeError(f"{type(value).__name__} is not from NumPy")
    kind = value.dtype.kind
    if kind == "M":
        missing: Any = np.array("NaT", value.dtype)
        times: Any = value.filled(missing) if isinstance(value, np.ma.MaskedArray) else value
        return np.where(np.isnat(times), np.array(None), np.datetime_as_string(times)).tolist()
    if kind == "f" and value.dtype.itemsize not in (4, 8):
        value = value.astype(np.float64)
    if kind in _NUMBERS and value.ndim and not isinstance(value, np.ma.MaskedArray):
        numbers = np.ascontiguousarray(value, value.dtype.newbyteorder("="))
        return orjson.Fragment(orjson.dumps(numbers, option=orjson.OPT_SERIALIZE_NUMPY))
    return value.tolist()

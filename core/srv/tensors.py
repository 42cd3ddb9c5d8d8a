"""Datatypes of the protocol and the tensor: a name, an array, and what the wire calls them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np

from srv.errors import SrvError, listed

Parameters = Mapping[str, Any]
EMPTY: Parameters = MappingProxyType({})

#: Every datatype of the Open Inference Protocol, and the numpy dtype that holds it. BYTES is an object array of
#: `bytes`; BF16 has no numpy type of its own and travels as its 16 bits.
DTYPES: Mapping[str, np.dtype[Any]] = MappingProxyType(
    {
        "BOOL": np.dtype(np.bool_),
        "UINT8": np.dtype(np.uint8),
        "UINT16": np.dtype(np.uint16),
        "UINT32": np.dtype(np.uint32),
        "UINT64": np.dtype(np.uint64),
        "INT8": np.dtype(np.int8),
        "INT16": np.dtype(np.int16),
        "INT32": np.dtype(np.int32),
        "INT64": np.dtype(np.int64),
        "FP16": np.dtype(np.float16),
        "FP32": np.dtype(np.float32),
        "FP64": np.dtype(np.float64),
        "BYTES": np.dtype(np.object_),
        "BF16": np.dtype(np.uint16),
    }
)
_NAMES = {dtype: name for name, dtype in DTYPES.items() if name != "BF16"}
_PLAIN = {dtype: name for dtype, name in _NAMES.items() if name != "BYTES"}
_BFLOAT16 = "bfloat16"  # the name of ml_dtypes' type, which need not be installed


class UnfitArray(SrvError):
    """A value that cannot be the tensor it was meant to be."""

    def __init__(self, name: str, why: str) -> None:
        super().__init__(f"Tensor '{name}' {why}")


class Tensor:
    """One named array on its way in or out.

    `data` is a C-contiguous numpy array in native byte order; for BYTES an object array of `bytes`; for BF16 uint16,
    or ml_dtypes.bfloat16 where that is installed. `datatype` and `shape` follow from an array or a list when left
    out; given, they must fit it: no value is wrapped or truncated. Raises UnfitArray where they do not.
    """

    __slots__ = ("data", "datatype", "name", "parameters", "shape")

    def __init__(
        self,
        name: str,
        data: Any,
        datatype: str | None = None,
        shape: Sequence[int] | None = None,
        parameters: Parameters = EMPTY,
    ) -> None:
        plain = _PLAIN.get(data.dtype) if type(data) is np.ndarray and datatype is None else None
        if plain is not None and data.flags.c_contiguous:
            array, datatype = data, plain  # the usual answer of a model, as it is
        else:
            array = _as_array(name, data, datatype)
        if shape is not None and array.shape != tuple(shape):
            array = _reshaped(name, array, tuple(shape))
        self.name = name
        self.data: np.ndarray[Any, Any] = array
        self.datatype: str = datatype or datatype_of(array.dtype) or ""
        self.shape: tuple[int, ...] = array.shape
        self.parameters: Parameters = parameters

    @classmethod
    def trusted(cls, name: str, array: np.ndarray[Any, Any], datatype: str, parameters: Parameters = EMPTY) -> Tensor:
        """A tensor of an array that is known to be right: contiguous, native, of the datatype's dtype."""
        tensor = cls.__new__(cls)
        tensor.name = name
        tensor.data = array
        tensor.datatype = datatype
        tensor.shape = array.shape
        tensor.parameters = parameters
        return tensor

    def __repr__(self) -> str:
        return f"Tensor({self.name!r}, {self.datatype}{list(self.shape)})"


def datatype_of(dtype: np.dtype[Any]) -> str | None:
    """The protocol's name for a numpy dtype of any byte order, or None where it has none."""
    name = _NAMES.get(dtype)
    if name is not None:
        return name
    if dtype.kind in "US":
        return "BYTES"
    return "BF16" if dtype.name == _BFLOAT16 else _NAMES.get(dtype.newbyteorder("="))


def as_bytes(name: str, values: Any) -> np.ndarray[Any, Any]:
    """An array of strings or bytes as the object array of `bytes` that BYTES means; str becomes UTF-8."""
    array = np.asarray(values, dtype=object, order="C")
    flat = array.reshape(-1)
    if all(type(value) is bytes for value in flat):
        return array
    encoded = np.empty(array.shape, dtype=object)
    target = encoded.reshape(-1)
    for place, value in enumerate(flat):
        if isinstance(value, str):
            target[place] = value.encode()
        elif isinstance(value, bytes):
            target[place] = bytes(value)
        else:
            raise UnfitArray(name, f"holds a {type(value).__name__} where BYTES takes only str and bytes.")
    return encoded


def _as_array(name: str, data: Any, datatype: str | None) -> np.ndarray[Any, Any]:
    if datatype is not None and datatype not in DTYPES:
        raise UnfitArray(name, f"has the unknown datatype '{datatype}'; there are {listed(DTYPES)}.")
    if datatype == "BYTES":
        return as_bytes(name, data)
    try:
        array = np.asarray(data, order="C")
    except ValueError:
        raise UnfitArray(name, "is ragged: its rows have different lengths.") from None
    if array.dtype.kind in "OSU" and datatype is None:
        # Of a list its own elements, because numpy's arrays of text drop zero bytes at an end.
        return as_bytes(name, array if isinstance(data, np.ndarray) else data)
    found = datatype_of(array.dtype)
    if found is None or array.dtype.kind == "O":
        raise UnfitArray(name, f"holds {array.dtype}, which no datatype of the protocol can carry.")
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    if datatype is None or found == datatype or (datatype == "BF16" and array.dtype == np.uint16):
        return array
    return _converted(name, array, datatype)


def _converted(name: str, array: np.ndarray[Any, Any], datatype: str) -> np.ndarray[Any, Any]:
    """The array as another datatype, where that loses no more than a float's precision."""
    wanted = DTYPES[datatype]
    if datatype != "BF16" and array.size == 0:
        return array.astype(wanted)
    if datatype == "BF16" or not np.can_cast(array.dtype, wanted, casting="same_kind"):
        both_integers = array.dtype.kind in "iu" and wanted.kind in "iu"
        if not both_integers or datatype == "BF16":
            raise UnfitArray(name, f"is said to be {datatype}, but its array is {datatype_of(array.dtype)}.")
    if wanted.kind in "iu" and array.dtype.kind in "iu":
        limits = np.iinfo(wanted)
        low, high = int(array.min()), int(array.max())
        if low < limits.min or high > limits.max:
            raise UnfitArray(name, f"holds {low if low < limits.min else high}, which is out of {datatype}'s range.")
    return array.astype(wanted)


def _reshaped(name: str, array: np.ndarray[Any, Any], shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
    try:
        return array.reshape(shape)
    except ValueError:
        raise UnfitArray(name, f"has {array.size} values, which do not fill the shape {list(shape)}.") from None

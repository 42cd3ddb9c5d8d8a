"""Typed contents: a tensor's values in the one repeated field that fits its datatype.

Floats and booleans are packed on the wire as they are in memory, so they come and go as bytes; integers are packed as
numbers of any length, and go through Python one by one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from srv.errors import InvalidInput
from srv.grpc.wire_format import head
from srv.tensors import Tensor
from srv.wire.errors import OutOfRange, WrongCount
from srv.wire.raw_tensors import dtype_of, size_of

#: Datatype → its field in InferTensorContents.
FIELDS: Mapping[str, str] = {
    "BOOL": "bool_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}
#: Fields that are packed as in memory, and their tags.
_PACKED: Mapping[str, int] = {"bool_contents": 1 << 3 | 2, "fp32_contents": 6 << 3 | 2, "fp64_contents": 7 << 3 | 2}
_OF_INTEGERS: Mapping[str, np.dtype[Any]] = {
    "int_contents": np.dtype(np.int32),
    "int64_contents": np.dtype(np.int64),
    "uint_contents": np.dtype(np.uint32),
    "uint64_contents": np.dtype(np.uint64),
}


class OnlyRaw(InvalidInput):
    """A datatype that has no typed form."""

    def __init__(self, where: str, datatype: str) -> None:
        super().__init__(f"{where}.datatype: {datatype} has no typed contents; send it in raw_input_contents.")


class WrongField(InvalidInput):
    """Contents in a field that is another datatype's."""

    def __init__(self, where: str, given: str, datatype: str) -> None:
        super().__init__(f"{where}.contents.{given} is given, and {datatype} belongs in {FIELDS[datatype]}.")


def read_contents(contents: Any, datatype: str, shape: Sequence[int], where: str) -> np.ndarray[Any, Any]:
    """Return the read-only array that an InferTensorContents holds. Raises InvalidInput naming what is wrong."""
    dtype = dtype_of(datatype, where)
    size = size_of(shape, dtype.itemsize, where)
    field = FIELDS.get(datatype)
    if field is None:
        raise OnlyRaw(where, datatype)
    for given, _ in contents.ListFields():
        if given.name != field:
            raise WrongField(where, given.name, datatype)
    values = getattr(contents, field)
    place = f"{where}.contents.{field}"
    if len(values) != size:
        raise WrongCount(place, len(values), shape)
    if not size:
        array = np.empty(0, dtype)
    elif field in _PACKED:
        array = np.frombuffer(_packed(contents), dtype.newbyteorder("<"), size).astype(dtype)
    elif datatype == "BYTES":
        array = np.empty(size, dtype)
        array[:] = list(values)
    else:
        array = _narrowed(np.fromiter(values, _OF_INTEGERS[field], size), dtype, datatype, place)
    array = array.reshape(shape)
    array.flags.writeable = False
    return array


def write_contents(tensor: Tensor, contents: Any) -> None:
    """Fill an InferTensorContents with the values of a tensor, whose datatype has a field."""
    field = FIELDS[tensor.datatype]
    flat = tensor.data.reshape(-1)
    if field in _PACKED:
        data = flat.astype(flat.dtype.newbyteorder("<"), copy=False).tobytes()
        contents.MergeFromString(head(_PACKED[field], len(data)) + data)
    else:
        getattr(contents, field).extend(flat.tolist())


def _packed(contents: Any) -> memoryview:
    """Return the bytes of the one field that is filled, a packed one: they follow a tag and a length."""
    data = contents.SerializeToString()
    start = 1
    while data[start] & 0x80:
        start += 1
    return memoryview(data)[start + 1 :]


def _narrowed(array: np.ndarray[Any, Any], dtype: np.dtype[Any], datatype: str, where: str) -> np.ndarray[Any, Any]:
    if array.dtype == dtype:
        return array
    limits = np.iinfo(dtype)
    for value in (array.min(), array.max()):
        if not limits.min <= value <= limits.max:
            raise OutOfRange(where, value, datatype)
    return array.astype(dtype)

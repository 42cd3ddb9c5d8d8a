"""Datatypes of the protocol and the tensor: a name, an array, and what the wire calls them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from types import MappingProxyType
from typing import Any

import numpy as np

from srv.arrays import NotPlain, element_place, plain_array, words_for
from srv.datatypes import DATATYPES
from srv.errors import SrvError, listed

Parameters = Mapping[str, Any]
EMPTY: Parameters = MappingProxyType({})

#: numpy types whose names do not follow from the datatype's. BYTES is an object array of `bytes`; BF16 has no numpy type
#: of its own and travels as its 16 bits.
_OTHER_TYPES = {"BOOL": np.bool_, "BYTES": np.object_, "BF16": np.uint16}
#: Every datatype of the Open Inference Protocol, and the numpy dtype that holds it.
DTYPES: Mapping[str, np.dtype[Any]] = MappingProxyType(
    {name: np.dtype(_OTHER_TYPES.get(name, name.lower().replace("fp", "float"))) for name in DATATYPES}
)
_NAMES = {dtype: name for name, dtype in DTYPES.items() if name != "BF16"}
_PLAIN = {dtype: name for dtype, name in _NAMES.items() if name != "BYTES"}
_BFLOAT16 = "bfloat16"  # the name of ml_dtypes' type, which need not be installed


#: Content type → the element of BYTES that means "missing" there, and is null in JSON.
_NULLS: Mapping[str, bytes] = MappingProxyType({"datetime": b"null"})


class UnfitArray(SrvError):
    """A value that cannot be the tensor it was meant to be."""

    def __init__(self, name: str, why: str) -> None:
        super().__init__(f"Tensor '{name}' {why}")


class Tensor:
    """One named array on its way in or out.

    `data` is a C-contiguous numpy array in native byte order; for BYTES an object array of `bytes`; for BF16 uint16,
    or ml_dtypes.bfloat16 where that is installed. `datatype` and `shape` follow from an array or a list when left
    out; given, they must fit it: no value is wrapped or truncated. Raises UnfitArray where they do not.

    `missing` says whether elements of BYTES are None, which only requests in JSON can say.
    """

    __slots__ = ("data", "datatype", "missing", "name", "parameters", "shape")

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
        self.missing: bool = self.datatype == "BYTES" and None in array.reshape(-1).tolist()

    @classmethod
    def trusted(
        cls,
        name: str,
        array: np.ndarray[Any, Any],
        datatype: str,
        parameters: Parameters = EMPTY,
        *,
        missing: bool = False,
    ) -> Tensor:
        """Make a tensor without checks, of an array that is contiguous, native, and of the datatype's dtype.

        `missing` must be true where elements of BYTES are None.
        """
        tensor = cls.__new__(cls)
        tensor.name = name
        tensor.data = array
        tensor.datatype = datatype
        tensor.shape = array.shape
        tensor.parameters = parameters
        tensor.missing = missing
        return tensor

    def named(self, name: str) -> Tensor:
        """The tensor under that name, with the same array; itself where it has that name."""
        if self.name == name:
            return self
        return Tensor.trusted(name, self.data, self.datatype, self.parameters, missing=self.missing)

    def copied(self) -> Tensor:
        """The tensor with a copy of its array, which may be written into."""
        return Tensor.trusted(self.name, np.array(self.data), self.datatype, self.parameters, missing=self.missing)

    def __repr__(self) -> str:
        return f"Tensor({self.name!r}, {self.datatype}{list(self.shape)})"


def datatype_of(dtype: np.dtype[Any]) -> str | None:
    """The protocol's name for a numpy dtype of any byte order, or None where it has none."""
    name = _NAMES.get(dtype)
    if name is not None:
        return name
    if dtype.kind in "UST":
        return "BYTES"
    if dtype.name == _BFLOAT16:
        return "BF16"
    return _NAMES.get(dtype.newbyteorder("=")) if dtype.kind in "biufO" else None


def null_of(parameters: Parameters) -> bytes | None:
    """The element of BYTES that null in JSON becomes, by the tensor's content type; None where null is refused."""
    return _NULLS.get(parameters.get("content_type")) if parameters else None  # type: ignore[arg-type]  # any value


def as_bytes(name: str, values: Any) -> np.ndarray[Any, Any]:
    """An array of strings or bytes as the object array of `bytes` that BYTES means; str becomes UTF-8, None stays."""
    array = np.asarray(values, dtype=object, order="C")
    flat = array.reshape(-1)
    if all(type(value) is bytes for value in flat):
        return array
    encoded = np.empty(array.shape, dtype=object)
    target = encoded.reshape(-1)
    for number, value in enumerate(flat):
        if isinstance(value, str):
            try:
                target[number] = value.encode()
            except UnicodeEncodeError:
                why = "holds half of a surrogate pair{}, which UTF-8 cannot say"
                raise UnfitArray(name, why.format(_at(array, number)) + ".") from None
        elif isinstance(value, bytes):
            target[number] = bytes(value)
        elif value is None:
            continue  # an empty object array is full of None
        else:
            raise UnfitArray(name, f"holds {words_for(value)}{_at(array, number)}, and {_what_bytes_take(value)}.")
    return encoded


def _at(array: np.ndarray[Any, Any], number: int) -> str:
    """`` at [3]`` for an element of an array, nothing for a scalar."""
    place = element_place(array.shape, number)
    return f" at {place}" if place else ""


def _what_bytes_take(value: object) -> str:
    if isinstance(value, int | float | np.number | np.bool_):
        return "an array of objects takes only str and bytes; give numbers a dtype of their own, with NaN for None"
    if isinstance(value, date):
        return "BYTES takes only str and bytes; the content type 'datetime' sends datetimes"
    return "BYTES takes only str and bytes"


#: Kind of a numpy dtype that no datatype carries → what to send instead.
_INSTEAD: Mapping[str, str] = MappingProxyType(
    {
        "c": "send its real and its imaginary part",
        "f": "make it float64 with x.astype('float64')",
        "m": "send it as numbers, such as its seconds",
        "M": "the content type 'datetime' sends it",
        "V": "send each of its fields as a tensor",
    }
)


def instead_of(dtype: np.dtype[Any]) -> str:
    """Return what to send in place of an array that no datatype carries; empty where srv does not know."""
    return _INSTEAD.get(dtype.kind, "") if datatype_of(dtype) is None else ""


def _as_array(name: str, data: Any, datatype: str | None) -> np.ndarray[Any, Any]:
    if datatype is not None and datatype not in DTYPES:
        raise UnfitArray(name, f"has the unknown datatype '{datatype}'; there are {listed(DTYPES)}.")
    try:
        array = plain_array(data, floats=datatype is not None and datatype.startswith("FP"))
    except NotPlain as error:
        raise UnfitArray(name, f"{error}.") from error.__cause__
    if datatype == "BYTES" or (datatype is None and array.dtype.kind in "OSUT"):
        # Of a list its own elements, because numpy's arrays of text drop zero bytes at an end.
        return as_bytes(name, data if isinstance(data, list | tuple | str | bytes) else array)
    found = datatype_of(array.dtype)
    if found is None or array.dtype.kind == "O":
        instead = instead_of(array.dtype)
        raise UnfitArray(
            name,
            f"holds {array.dtype}, which no datatype of the protocol can carry{f'; {instead}' if instead else ''}.",
        )
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
    with np.errstate(all="ignore"):  # because a model may have set numpy to raise in this thread
        converted = array.astype(wanted)
        beyond = np.isinf(converted) & np.isfinite(array)
    if beyond.any():
        number = int(beyond.reshape(-1).argmax())
        raise UnfitArray(name, f"holds {array.reshape(-1)[number]}, which is out of {datatype}'s range.")
    return converted


def _reshaped(name: str, array: np.ndarray[Any, Any], shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
    try:
        return array.reshape(shape)
    except ValueError:
        raise UnfitArray(name, f"has {array.size} values, which do not fill the shape {list(shape)}.") from None

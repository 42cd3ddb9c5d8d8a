"""Hints that mean an array, however they are written: the datatypes that they allow, and the dimensions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, get_args, get_origin

import msgspec
import numpy as np
from numpy.typing import ArrayLike

from srv.codec import InputCodec
from srv.errors import InvalidInput, listed, quoted
from srv.inference.signatures.errors import BadHint
from srv.inference.signatures.hints import is_union, members_of, shown, unwrapped
from srv.tensors import DTYPES, Tensor, datatype_of

_ANY_LENGTH = -1
_ARRAY_LIKE = unwrapped(ArrayLike).type  # an alias since NumPy 2.5, a union before


class NotArrayOfStr(InvalidInput):
    """An input of BYTES that is not the text that the model takes."""

    def __init__(self, tensor: Tensor, what: str) -> None:
        super().__init__(f"Input {quoted(tensor.name)} holds {what}; the model takes an array of str.")


class Array(msgspec.Struct, frozen=True):
    """What a hint says of an array: the datatypes that it may have, and its shape; None leaves either open.

    `text` is the dtype of an array of str, which BYTES are made into.
    """

    datatypes: frozenset[str] | None = None
    shape: tuple[int, ...] | None = None
    text: np.dtype[Any] | None = None

    @property
    def datatype(self) -> str | None:
        """The datatype, where only one is allowed; else None."""
        if self.datatypes is None or len(self.datatypes) != 1:
            return None
        return next(iter(self.datatypes))


def array_of(hint: Any) -> Array | None:
    """Return what an unwrapped hint says of an array; None where it means something else.

    Raises BadHint for an array that no tensor can be.
    """
    if hint is np.ndarray or hint == _ARRAY_LIKE:
        return Array()
    if is_union(hint):
        arrays = [array_of(member) for member in get_args(hint)]
        found = [array for array in arrays if array is not None]
        return _either(found) if len(found) == len(arrays) else None
    if get_origin(hint) is not np.ndarray:
        return None
    shape, *dtype = get_args(hint)
    if not dtype:
        scalars = [one for one in members_of(shape) if isinstance(one, type) and issubclass(one, np.generic)]
        if scalars:
            raise BadHint(
                f"{shown(hint)}, which names a datatype where a shape belongs; write NDArray[np.{scalars[0].__name__}]"
            )
        return Array(None, _shape(shape))
    return Array(_datatypes(dtype[0], hint), _shape(shape), _text(dtype[0]))


def array_among(hint: Any) -> Array | None:
    """Return what a hint says of an array, also where only some members of a union are arrays."""
    array = array_of(hint)
    if array is None and is_union(hint):
        found = [each for each in map(array_of, get_args(hint)) if each is not None]
        return _either(found) if found else None
    return array


def text_reader(codec: InputCodec, dtype: np.dtype[Any]) -> Callable[[Tensor], np.ndarray[Any, Any]]:
    """Return the function that reads an array of str through a codec of arrays. Raises NotArrayOfStr for what is none."""

    def decode(tensor: Tensor) -> np.ndarray[Any, Any]:
        if tensor.missing:
            raise NotArrayOfStr(tensor, "missing values")
        try:
            texts = [element.decode() for element in codec.decode(tensor).reshape(-1)]
        except UnicodeDecodeError:
            raise NotArrayOfStr(tensor, "bytes that are not UTF-8") from None
        if dtype.kind == "U" and any(text.endswith("\0") for text in texts):
            raise NotArrayOfStr(tensor, "text that ends in NUL, which np.str_ drops")
        return np.array(texts, dtype).reshape(tensor.shape)

    return decode


def _text(dtype: Any) -> np.dtype[Any] | None:
    """Return the dtype of an array of str, where that is all that the second argument of ndarray names."""
    found = []
    for member in members_of(dtype):
        inner = get_args(member) if get_origin(member) is np.dtype else (member,)
        found += list(members_of(inner[0]))
    if len(found) == 1 and isinstance(found[0], type):
        if issubclass(found[0], str):
            return np.dtype(np.str_)
        if issubclass(found[0], np.dtype) and getattr(found[0], "type", None) is str:
            string: np.dtype[Any] = np.dtypes.StringDType()  # type: ignore[attr-defined,unused-ignore]  # NumPy 2's
            return string
        if issubclass(found[0], np.dtype) and getattr(found[0], "type", None) is np.str_:
            return np.dtype(np.str_)
    return None


def _either(arrays: list[Array]) -> Array:
    """Return an Array that allows whatever one of these allows."""
    several = [array.datatypes for array in arrays if array.datatypes is not None]
    shapes = {array.shape for array in arrays}
    return Array(
        frozenset().union(*several) if len(several) == len(arrays) else None, shapes.pop() if len(shapes) == 1 else None
    )


def _datatypes(dtype: Any, hint: Any) -> frozenset[str] | None:
    """Return the datatypes that the second argument of ndarray allows; None for all."""
    found: set[str] = set()
    for member in members_of(dtype):
        inner = get_args(member) if get_origin(member) is np.dtype else (member,)
        for scalar in members_of(inner[0]):
            datatypes = datatypes_of_scalar(scalar)
            if datatypes is None:
                return None
            if not datatypes:
                numbers = listed(name for name in DTYPES if name != "BF16")
                raise BadHint(
                    f"{shown(hint)}, an array of {shown(scalar)}, which no datatype of the protocol can carry; "
                    f"there are {numbers}"
                )
            found |= datatypes
    return frozenset(found)


def datatypes_of_scalar(scalar: Any) -> frozenset[str] | None:
    """Return the datatypes whose values a scalar type takes, for an abstract one such as np.floating several; None for all."""
    scalar = get_origin(scalar) or scalar
    if isinstance(scalar, type) and scalar is not np.dtype and issubclass(scalar, np.dtype):
        scalar = getattr(scalar, "type", None)  # of one of np.dtypes' classes
    if scalar in (Any, object, np.generic, np.dtype):
        return None
    if not isinstance(scalar, type):
        return frozenset()
    if issubclass(scalar, np.generic):
        below = frozenset(name for name, dtype in DTYPES.items() if name != "BF16" and issubclass(dtype.type, scalar))
        if below:
            return below
    try:
        datatype = datatype_of(np.dtype(scalar))
    except TypeError:
        datatype = None
    return frozenset() if datatype is None else frozenset({datatype})


def _shape(hint: Any) -> tuple[int, ...] | None:
    """Return the shape that the first argument of ndarray says, with -1 for any length; None where it leaves that open."""
    hint = unwrapped(hint).type
    lengths = get_args(hint)
    if get_origin(hint) is not tuple or Ellipsis in lengths:
        return None
    return tuple(map(_length, lengths))


def _length(hint: Any) -> int:
    """Return the length that one dimension's hint says."""
    hint = unwrapped(hint).type
    match get_args(hint) if get_origin(hint) is Literal else ():
        case (int(length),) if length >= 0:
            return length
    return _ANY_LENGTH

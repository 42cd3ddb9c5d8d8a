"""Hints for one value or a flat list of values: str, int, float, bool, bytes, and their like."""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, get_args, get_origin

import msgspec
import numpy as np

from srv.arrays import NotPlain, plain_array
from srv.codec import InputCodec
from srv.codecs import Codecs
from srv.errors import InvalidInput, SrvError, listed, quoted
from srv.inference.signatures.arrays import datatypes_of_scalar
from srv.inference.signatures.errors import BadHint
from srv.inference.signatures.hints import is_union, shown
from srv.tensors import DTYPES, Tensor, UnfitArray

INTEGERS = frozenset(name for name in DTYPES if name.startswith(("INT", "UINT")))
FLOATS = frozenset({"FP16", "FP32", "FP64"})
_NUMBERS: Mapping[type, tuple[frozenset[str], str]] = {
    bool: (frozenset({"BOOL"}), "BOOL"),
    int: (INTEGERS, "INT64"),
    float: (FLOATS, "FP64"),
}
_EXACT = 2**53  # a float holds every integer up to this one exactly


class NotOneValue(InvalidInput):
    """An input has no value or several, and the model takes one."""

    def __init__(self, tensor: Tensor, wanted: str) -> None:
        super().__init__(
            f"Input {quoted(tensor.name)} has shape {list(tensor.shape)}; the model takes one {wanted}, of shape [1], "
            "[1,1] or []."
        )


class NotFlat(InvalidInput):
    """An input has several dimensions, and the model takes a flat list."""

    def __init__(self, tensor: Tensor, wanted: str) -> None:
        super().__init__(
            f"Input {quoted(tensor.name)} has shape {list(tensor.shape)}; the model takes {wanted}, of shape [N] or [N,1]."
        )


class NotExact(InvalidInput):
    """An integer is too large for a float to say it exactly."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"Input {quoted(name)} holds an integer beyond 2**53, which the float that the model takes cannot say "
            "exactly; send FP64."
        )


class NotAChoice(InvalidInput):
    """A value is none of those that the model takes."""

    def __init__(self, name: str, value: object, known: str) -> None:
        super().__init__(f"Input {quoted(name)} holds {quoted(value)}; the model takes {known}.")


class NotAsHinted(SrvError):
    """What predict returned is not what its return hint names."""

    def __init__(self, name: str, value: object, wanted: str) -> None:
        super().__init__(f"The output '{name}' is {_kind(value)}, where the return hint says {wanted}.")


class Element(msgspec.Struct, frozen=True):
    """What a hint says of a single value, as an input and as an output.

    `wanted` is the type that the codec must give, an array or a list of such elements. `read` converts an element into
    the argument, and `write` a returned value into an element; None where nothing has to be converted.
    """

    shown: str
    wanted: Any
    datatypes: frozenset[str] | None
    datatype: str | None
    read: Callable[[str, Any], Any] | None = None
    write: Callable[[str, Any], Any] | None = None
    numpy: bool = False
    #: The values that it takes on the wire; empty for any of its datatype.
    choices: tuple[Any, ...] = ()

    def reader(self, codec: InputCodec, *, optional: bool) -> Callable[[Tensor], Any]:
        """Return the function that reads one value through a codec. Raises NotOneValue where an input has another number."""
        finish = self.read

        def decode(tensor: Tensor) -> Any:
            if tensor.data.size != 1 or tensor.data.ndim > 2:
                raise NotOneValue(tensor, self.shown)
            if tensor.missing and optional:
                return None
            data = tensor.data.reshape(1)
            single = Tensor.trusted(tensor.name, data, tensor.datatype, tensor.parameters, missing=tensor.missing)
            (value,) = self._listed(codec.decode(single))
            return value if finish is None else finish(tensor.name, value)

        return decode

    def list_reader(self, codec: InputCodec) -> Callable[[Tensor], list[Any]]:
        """Return the function that reads a flat list through a codec. Raises NotFlat where an input has more dimensions."""
        finish = self.read

        def decode(tensor: Tensor) -> list[Any]:
            if tensor.data.ndim != 1 and not (tensor.data.ndim == 2 and tensor.shape[1] == 1):
                raise NotFlat(tensor, f"a list of {self.shown}")
            data = tensor.data
            if self.read is _as_float and data.dtype.kind in "iu":
                if data.size and data.dtype.itemsize == 8 and (data.max() > _EXACT or data.min() < -_EXACT):
                    raise NotExact(tensor.name)
                data = data.astype(np.float64)
            flat = Tensor.trusted(
                tensor.name, data.reshape(-1), tensor.datatype, tensor.parameters, missing=tensor.missing
            )
            values = self._listed(codec.decode(flat))
            if finish is None or finish is _as_float:
                return values
            return [finish(tensor.name, value) for value in values]

        return decode

    def _listed(self, values: Any) -> list[Any]:
        return values.tolist() if isinstance(values, np.ndarray) and not self.numpy else list(values)


class ElementCodec(InputCodec):
    """Makes an output of one value that predict returns, or with `flat` of a list of them, as its return hint says."""

    def __init__(self, element: Element, codec: InputCodec, *, flat: bool) -> None:
        self._element = element
        #: The codec that makes arrays and lists of such elements.
        self.made_by = self._codec = codec
        self.content_type = codec.content_type  # type: ignore[misc]  # that of its class is not there
        self._flat = flat
        self._shown = f"a list of {element.shown}" if flat else element.shown

    def can_encode(self, value: Any) -> bool:  # noqa: ARG002  what does not fit is an error that says so
        """Return True: the metadata declares this output so, and `encode` raises for a value that does not fit."""
        return True

    def encode(self, name: str, value: Any) -> Tensor:
        """Return a tensor of shape [1], or [N] for a list. Raises NotAsHinted for anything else than the hint says."""
        write = self._element.write
        if write is not None:
            value = [write(name, each) for each in self._values(name, value)] if self._flat else write(name, value)
        if self._element.wanted is not np.ndarray:
            return self._codec.encode(name, self._values(name, value) if self._flat else [value])
        array = self._array(name, value)
        if array.ndim != 1 if self._flat else array.size != 1:
            raise NotAsHinted(name, value, self._shown)
        if array.dtype.kind not in "biuf" or not self._carries(array):
            raise NotAsHinted(name, value, self._shown)
        return Tensor(name, array.reshape(-1), self._element.datatype, parameters={"content_type": "np"})

    def _array(self, name: str, value: Any) -> np.ndarray[Any, Any]:
        """Return the value as an array, with NaN for what is masked. Raises UnfitArray where it means more than an array says,
        NotAsHinted where it is nothing like an array.
        """
        try:
            return plain_array(value, floats=self._element.datatype in FLOATS)
        except NotPlain as error:
            if isinstance(value, np.ndarray | list | tuple) or hasattr(value, "units"):
                raise UnfitArray(name, f"{error}.") from error.__cause__
            raise NotAsHinted(name, value, self._shown) from error.__cause__

    def _carries(self, array: np.ndarray[Any, Any]) -> bool:
        """Return whether the hint's datatype takes such numbers: integers may become floats, and nothing else changes its kind."""
        kinds = {"b": "b", "i": "biu", "u": "biu", "f": "iuf"}[DTYPES[self._element.datatype or ""].kind]
        return array.dtype.kind in kinds or array.size == 0

    def _values(self, name: str, value: Any) -> list[Any]:
        if not isinstance(value, list | tuple | np.ndarray):
            raise NotAsHinted(name, value, self._shown)
        return list(value)


def element_of(hint: Any, codecs: Codecs) -> Element | None:
    """Return what an unwrapped hint says of a single value; None where it means something else.

    Raises BadHint for a choice of values, or a union, that cannot be told apart.
    """
    if isinstance(hint, type) and hint in _NUMBERS:
        datatypes, datatype = _NUMBERS[hint]
        if hint is float:
            return Element("float", np.ndarray, FLOATS | INTEGERS, datatype, read=_as_float)
        return Element(hint.__name__, np.ndarray, datatypes, datatype)
    if is_union(hint):
        return _either(hint, codecs)
    if get_origin(hint) is Literal:
        return _choice(hint, [(value, value) for value in get_args(hint)], codecs)
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return _choice(hint, [(member.value, member) for member in hint], codecs)
    scalar = get_origin(hint) or hint
    if isinstance(scalar, type) and issubclass(scalar, np.generic):
        return _numpy_scalar(scalar)
    try:
        codec = codecs.input_for_hint(list[hint])
    except TypeError:
        return None
    if codec is None or hint is Any:
        return None
    datatypes_ = None if codec.datatype is None else frozenset({codec.datatype})
    return Element(shown(hint), list[hint], datatypes_, codec.datatype)


def element_of_list(hint: Any, codecs: Codecs) -> Element | None:
    """Return what the hint of a flat list, or of a type such as Sequence that a list fits, says of its elements; else None."""
    origin = get_origin(hint)
    arguments = get_args(hint)
    if not isinstance(origin, type) or not issubclass(list, origin) or len(arguments) != 1:
        return None
    return element_of(arguments[0], codecs)


def _either(hint: Any, codecs: Codecs) -> Element | None:
    """Return a union of numbers, told apart by their datatypes."""
    members = get_args(hint)
    elements = [element_of(member, codecs) for member in members]
    found = [element for element in elements if element is not None]
    if not found or len(found) != len(elements):
        return None
    if any(member not in _NUMBERS for member in members):
        raise BadHint(
            f"{shown(hint)}, whose types come as inputs of the same kind or by several codecs; hint one of them"
        )
    datatypes = frozenset[str]().union(*(_NUMBERS[member][0] for member in members))
    names = " or ".join(element.shown for element in found)
    if float not in members:
        return Element(names, np.ndarray, datatypes, "INT64")
    widened = int not in members
    return Element(
        names, np.ndarray, datatypes | INTEGERS if widened else datatypes, "FP64", read=_as_float if widened else None
    )


def _choice(hint: Any, choices: Sequence[tuple[Any, Any]], codecs: Codecs) -> Element:
    """Return one of several values of one type, an Enum's by their values."""
    kinds = {type(value) for value, _ in choices}
    element = element_of(kinds.pop(), codecs) if len(kinds) == 1 else None
    if element is None or element.datatype is None:
        raise BadHint(f"{shown(hint)}, whose values are not all str, all int, all bool or all bytes")
    known = listed(quoted(value) for value, _ in choices)
    members = dict(choices)
    values = {member: value for value, member in choices}

    def read(name: str, value: Any) -> Any:
        if value not in members:
            raise NotAChoice(name, value, known)
        return members[value]

    def write(name: str, value: Any) -> Any:
        try:
            return values[value]
        except (KeyError, TypeError):  # TypeError of what has no hash, such as a list
            raise NotAsHinted(name, value, f"one of {known}") from None

    return Element(
        f"{element.shown} of {known}",
        element.wanted,
        element.datatypes,
        element.datatype,
        read,
        write,
        choices=tuple(value for value, _ in choices),
    )


def _numpy_scalar(hint: type) -> Element | None:
    """Return one of NumPy's own numbers, an abstract one such as np.floating too."""
    datatypes = datatypes_of_scalar(hint)
    if not datatypes or not datatypes <= {*INTEGERS, *FLOATS, "BOOL"}:
        return None
    datatype = next(iter(datatypes)) if len(datatypes) == 1 else "FP64" if "FP64" in datatypes else "INT64"
    return Element(f"np.{hint.__name__}", np.ndarray, datatypes, datatype, numpy=True)


def _as_float(name: str, value: Any) -> float:
    """Return a number as a float. Raises NotExact for an integer that no float holds exactly."""
    if isinstance(value, bool):  # of a hint that takes both
        return value
    if isinstance(value, int) and abs(value) > _EXACT:
        raise NotExact(name)
    return float(value)


def _kind(value: object) -> str:
    if isinstance(value, np.ndarray):
        return f"an array of {value.dtype} of shape {list(value.shape)}"
    return type(value).__name__

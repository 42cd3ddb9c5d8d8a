"""Values as plain numpy arrays. A value that means more than an array can hold, such as a unit, is refused."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

#: Types of list elements that an array holds as they are. Other types are examined.
_SIMPLE = frozenset({bool, int, float, str, bytes})
_MOST = float(2**63)
#: In a list of fewer elements, looking at their types takes less time than finding the largest.
_FEW = 64


class NotPlain(Exception):
    """A value is no array, or means more than an array can hold; the text ends a sentence, such as `is ragged`."""


def plain_array(data: Any, *, floats: bool = False) -> np.ndarray[Any, Any]:
    """The value as a C-contiguous array of numpy's own class. An array that is one already is not copied.

    Masked floats become NaN; with `floats`, arrays of integers or booleans with a mask become floats too. Raises NotPlain
    for masked values of other types, for arrays with a unit, for ragged lists, and for values that are no array.
    """
    if type(data) is np.ndarray:
        return np.asarray(data, order="C")
    if isinstance(data, np.ndarray):
        return np.asarray(_without_class(data, floats=floats), order="C")
    if isinstance(data, list | tuple):
        return _of_list(data, floats=floats)
    if isinstance(data, set | frozenset | dict) or hasattr(type(data), "__next__"):
        raise NotPlain(f"is a {type(data).__name__}, which is no array; give a list or an array")
    if hasattr(type(data), "unit") or hasattr(type(data), "units"):
        _refuse_unit(data)
    array = _as_array(data)
    if array.dtype == object and not array.ndim and not isinstance(data, str | bytes | np.generic):
        raise NotPlain(f"is {words_for(data)}, which no datatype of the protocol can carry")
    return array


def element_place(shape: Sequence[int], number: int) -> str:
    """Return the index of an element, by its number in row-major order, as text: ``[3]``, ``[0, 1]``; empty for a scalar."""
    return str([int(index) for index in np.unravel_index(number, shape)]) if len(shape) else ""


def words_for(value: object) -> str:
    """Return a value's kind as words of a sentence: `None`, `an integer of more than 64 bits`, `a value of type date`."""
    if value is None:
        return "None"
    if isinstance(value, int) and not -(2**63) <= value < 2**64:
        return "an integer of more than 64 bits"
    return f"a value of type {type(value).__name__}"


def _without_class(data: np.ndarray[Any, Any], *, floats: bool) -> np.ndarray[Any, Any]:
    """Return the plain array of a subclass. Raises NotPlain where it means more, such as a unit."""
    if isinstance(data, np.ma.MaskedArray):
        return _without_mask(np.asarray(np.ma.getdata(data)), np.ma.getmask(data), floats=floats)
    mask = getattr(data, "mask", None)
    if isinstance(mask, np.ndarray | np.bool_):
        return _without_mask(np.asarray(getattr(data, "unmasked", data)), mask, floats=floats)
    _refuse_unit(data)
    return np.asarray(data)


def _without_mask(array: np.ndarray[Any, Any], mask: Any, *, floats: bool) -> np.ndarray[Any, Any]:
    masked = np.asarray(mask)
    if masked.dtype != bool or not masked.any():
        return array
    masked = np.broadcast_to(masked, array.shape)
    if floats and array.dtype.kind in "biu":
        array = array.astype(np.float64)
    if array.dtype.kind != "f" and array.dtype.name != "bfloat16":
        place = element_place(array.shape, int(masked.reshape(-1).argmax()))
        raise NotPlain(
            f"is masked{place and f' at {place}'}, and {array.dtype} has no value that says so; fill the mask, or make "
            "floats of it, whose masked values are null"
        )
    filled = array.copy()
    filled[masked] = np.nan
    return filled


def _refuse_unit(data: Any) -> None:
    """Raise NotPlain for numbers with a unit, which would be lost."""
    for name in ("unit", "units"):
        unit = getattr(data, name, None)
        if unit is not None and str(unit) and not type(data).__module__.startswith("pandas."):
            raise NotPlain(f"has the unit '{str(unit)[:80]}', which a tensor cannot say; give the numbers alone")


def _of_list(data: Sequence[Any], *, floats: bool) -> np.ndarray[Any, Any]:
    array = _of_numbers(data)
    if array is None:
        array = _as_array(_plain_elements(data, floats=floats))
    if array.dtype.kind == "f" and array.size and _has_large_integers(data, array):
        raise NotPlain("holds integers of which no datatype holds all; give those above 2**63 an array of uint64")
    return array


def _of_numbers(data: Sequence[Any]) -> np.ndarray[Any, Any] | None:
    """Return the array of a list whose rows begin with numbers; None where an element may be masked or is no number."""
    if not _begins_with_numbers(data):
        return None
    try:
        array = np.asarray(data, order="C")
    except Exception:  # noqa: BLE001 - the slower way names the fault
        return None
    if array.dtype.kind in "biu":
        return array
    # A masked element is NaN here; the slower way distinguishes it from a real NaN.
    return array if array.dtype.kind == "f" and not np.isnan(array).any() else None


def _begins_with_numbers(values: Sequence[Any]) -> bool:
    kind = type(values[0]) if values else None
    if kind is list:
        return all(type(row) is list and _begins_with_numbers(row) for row in values)
    return kind is float or kind is int or kind is bool


def _plain_elements(values: Sequence[Any], *, floats: bool) -> Sequence[Any]:
    """Return the list with masked arrays and the like replaced by plain ones; the list itself where it has none."""
    kinds = {*map(type, values)}
    if kinds <= _SIMPLE:
        return values
    if not any(issubclass(kind, list | tuple) or _means_more(kind) for kind in kinds):
        return values
    return [
        _plain_elements(value, floats=floats)
        if isinstance(value, list | tuple)
        else plain_array(value, floats=floats)
        if _means_more(type(value))
        else value
        for value in values
    ]


def _means_more(kind: type) -> bool:
    return (issubclass(kind, np.ndarray) and kind is not np.ndarray) or hasattr(kind, "units")


def _holds_integers(values: Sequence[Any]) -> bool:
    kinds = {*map(type, values)}
    if int in kinds:
        return True
    return not kinds <= _SIMPLE and any(_holds_integers(value) for value in values if isinstance(value, list | tuple))


def _has_large_integers(data: Sequence[Any], array: np.ndarray[Any, Any]) -> bool:
    """Whether numpy made floats of nothing but integers, because no type of integers holds all of them."""
    few = array.size < _FEW
    if few and not _holds_integers(data):
        return False
    if not (array.max() >= _MOST or array.min() <= -_MOST):
        return False
    flat = np.asarray(data, dtype=object).reshape(-1).tolist()
    return all(isinstance(value, int | np.integer) for value in flat)


def _as_array(data: Any) -> np.ndarray[Any, Any]:
    try:
        return np.asarray(data, order="C")
    except UnicodeDecodeError:  # texts beside bytes that are not ASCII, of which numpy would make one type
        return np.asarray(data, dtype=object, order="C")
    except ValueError as error:
        if "inhomogeneous" in str(error):
            raise NotPlain("is ragged: its rows have different lengths") from None
        raise NotPlain(f"is a {type(data).__name__} that numpy cannot read") from error
    except Exception as error:  # whatever the value's own class raises
        raise NotPlain(f"is a {type(data).__name__} that numpy cannot read") from error

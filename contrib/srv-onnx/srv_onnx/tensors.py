"""Requests as the inputs of a model that takes tensors: names, datatypes and shapes are checked, text is decoded."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from srv import InferenceRequest, InvalidInput, Spec, Tensor
from srv.errors import listed, nearest, quoted
from srv_onnx.value_types import Value

#: Content types that say no more of BYTES than the datatype does.
_PLAIN = frozenset({None, "np", "str", "pd"})


class UnknownInput(InvalidInput):
    """The request brings an input that the model does not have."""

    def __init__(self, name: str, known: Collection[str]) -> None:
        super().__init__(f"Input {quoted(name)} is unknown; the model takes {listed(known)}.{nearest(name, known)}")


class MissingInputs(InvalidInput):
    """The request leaves out inputs of the model."""

    def __init__(self, names: Sequence[str], given: Collection[str]) -> None:
        verb = f"Input {quoted(names[0])} is" if len(names) == 1 else f"Inputs {listed(map(quoted, names))} are"
        super().__init__(f"{verb} missing; the request brings {listed(map(quoted, given)) or 'none'}.")


class WrongDatatype(InvalidInput):
    """An input has another datatype than the model takes."""

    def __init__(self, tensor: Tensor, wanted: str) -> None:
        super().__init__(f"Input {quoted(tensor.name)} is {tensor.datatype}; the model takes {wanted}.")


class WrongShape(InvalidInput):
    """An input has another rank than the model takes, or another length in a dimension that is fixed."""

    def __init__(self, tensor: Tensor, wanted: Sequence[int]) -> None:
        any_length = ", -1 standing for any" if -1 in wanted else ""
        super().__init__(
            f"Input {quoted(tensor.name)} has shape {list(tensor.shape)}; the model takes {list(wanted)}{any_length}."
        )


class UnequalLengths(InvalidInput):
    """Two dimensions to which the model gives one name have different lengths."""

    def __init__(self, dimension: str, lengths: Iterable[tuple[str, int, int]]) -> None:
        places = [f"{length} in dimension {axis} of {quoted(name)}" for name, axis, length in lengths]
        super().__init__(
            f"The model's dimension {quoted(dimension)} has one length, and the request has {listed(places)}."
        )


class WrongContentType(InvalidInput):
    """An input of BYTES says that its elements are something else than text."""

    def __init__(self, tensor: Tensor, content_type: object) -> None:
        super().__init__(
            f"Input {quoted(tensor.name)} has the content type {quoted(content_type)}; the model takes plain text."
        )


class NotANumber(InvalidInput):
    """An input holds NaN, and the model's settings say that it may not."""

    def __init__(self, name: str, array: np.ndarray[Any, Any], place: int) -> None:
        where = "".join(f"[{index}]" for index in np.unravel_index(place, array.shape))
        super().__init__(f"Input {quoted(name)}: its value {where} is NaN, a missing number; this model takes none.")


class NoText(InvalidInput):
    """An element of BYTES is missing, or is not UTF-8, where the model takes text."""

    def __init__(self, tensor: Tensor, row: int, what: str) -> None:
        place = "".join(f"[{index}]" for index in np.unravel_index(row, tensor.shape))
        super().__init__(f"Input {quoted(tensor.name)}: its value {place} is {what}; the model takes text.")


class Tensors:
    """The inputs of a model, each a tensor. One instance serves all threads."""

    def __init__(self, values: Sequence[Value], *, same_lengths: bool) -> None:
        self._values = {value.name: value for value in values}
        self._required = [value.name for value in values if not value.optional]
        self._shared = _shared_dimensions(values) if same_lengths else {}

    def specs(self) -> list[Spec]:
        """The model's inputs."""
        return [value.spec() for value in self._values.values()]

    def feed(self, request: InferenceRequest) -> dict[str, np.ndarray[Any, Any]]:
        """Return the arrays of a request by the names of their inputs. Raises InvalidInput."""
        feed = {}
        only = len(self._values) == len(request.inputs) == 1  # and so may have the name that the settings declare
        for tensor in request.inputs:
            value = next(iter(self._values.values())) if only else self._values.get(tensor.name)
            if value is None:
                raise UnknownInput(tensor.name, self._values)
            _check(tensor, value)
            feed[value.name] = _texts(tensor, request) if tensor.datatype == "BYTES" else tensor.data
        if len(feed) < len(self._values):
            missing = [name for name in self._required if name not in feed]
            if missing:
                raise MissingInputs(missing, feed)
        for name, places in self._shared.items():
            lengths = [(given, axis, feed[given].shape[axis]) for given, axis in places if given in feed]
            if len({length for _, _, length in lengths}) > 1:
                raise UnequalLengths(name, lengths)
        return feed


def _shared_dimensions(values: Sequence[Value]) -> dict[str, list[tuple[str, int]]]:
    """Return where each name of a dimension stands, of those that stand in several places."""
    places: dict[str, list[tuple[str, int]]] = {}
    for value in values:
        for axis, length in enumerate(value.shape or ()):
            if isinstance(length, str):
                places.setdefault(length, []).append((value.name, axis))
    return {name: found for name, found in places.items() if len(found) > 1}


def _check(tensor: Tensor, value: Value) -> None:
    if tensor.datatype != value.datatype:
        raise WrongDatatype(tensor, value.datatype)
    lengths = value.lengths
    if lengths is None:
        return
    if len(tensor.shape) != len(lengths):
        raise WrongShape(tensor, lengths)
    for length, wanted in zip(tensor.shape, lengths, strict=True):
        if wanted not in (-1, length):
            raise WrongShape(tensor, lengths)


def check_numbers(feed: Mapping[str, np.ndarray[Any, Any]]) -> None:
    """Raise NotANumber for the first NaN."""
    for name, array in feed.items():
        if array.dtype.kind == "f":
            missing = np.isnan(array)
            if missing.any():
                raise NotANumber(name, array, int(missing.argmax()))


def _texts(tensor: Tensor, request: InferenceRequest) -> np.ndarray[Any, Any]:
    """Return the elements of BYTES as str, because onnxruntime makes of bytes the text that Python prints for them."""
    content_type = tensor.parameters.get("content_type", request.parameters.get("content_type"))
    if content_type not in _PLAIN:
        raise WrongContentType(tensor, content_type)
    elements = tensor.data.reshape(-1).tolist()
    if tensor.missing:
        raise NoText(tensor, elements.index(None), "null")
    texts = np.empty(len(elements), dtype=object)
    try:
        texts[:] = [*map(bytes.decode, elements)]
    except UnicodeDecodeError:
        raise NoText(
            tensor, next(row for row, each in enumerate(elements) if not _is_text(each)), "not UTF-8"
        ) from None
    return texts.reshape(tensor.shape)


def _is_text(element: bytes) -> bool:
    try:
        element.decode()
    except UnicodeDecodeError:
        return False
    return True

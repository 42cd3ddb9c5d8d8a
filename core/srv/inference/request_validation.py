"""Whether a request fits what the model declares: the names, datatypes and shapes of its inputs, and its outputs."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from operator import attrgetter

import numpy as np

from srv.datatypes import DATATYPES
from srv.errors import InvalidInput, listed, nearest, quoted
from srv.messages import InferenceRequest, InferenceResponse, MissingInput
from srv.model_settings import Spec
from srv.tensors import EMPTY, Parameters, Tensor

_NAME = attrgetter("name")
_NESTED = frozenset({list, dict})


class UnknownInput(InvalidInput):
    """The request brings an input that the model does not take."""

    def __init__(self, name: str, known: Iterable[str]) -> None:
        super().__init__(f"Input {quoted(name)} is unknown; the model takes {listed(known)}.{nearest(name, known)}")


class UnknownOutput(InvalidInput):
    """The request asks for an output that the model does not give."""

    def __init__(self, name: str, known: Iterable[str]) -> None:
        super().__init__(f"Output {quoted(name)} is unknown; the model gives {listed(known)}.{nearest(name, known)}")


class InputTwice(InvalidInput):
    """The request brings two inputs of one name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"Input {quoted(name)} is given twice.")


class WrongDatatype(InvalidInput):
    """An input's datatype is not the declared one."""

    def __init__(self, name: str, given: str, wanted: str) -> None:
        super().__init__(f"Input {quoted(name)} is {given}; the model takes {wanted}.")


class WrongShape(InvalidInput):
    """An input's shape is not the declared one."""

    def __init__(self, name: str, given: Sequence[int], wanted: Sequence[int]) -> None:
        super().__init__(
            f"Input {quoted(name)} has shape {list(given)}; the model takes {list(wanted)}, -1 standing for any."
        )


class MissingValue(InvalidInput):
    """An input of BYTES holds null, and the runtime does not take missing values."""

    def __init__(self, tensor: Tensor) -> None:
        first = tensor.data.reshape(-1).tolist().index(None)
        place = "".join(f"[{index}]" for index in np.unravel_index(first, tensor.shape))
        what = f"its value {place} is null" if place else "it is null"
        super().__init__(f"Input {quoted(tensor.name)}: {what}; this model takes no missing values.")


class NestedParameter(InvalidInput):
    """A parameter is a list or an object, and the runtime takes only what the protocol calls a parameter."""

    def __init__(self, where: str, name: str, value: object) -> None:
        kind = "array" if isinstance(value, list) else "object"
        super().__init__(f"{where}[{quoted(name)}]: {not_plain(kind)}.")


class InputCheck:
    """Checks requests against declared inputs.

    `names` are all inputs that the model takes, or None where it may take others too. `specs` declare datatype and shape
    of some inputs; `datatypes` are for inputs that may have one of several. With `any_name` there is one name, and a
    request's only input may have any other. `required` inputs must come, and so must those of `names` not in `optional`.
    """

    def __init__(
        self,
        specs: Sequence[Spec],
        *,
        names: Collection[str] | None,
        required: Collection[str] = (),
        optional: Collection[str] = (),
        datatypes: Mapping[str, Collection[str]] = EMPTY,
        any_name: bool = False,
    ) -> None:
        self._any_name = any_name
        self._specs: Mapping[str, Spec] = {spec.name: spec for spec in specs}
        self._datatypes = datatypes
        self._names = names
        needed = dict.fromkeys([*(names if names is not None else self._specs), *required])
        self._required = [name for name in needed if name not in optional]

    def __call__(self, request: InferenceRequest) -> None:
        """Raise InvalidInput naming the first input that does not fit."""
        if self._any_name and len(request.inputs) == 1:
            for only in (*self._specs, *self._datatypes):
                self._check_tensor(request.inputs[0], only)
            return
        names = [*map(_NAME, request.inputs)]
        if len(names) > 1 and len({*names}) != len(names):
            raise InputTwice(next(name for name in names if names.count(name) > 1))
        for tensor in request.inputs:
            if self._names is not None and tensor.name not in self._names:
                raise UnknownInput(tensor.name, self._names)
            self._check_tensor(tensor, tensor.name)
        for name in self._required:
            if name not in names:
                raise MissingInput(name, names)

    def _check_tensor(self, tensor: Tensor, declared: str) -> None:
        """Check a tensor against what is declared under a name."""
        spec = self._specs.get(declared)
        if spec is not None:
            if spec.datatype is not None and tensor.datatype != spec.datatype:
                raise WrongDatatype(tensor.name, tensor.datatype, spec.datatype)
            if spec.shape is not None:
                _check_shape(tensor, spec.shape)
        several = self._datatypes.get(declared)
        if several is not None and tensor.datatype not in several:
            raise WrongDatatype(tensor.name, tensor.datatype, either(several))


def either(datatypes: Collection[str]) -> str:
    """Return datatypes as a sentence names them, in the protocol's order."""
    return " or ".join(name for name in DATATYPES if name in datatypes)


def not_plain(given: str) -> str:
    """Return what a sentence says of a parameter that is none of the protocol's."""
    return f"expected boolean or integer or number or string, got {given}"


def check_parameters(request: InferenceRequest) -> None:
    """Raise NestedParameter where a parameter of the request, an input or an output is a list or an object."""
    if request.parameters:
        _check_plain(request.parameters, "parameters")
    for place, tensor in enumerate(request.inputs):
        if tensor.parameters:
            _check_plain(tensor.parameters, f"inputs[{place}].parameters")
    for place, output in enumerate(request.outputs or ()):
        if output.parameters:
            _check_plain(output.parameters, f"outputs[{place}].parameters")


def _check_plain(parameters: Parameters, where: str) -> None:
    if not _NESTED.isdisjoint(map(type, parameters.values())):
        name = next(name for name, value in parameters.items() if type(value) in _NESTED)
        raise NestedParameter(where, name, parameters[name])


def select_outputs(request: InferenceRequest, response: InferenceResponse) -> Sequence[Tensor]:
    """Return the response's outputs that the request asks for, in its order. Raises UnknownOutput."""
    if not request.outputs:
        return response.outputs
    given = {tensor.name: tensor for tensor in response.outputs}
    for output in request.outputs:
        if output.name not in given:
            raise UnknownOutput(output.name, given)
    return [given[output.name] for output in request.outputs]


def check_outputs(request: InferenceRequest, known: Collection[str]) -> None:
    """Raise UnknownOutput before the model runs, where its outputs are declared."""
    for output in request.outputs or ():
        if output.name not in known:
            raise UnknownOutput(output.name, known)


def _check_shape(tensor: Tensor, wanted: Sequence[int]) -> None:
    given = tensor.shape
    if len(given) != len(wanted):
        raise WrongShape(tensor.name, given, wanted)
    for length, most in zip(given, wanted, strict=True):
        if most not in (-1, length):
            raise WrongShape(tensor.name, given, wanted)

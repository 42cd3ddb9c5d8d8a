"""Whether a request fits what the model declares: the names, datatypes and shapes of its inputs, and its outputs."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from operator import attrgetter

from srv.errors import InvalidInput, listed, nearest, quoted
from srv.messages import InferenceRequest, InferenceResponse, MissingInput
from srv.modelsettings import Spec
from srv.tensors import Tensor

_NAME = attrgetter("name")


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
        super().__init__(f"Input '{name}' is {given}; the model takes {wanted}.")


class WrongShape(InvalidInput):
    """An input's shape is not the declared one."""

    def __init__(self, name: str, given: Sequence[int], wanted: Sequence[int]) -> None:
        super().__init__(
            f"Input '{name}' has shape {list(given)}; the model takes {list(wanted)}, -1 standing for any."
        )


class InputCheck:
    """Checks requests against declared inputs.

    `names` are all inputs that the model takes, or None where it may take others too; `specs` say more of some.
    """

    def __init__(self, specs: Sequence[Spec], *, names: Collection[str] | None, optional: Collection[str] = ()) -> None:
        self._specs: Mapping[str, Spec] = {spec.name: spec for spec in specs}
        self._names = names
        self._required = [name for name in (names if names is not None else self._specs) if name not in optional]

    def __call__(self, request: InferenceRequest) -> None:
        """Raise InvalidInput naming the first input that does not fit."""
        names = [*map(_NAME, request.inputs)]
        if len(names) > 1 and len({*names}) != len(names):
            raise InputTwice(next(name for name in names if names.count(name) > 1))
        for tensor in request.inputs:
            if self._names is not None and tensor.name not in self._names:
                raise UnknownInput(tensor.name, self._names)
            spec = self._specs.get(tensor.name)
            if spec is not None:
                if spec.datatype is not None and tensor.datatype != spec.datatype:
                    raise WrongDatatype(tensor.name, tensor.datatype, spec.datatype)
                if spec.shape is not None:
                    _check_shape(tensor, spec.shape)
        for name in self._required:
            if name not in names:
                raise MissingInput(name, names)


def select_outputs(request: InferenceRequest, response: InferenceResponse) -> Sequence[Tensor]:
    """The response's outputs that the request asks for, in its order. Raises UnknownOutput."""
    if request.outputs is None:
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

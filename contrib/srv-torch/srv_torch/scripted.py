"""Programs of TorchScript: their arguments by the names of forward, and requests run through them."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from srv import Spec, Tensor
from srv.errors import SrvError
from srv_torch.client_errors import Missing, NoText, NotOneValue, Unknown, WrongDatatype, WrongRank, as_clients_fault
from srv_torch.values import as_torch, named_outputs

#: Single values that forward may take: how TorchScript calls their type, their datatype, and how Python does.
_SCALARS: Mapping[str, tuple[str, type]] = {
    "IntType": ("INT64", int),
    "FloatType": ("FP64", float),
    "BoolType": ("BOOL", bool),
    "StringType": ("BYTES", str),
}
_MISSING = object()


class UnservableArgument(SrvError):
    """forward takes an argument that no tensor of the protocol can carry."""

    def __init__(self, name: str, annotation: str) -> None:
        super().__init__(
            f"forward takes '{name}' of the type {annotation}, which no tensor of the protocol can carry. Give it a default, "
            "or let it be a Tensor, an int, float, bool or str, or a List, Tuple or Dict[str, ...] of these."
        )


class KeepsState(SrvError):
    """A program sets attributes of its module, so that each answer would depend on the requests before."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"forward changes '{name}' of the module whenever it runs, so that an answer would depend on requests before it. "
            "Keep no state in the module."
        )


@dataclass
class _Argument:
    """An argument of forward, or a part of one that is a container."""

    name: str
    #: TorchScript's name of its type, of its elements' type in a container of any number of them.
    kind: str
    element: _Argument | None = None
    parts: list[_Argument] = field(default_factory=list)
    is_optional: bool = False
    has_default: bool = False

    def specs(self) -> Iterator[Spec]:
        """Yield what metadata can tell of it: nothing of a container whose elements a request may choose."""
        optional = {"optional": True} if self.is_optional or self.has_default else {}
        if self.kind == "TensorType":
            yield Spec(name=self.name, parameters=optional)
        elif self.kind in _SCALARS:
            yield Spec(_SCALARS[self.kind][0], (1,), name=self.name, parameters=optional)
        elif self.kind == "ListType" and self.element is not None and self.element.kind in _SCALARS:
            yield Spec(_SCALARS[self.element.kind][0], (-1,), name=self.name, parameters=optional)
        for part in self.parts:
            yield from part.specs()

    def is_open(self) -> bool:
        """Return whether a request chooses how many tensors, or which ones, it brings."""
        chosen = self.element is not None and self.element.kind not in _SCALARS
        return chosen or any(part.is_open() for part in self.parts)


class Scripted:
    """A program of TorchScript, ready to run. Threads share it."""

    def __init__(self, file: Path, device: torch.device, *, declared: Sequence[Spec]) -> None:
        with_names = {spec.name for spec in declared if spec.datatype is not None}
        warnings.filterwarnings("ignore", "`torch.jit.* is deprecated", DeprecationWarning)
        self._module = torch.jit.load(file, map_location=device).eval()
        self._device = device
        self._copies = _changes_in_place(self._module)
        self._arguments = [
            argument
            for each in self._module.forward.schema.arguments[1:]
            if (argument := _argument(each.name, each.type, has_default=each.has_default_value())) is not None
        ]
        specs = [spec for each in self._arguments for spec in each.specs()]
        is_open = any(each.is_open() for each in self._arguments)
        #: None where a request may bring other inputs than the metadata can name.
        self.inputs: list[Spec] | None = None if is_open else specs
        self.outputs: list[Spec] | None = None
        self._is_checked = not is_open and {spec.name for spec in specs if spec.datatype is None} <= with_names
        self.parameters: dict[str, Any] = {}

    def check_batches(self, size: int) -> None:
        """Do nothing: the file does not say which lengths the program takes."""

    def run(self, tensors: Sequence[Tensor]) -> Iterator[tuple[str, Any]]:
        """Return the outputs by name. Raises InvalidInput for inputs that the program does not take."""
        given = {tensor.name: tensor for tensor in tensors}
        brought = list(given)
        arguments = {}
        for each in self._arguments:
            value = self._take(each, given)
            if value is _MISSING and not each.has_default:
                if not each.is_optional:
                    raise Missing(each.name, brought)
                value = None
            if value is not _MISSING:
                arguments[each.name] = value
        for name in given:
            raise Unknown(name, [spec.name for each in self._arguments for spec in each.specs()])
        try:
            with torch.inference_mode():
                result = self._module.forward(**arguments)
        except Exception as error:
            fault = as_clients_fault(error, is_checked=self._is_checked)
            if fault is None:
                raise
            raise fault from error
        return named_outputs(result)

    def _take(self, argument: _Argument, given: dict[str, Tensor]) -> Any:
        """Return an argument's value, taking its tensors out of those given; _MISSING where none is its own."""
        if argument.parts:
            parts = [self._take(part, given) for part in argument.parts]
            if all(part is _MISSING for part in parts):
                return _MISSING
            for part, value in zip(argument.parts, parts, strict=True):
                if value is _MISSING:
                    raise Missing(part.name, list(given))
            return tuple(parts)
        if argument.is_open():
            return self._take_open(argument, given)
        tensor = given.pop(argument.name, None)
        if tensor is None:
            return _MISSING
        if argument.kind == "TensorType":
            return _tensor(tensor, self._device, copy=self._copies)
        if argument.kind in _SCALARS:
            if tensor.data.size != 1:
                raise NotOneValue(tensor.name, tensor.shape)
            return _values(tensor, argument.kind)[0]
        assert argument.element is not None
        if len(tensor.shape) != 1:
            raise WrongRank(tensor.name, tensor.shape, (-1,))
        return _values(tensor, argument.element.kind)

    def _take_open(self, argument: _Argument, given: dict[str, Tensor]) -> Any:
        """Return a list or dict of tensors, whose elements are called as the argument with a dot and their place or key."""
        begin = f"{argument.name}."
        keys = [name.removeprefix(begin) for name in given if name.startswith(begin)]
        if not keys:
            return _MISSING
        values = {key: _tensor(given.pop(begin + key), self._device, copy=self._copies) for key in keys}
        if argument.kind == "DictType":
            return values
        for place in range(len(keys)):
            if str(place) not in values:
                raise Missing(f"{begin}{place}", [begin + key for key in keys])
        return [values[str(place)] for place in range(len(keys))]


def _argument(name: str, kind: Any, *, has_default: bool = False, is_optional: bool = False) -> _Argument | None:
    """Return an argument by its type; None for one that requests cannot bring and that has a default."""
    if kind.kind() == "OptionalType":
        return _argument(name, kind.getElementType(), has_default=has_default, is_optional=True)
    made = _Argument(name, kind.kind(), is_optional=is_optional, has_default=has_default)
    match kind.kind():
        case "TensorType" | "IntType" | "FloatType" | "BoolType" | "StringType":
            return made
        case "ListType":
            made.element = _element(name, kind.getElementType())
        case "DictType" if kind.getKeyType().kind() == "StringType":
            made.element = _element(name, kind.getValueType(), tensors_only=True)
        case "TupleType":
            parts = [_argument(f"{name}.{place}", each) for place, each in enumerate(kind.elements())]
            made.parts = [part for part in parts if part is not None]
            if made.parts:
                return made
    if made.element is not None:
        return made
    if has_default:
        return None
    raise UnservableArgument(name, kind.annotation_str)


def _element(name: str, kind: Any, *, tensors_only: bool = False) -> _Argument | None:
    if kind.kind() == "TensorType" or (kind.kind() in _SCALARS and not tensors_only):
        return _Argument(name, kind.kind())
    return None


def _tensor(tensor: Tensor, device: torch.device, *, copy: bool) -> torch.Tensor:
    if tensor.datatype == "BYTES":
        raise WrongDatatype(tensor.name, "BYTES", "numbers or booleans")
    return as_torch(tensor, device, copy=copy)


def _values(tensor: Tensor, kind: str) -> list[Any]:
    """Return the elements of a tensor as Python's values."""
    datatype, _ = _SCALARS[kind]
    if tensor.datatype != datatype:
        raise WrongDatatype(tensor.name, tensor.datatype, datatype)
    values = tensor.data.reshape(-1).tolist()
    if datatype != "BYTES":
        return values
    try:
        return [value.decode() for value in values]
    except UnicodeDecodeError:
        raise NoText(tensor.name) from None


def _changes_in_place(module: Any) -> bool:
    """Return whether the program may write into its inputs. Raises KeepsState where it sets attributes of its module."""
    if not _writing(module.inlined_graph):
        return False
    try:
        graph = torch.jit.freeze(module).inlined_graph  # where branches for training are gone
    except RuntimeError:
        graph = module.inlined_graph
    writing = _writing(graph)
    for node in writing:
        if node.kind() == "prim::SetAttr":
            raise KeepsState(node.s("name"))
        first = next(node.inputs()).node()
        if first.kind() == "prim::GetAttr":
            raise KeepsState(first.s("name"))
    return bool(writing)


def _writing(block: Any) -> list[Any]:
    """Return the nodes of a graph, in its branches and loops too, that change something in place."""
    found = []
    for node in block.nodes():
        if node.kind() == "prim::SetAttr" or "!" in node.schema():
            found.append(node)
        for inner in node.blocks():
            found += _writing(inner)
    return found

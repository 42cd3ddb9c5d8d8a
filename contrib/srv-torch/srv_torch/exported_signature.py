"""What a program of torch.export takes and gives, by the names of its forward."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

import sympy
import torch
import torch.utils._pytree as pytree  # torch has no public way to the names in nested arguments
from torch.export import ExportedProgram

from srv import Spec
from srv.errors import SrvError
from srv_torch.lengths import Length
from srv_torch.values import DATATYPES, named_outputs

log = logging.getLogger(__name__)

#: Single values, by the type that stands for one while a program is exported.
_NUMBERS: dict[type, tuple[str, type]] = {
    torch.SymInt: ("INT64", int),
    torch.SymFloat: ("FP64", float),
    torch.SymBool: ("BOOL", bool),
}
#: Single values that a program gives.
_VALUES: tuple[tuple[Any, str], ...] = (
    (bool | torch.SymBool, "BOOL"),
    (int | torch.SymInt, "INT64"),
    (float | torch.SymFloat, "FP64"),
    (str, "BYTES"),
)
#: torch.export takes one tensor that is given twice for one argument, and the program then answers by one of the two.
_UNUSED = (
    "The program does not use its input '%s'. If it should, it was exported with the same tensor for two arguments: "
    "export it with a tensor of its own for each."
)


class UnservableInput(SrvError):
    """A program takes an argument that no tensor of the protocol can carry."""

    def __init__(self, name: str, what: str) -> None:
        super().__init__(f"The program takes {what} as '{name}', which no tensor of the protocol can carry.")


class NoOutputs(SrvError):
    """A program gives nothing that the protocol can carry."""

    def __init__(self) -> None:
        super().__init__("The program gives no tensor or number that the protocol can carry.")


@dataclass(frozen=True)
class Argument:
    """One value that the program takes: a tensor, a number, or a constant that requests do not bring."""

    name: str
    #: What torch calls it in the program.
    placeholder: str
    datatype: str = ""
    #: The length of each dimension; only tensors have some.
    shape: tuple[Length, ...] = ()
    #: Makes the number; None for tensors and constants.
    number: type | None = None
    is_constant: bool = False
    constant: Any = None

    @property
    def is_tensor(self) -> bool:
        """Whether it is a tensor."""
        return not self.is_constant and self.number is None

    @property
    def wire_shape(self) -> tuple[int, ...]:
        """The shape as metadata tells it, -1 standing for any length."""
        return (1,) if self.number else tuple(length if isinstance(length, int) else -1 for length in self.shape)

    def spec(self) -> Spec:
        """Return what metadata tells of it."""
        return Spec(self.datatype, self.wire_shape, name=self.name)


def arguments_of(program: ExportedProgram) -> list[Argument]:
    """Return the values that the program takes, in its order. Raises UnservableInput."""
    values = {node.name: node.meta.get("val") for node in program.graph.nodes if node.op == "placeholder"}
    taken = [spec.arg for spec in program.graph_signature.input_specs if spec.kind.name == "USER_INPUT"]
    names = _names(program, [each.name for each in taken])
    unused = {node.name for node in program.graph.nodes if node.op == "placeholder" and not node.users}
    for name, each in zip(names, taken, strict=True):
        if each.name in unused and isinstance(values.get(each.name), torch.Tensor):
            log.warning(_UNUSED, name)
    return [_argument(name, each, values.get(each.name)) for name, each in zip(names, taken, strict=True)]


def outputs_of(program: ExportedProgram) -> list[Spec]:
    """Return what the program gives, without what no tensor of the protocol can carry. Raises NoOutputs."""
    [end] = [node for node in program.graph.nodes if node.op == "output"]
    kinds = [spec.kind.name for spec in program.graph_signature.output_specs]
    nodes = [node for node, kind in zip(end.args[0], kinds, strict=True) if kind == "USER_OUTPUT"]
    values = [node.meta.get("val") if isinstance(node, torch.fx.Node) else node for node in nodes]
    found = []
    for name, value in named_outputs(pytree.tree_unflatten(values, program.call_spec.out_spec)):
        spec = _output(name, value)
        if spec is not None:
            found.append(spec)
        elif value is not None:
            log.warning("The output '%s' is left out, because no tensor of the protocol can carry it.", name)
    if not found:
        raise NoOutputs
    return found


def _argument(name: str, taken: Any, value: Any) -> Argument:
    if isinstance(value, torch.Tensor):
        if value.dtype not in DATATYPES or value.layout is not torch.strided:
            raise UnservableInput(name, f"a {value.layout} tensor of {value.dtype}".replace("torch.", ""))
        return Argument(name, taken.name, DATATYPES[value.dtype], tuple(map(_length, value.shape)))
    for kind, (datatype, number) in _NUMBERS.items():
        if isinstance(value, kind):
            return Argument(name, taken.name, datatype, number=number)
    if hasattr(taken, "value"):
        return Argument(name, taken.name, is_constant=True, constant=taken.value)
    raise UnservableInput(name, f"a {type(value).__name__}")


def _length(length: Any) -> Length:
    """Return a length as a number, or as the expression that torch has for it."""
    if isinstance(length, int):
        return length
    expression: sympy.Expr = length.node.expr
    return int(expression) if expression.is_Integer else expression


def _names(program: ExportedProgram, placeholders: list[str]) -> list[str]:
    """Return a name for each value: that of forward's argument, and the way to a part of a nested one behind a dot."""
    args, kwargs = pytree.tree_unflatten(list(range(len(placeholders))), program.call_spec.in_spec)
    signature = program.module_call_graph[0].signature
    known = list(signature.forward_arg_names or ()) if signature is not None else []
    if len(known) != len(args) + len(kwargs):
        return placeholders
    named = [*zip(known, args, strict=False), *kwargs.items()]
    found = {leaf: name for own, part in named for name, leaf in named_outputs(part, own)}
    names = [found.get(place, "") for place in range(len(placeholders))]
    return names if len({*names} - {""}) == len(placeholders) else placeholders


def _output(name: str, value: Any) -> Spec | None:
    """Return what metadata tells of an output; None for what no tensor can carry."""
    if isinstance(value, torch.Tensor):
        if value.dtype not in DATATYPES or value.layout is not torch.strided:
            return None
        lengths = map(_length, value.shape)
        return Spec(DATATYPES[value.dtype], tuple(each if isinstance(each, int) else -1 for each in lengths), name=name)
    return next((Spec(datatype, (), name=name) for kind, datatype in _VALUES if isinstance(value, kind)), None)

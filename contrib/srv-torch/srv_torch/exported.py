"""Programs of torch.export: requests run through them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.utils._pytree as pytree  # torch has no public way from single values to nested arguments
from torch.export import ExportedProgram
from torch.export.passes import move_to_device_pass

from srv import Tensor
from srv.errors import SrvError
from srv_torch.client_errors import Missing, NotOneValue, Unknown, WrongDatatype, WrongRank, as_clients_fault
from srv_torch.exported_signature import Argument, arguments_of, outputs_of
from srv_torch.exported_state import written_inputs
from srv_torch.lengths import Lengths
from srv_torch.values import as_torch, named_outputs


class BatchTooLarge(SrvError):
    """max_batch_size is beyond the number of rows that the program takes."""

    def __init__(self, size: int, name: str, most: int) -> None:
        super().__init__(f"max_batch_size is {size}, and the program takes at most {most} rows of '{name}'. Lower it.")


class Unreadable(SrvError):
    """torch cannot read a program, and says in the log why."""

    def __init__(self, file: Path) -> None:
        super().__init__(
            f"torch {torch.__version__} cannot read '{file.name}'; the log has its reason. A program whose arguments or results "
            "are of a class of yours needs that class: export it with dicts or tuples instead. One of another release of "
            "torch may have to be exported anew."
        )


class Exported:
    """A program of torch.export, ready to run. Threads share it."""

    def __init__(self, file: Path, device: torch.device) -> None:
        program = _read(file)
        if device.type != "cpu":
            program = move_to_device_pass(program, device)
        self._device = device
        self._written = written_inputs(program)
        self._arguments = arguments_of(program)
        self._in_spec = program.call_spec.in_spec
        self._brought = {each.name: each for each in self._arguments if not each.is_constant}
        self._lengths = Lengths(program, {each.name: each.shape for each in self._arguments if each.is_tensor})
        self._module = program.module()
        self.inputs = [each.spec() for each in self._brought.values()]
        self.outputs = outputs_of(program)
        self.parameters: dict[str, Any] = {}
        if ranges := self._lengths.ranges():
            self.parameters["ranges"] = ranges
        if fixed := {each.name: each.constant for each in self._arguments if each.constant is not None}:
            self.parameters["fixed"] = {
                name: value if isinstance(value, int | float | str) else str(value) for name, value in fixed.items()
            }

    def check_batches(self, size: int) -> None:
        """Raise BatchTooLarge where batches of this size have more rows than the program takes."""
        limit = self._lengths.most_rows()
        if limit is not None and size > limit[1]:
            raise BatchTooLarge(size, *limit)

    def run(self, tensors: Sequence[Tensor]) -> Iterator[tuple[str, Any]]:
        """Return the outputs by name. Raises InvalidInput for inputs that the program does not take."""
        given = {tensor.name: tensor for tensor in tensors}
        self._check(given)
        args, kwargs = pytree.tree_unflatten([self._value(each, given) for each in self._arguments], self._in_spec)
        try:
            with torch.inference_mode():
                # Not self._module(...), which prints errors to stderr.
                return named_outputs(torch.nn.Module.__call__(self._module, *args, **kwargs))
        except Exception as error:
            fault = as_clients_fault(error, is_checked=True)
            if fault is None:
                raise
            raise fault from error

    def _check(self, given: Mapping[str, Tensor]) -> None:
        """Raise InvalidInput unless the tensors are those that the program takes, of its datatypes and shapes."""
        for name in given:
            if name not in self._brought:
                raise Unknown(name, list(self._brought))
        for name, argument in self._brought.items():
            if name not in given:
                raise Missing(name, list(given))
            _check_tensor(given[name], argument)
        self._lengths.check(given)

    def _value(self, argument: Argument, given: Mapping[str, Tensor]) -> Any:
        if argument.is_constant:
            return argument.constant
        tensor = given[argument.name]
        if argument.number is not None:
            return argument.number(tensor.data.item())
        return as_torch(tensor, self._device, copy=argument.placeholder in self._written)


def _read(file: Path) -> ExportedProgram:
    try:
        return torch.export.load(file)
    except RuntimeError as error:
        raise Unreadable(file) from error


def _check_tensor(tensor: Tensor, argument: Argument) -> None:
    if tensor.datatype != argument.datatype:
        raise WrongDatatype(tensor.name, tensor.datatype, argument.datatype)
    if argument.number is not None:
        if tensor.data.size != 1:
            raise NotOneValue(tensor.name, tensor.shape)
    elif len(tensor.shape) != len(argument.shape):
        raise WrongRank(tensor.name, tensor.shape, argument.wire_shape)

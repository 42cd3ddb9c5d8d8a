"""Values between srv and torch: arrays of requests as torch's tensors, results as srv's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np
import torch

from srv import Tensor
from srv.errors import ModelError

#: The protocol's names of torch's dtypes.
DATATYPES = {
    torch.bool: "BOOL",
    torch.uint8: "UINT8",
    torch.uint16: "UINT16",
    torch.uint32: "UINT32",
    torch.uint64: "UINT64",
    torch.int8: "INT8",
    torch.int16: "INT16",
    torch.int32: "INT32",
    torch.int64: "INT64",
    torch.float16: "FP16",
    torch.bfloat16: "BF16",
    torch.float32: "FP32",
    torch.float64: "FP64",
}
#: Single values that a model may take and give: their datatype.
SCALARS = {bool: "BOOL", int: "INT64", float: "FP64", str: "BYTES"}


class NoTensor(ModelError):
    """An output that the protocol cannot carry."""

    def __init__(self, name: str, what: str) -> None:
        super().__init__(f"Output '{name}' is {what}, which no datatype of the protocol can carry.")


class _Writable:
    """Shows a read-only array's memory as writable, because torch knows no read-only tensors and warns of each.

    Nothing writes into it: a program that writes into its inputs gets copies.
    """

    __slots__ = ("__array_interface__", "_array")

    def __init__(self, array: np.ndarray[Any, Any]) -> None:
        self._array = array  # keeps the memory
        interface = dict(array.__array_interface__)
        interface["data"] = (interface["data"][0], False)
        self.__array_interface__ = interface


def as_torch(tensor: Tensor, device: torch.device, *, copy: bool) -> torch.Tensor:
    """Return a request's tensor for torch; it shares the request's memory, unless it is a copy or on another device."""
    array = tensor.data
    if tensor.datatype == "BF16":
        array = array.view(np.int16)
    if copy:
        array = array.copy()
    elif not array.flags.writeable:
        array = np.asarray(_Writable(array))
    made = torch.from_numpy(array)
    if tensor.datatype == "BF16":
        made = made.view(torch.bfloat16)
    return made if device.type == "cpu" else made.to(device)


def as_tensor(name: str, value: Any) -> Tensor:
    """Return an output as srv's tensor. Raises NoTensor."""
    if isinstance(value, torch.Tensor):
        if value.layout is not torch.strided or value.is_quantized:
            raise NoTensor(name, f"a {'quantised' if value.is_quantized else 'sparse'} tensor")
        if value.dtype not in DATATYPES:
            raise NoTensor(name, f"a tensor of {str(value.dtype).removeprefix('torch.')}")
        if value.dtype is torch.bfloat16:
            bits = value.contiguous().view(torch.int16).numpy(force=True)
            return Tensor(name, bits.view(np.uint16), "BF16")
        return Tensor(name, value.numpy(force=True))
    datatype = _scalars_datatype(value)
    if datatype is None:
        raise NoTensor(name, f"a {type(value).__name__}")
    return Tensor(name, value, datatype)


def named_outputs(result: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the parts of a result with their names: the keys of dicts, the fields of named tuples, the places of others.

    A single value is `output`, the first of a tuple `output_0`; what lies deeper has its way with dots: `hidden.0`.
    """
    parts = _parts(result)
    if parts is None:
        yield name or "output", result
        return
    for key, part in parts:
        if name:
            yield from named_outputs(part, f"{name}.{key}")
        else:
            yield from named_outputs(part, f"output_{key}" if isinstance(key, int) else key)


def _parts(result: Any) -> list[tuple[str | int, Any]] | None:
    """Return the parts of a container; None for what is one value."""
    if isinstance(result, dict):
        return [(str(key), part) for key, part in result.items()]
    if isinstance(result, tuple) and hasattr(result, "_fields"):
        return list(zip(result._fields, result, strict=True))
    if is_dataclass(result) and not isinstance(result, type):
        return [(field.name, getattr(result, field.name)) for field in fields(result)]
    if isinstance(result, tuple) or (isinstance(result, list) and _scalars_datatype(result) is None):
        return list(enumerate(result))
    return None


def _scalars_datatype(value: Any) -> str | None:
    """Return the datatype of a single value, or of a list of single values of one type; else None."""
    if isinstance(value, list) and value:
        types = {type(each) for each in value}
        return SCALARS.get(types.pop()) if len(types) == 1 else None
    return SCALARS.get(type(value))

"""Types of ONNX, and the datatypes of the protocol that carry them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from srv import Spec
from srv.errors import SrvError, listed, quoted

#: How onnxruntime names the type of an element → the protocol's datatype.
DATATYPES = {
    "bool": "BOOL",
    "uint8": "UINT8",
    "uint16": "UINT16",
    "uint32": "UINT32",
    "uint64": "UINT64",
    "int8": "INT8",
    "int16": "INT16",
    "int32": "INT32",
    "int64": "INT64",
    "float16": "FP16",
    "float": "FP32",
    "double": "FP64",
    "string": "BYTES",
    "bfloat16": "BF16",
}
_FORM = re.compile(
    r"(?P<optional>optional\()?(?:(?P<list>seq\(tensor\()|(?P<map>seq\(map\((?:int64|string),tensor\()|tensor\()(?P<element>\w+)\)+"
)


class UnfitType(SrvError):
    """The model has an input or output of a type that the protocol cannot carry."""

    def __init__(self, what: str, name: str, kind: str) -> None:
        super().__init__(
            f"The model's {what} {quoted(name)} is a {kind}, which the protocol cannot carry. "
            f"Export the model with tensors of {listed(DATATYPES)}."
        )


@dataclass(frozen=True)
class Value:
    """An input or output of a model.

    `form` is "tensor", "list" for a sequence of tensors, or "map" for a sequence of maps, one for each row. The shape is
    that of the tensor, or None for any: with names for dimensions of any length that the file gives one, and None for
    those without.
    """

    name: str
    datatype: str
    form: str = "tensor"
    optional: bool = False
    shape: tuple[int | str | None, ...] | None = None

    @property
    def lengths(self) -> tuple[int, ...] | None:
        """The shape as the protocol says it: -1 for any length."""
        if self.shape is None:
            return None
        return tuple(length if isinstance(length, int) else -1 for length in self.shape)

    def spec(self) -> Spec:
        """The value as an input or output of the model's metadata."""
        parameters: dict[str, Any] = {"optional": True} if self.optional else {}
        if self.datatype == "BYTES" and self.lengths in ((-1,), (-1, 1)):
            parameters["content_type"] = "str"
        return Spec(self.datatype, self.lengths, name=self.name, parameters=parameters)


def value_of(what: str, argument: Any, *, has_rank: bool) -> Value:
    """Return what onnxruntime's description of an input or output says. Raises UnfitType."""
    found = _FORM.fullmatch(argument.type)
    datatype = DATATYPES.get(found["element"]) if found is not None else None
    if found is None or datatype is None or (what == "input" and (found["list"] or found["map"])):
        raise UnfitType(what, argument.name, argument.type)
    form = "list" if found["list"] else "map" if found["map"] else "tensor"
    shape = _shape(argument.shape) if has_rank and form == "tensor" else None
    return Value(argument.name, datatype, form, bool(found["optional"]), shape)


def _shape(lengths: Sequence[Any]) -> tuple[int | str | None, ...]:
    """Return a shape in which what is not a length is a name, or None; onnxruntime has -1 for some dimensions of any length."""
    return tuple(
        length if isinstance(length, str) else None if length is None or length < 0 else int(length)
        for length in lengths
    )

"""Requests as MLServer's classes get them, made of srv's without MLServer's validation, which walks every element."""

from __future__ import annotations

from typing import Any, TypeVar

from mlserver import types
from mlserver.utils import generate_uuid

from srv import InferenceRequest, InvalidInput, Tensor

_Made = TypeVar("_Made", bound="types.base.BaseModel")
#: What srv writes into a request's parameters for itself.
_OF_SRV = ("binary_data_output",)


class NotOfMLServer(InvalidInput):
    """The tensor's datatype is one that MLServer does not have."""

    def __init__(self, tensor: Tensor) -> None:
        super().__init__(
            f"Input '{tensor.name}': MLServer, whose class answers here, has no datatype {tensor.datatype}. Send FP32."
        )


def request_of(request: InferenceRequest, *, arrays: bool) -> types.InferenceRequest:
    """Return a request as MLServer's faces make it: with an id, with the headers among its parameters, and flat data.

    The data are arrays where `arrays` says that they are read through codecs only, else lists.
    """
    parameters = {name: value for name, value in request.parameters.items() if name not in _OF_SRV}
    parameters["headers"] = dict(request.headers)
    outputs = None
    if request.outputs is not None:
        outputs = [
            _made(types.RequestOutput, name=each.name, parameters=_parameters(dict(each.parameters)))
            for each in request.outputs
        ]
    return _made(
        types.InferenceRequest,
        id=request.id or generate_uuid(),
        parameters=_parameters(parameters),
        inputs=[_input(tensor, arrays=arrays) for tensor in request.inputs],
        outputs=outputs,
    )


def _input(tensor: Tensor, *, arrays: bool) -> types.RequestInput:
    try:
        datatype = types.Datatype(tensor.datatype)
    except ValueError:
        raise NotOfMLServer(tensor) from None
    flat = tensor.data.reshape(-1)  # because codecs reshape by `shape`, and PandasCodec does not
    if tensor.datatype == "BYTES":
        data: Any = [_text(each) for each in flat]
    else:
        data = flat if arrays else flat.tolist()
    return _made(
        types.RequestInput,
        name=tensor.name,
        shape=[*tensor.shape],
        datatype=datatype,
        parameters=_parameters(dict(tensor.parameters)),
        data=types.TensorData.model_construct(data),
    )


def _text(element: bytes | None) -> str | bytes | None:
    """Return text where it is some, as MLServer's REST face hands it over; what is no UTF-8 stays bytes."""
    if element is None:
        return None
    try:
        return element.decode()
    except UnicodeDecodeError:
        return element


def _parameters(values: dict[str, Any]) -> types.Parameters | None:
    return types.Parameters(**values) if values else None


def _made(cls: type[_Made], **fields: Any) -> _Made:
    """Return an object without validation, in which a field that is None counts as not given."""
    made: _Made = cls.model_construct(**{name: value for name, value in fields.items() if value is not None})
    return made

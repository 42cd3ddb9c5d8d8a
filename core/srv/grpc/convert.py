"""Conversion between the protocol's messages and what runtimes see: requests, responses, metadata."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from srv.errors import InvalidInput, quoted
from srv.grpc.descriptors import ModelInferResponse
from srv.grpc.typed_contents import FIELDS, read_contents, write_contents
from srv.grpc.wire_format import Buffer, joined
from srv.inference.response_validation import UnfitParameter, plain
from srv.messages import InferenceRequest, InferenceResponse, ModelMetadata, RequestedOutput
from srv.model_settings import Spec
from srv.tensors import EMPTY, Parameters, Tensor
from srv.wire.raw_tensors import read_raw, write_raw

_MOST = 2**63 - 1


class WrongRawCount(InvalidInput):
    """More or fewer raw contents than inputs."""

    def __init__(self, given: int, inputs: int) -> None:
        super().__init__(f"raw_input_contents: {given} are sent for {inputs} inputs; each input needs its own.")


class RawAndTyped(InvalidInput):
    """An input has contents beside raw ones."""

    def __init__(self, where: str) -> None:
        super().__init__(f"{where}.contents is given beside raw_input_contents; send all inputs in one of the two.")


class BadParameter(InvalidInput):
    """A parameter without a value, or with one that is no number in JSON."""

    def __init__(self, where: str, name: str, why: str) -> None:
        super().__init__(f"{where}[{quoted(name)}] {why}.")


def read_request(message: Any, raw: Sequence[Buffer], headers: Mapping[str, str]) -> InferenceRequest:
    """Return the inference request of a ModelInferRequest and its raw contents. Raises InvalidInput naming the field."""
    inputs = message.inputs
    if raw and len(raw) != len(inputs):
        raise WrongRawCount(len(raw), len(inputs))
    return InferenceRequest(
        [_tensor(tensor, place, raw[place] if raw else None) for place, tensor in enumerate(inputs)],
        message.id,
        [
            RequestedOutput(output.name, read_parameters(output.parameters, f"outputs[{place}].parameters"))
            for place, output in enumerate(message.outputs)
        ],
        read_parameters(message.parameters, "parameters"),
        headers,
    )


def is_typed(message: Any) -> bool:
    """Return whether a request without raw contents has typed ones; a request without inputs has neither."""
    return any(tensor.HasField("contents") for tensor in message.inputs)


def write_response(response: InferenceResponse, *, typed: bool) -> bytes:
    """Return the bytes of the ModelInferResponse; raw where an output has no typed form. Raises UnfitParameter."""
    message = ModelInferResponse(
        model_name=response.model_name, model_version=response.model_version or "", id=response.id or ""
    )
    if response.parameters:
        write_parameters(response.parameters, message.parameters)
    typed = typed and all(tensor.datatype in FIELDS for tensor in response.outputs)
    for tensor in response.outputs:
        output = message.outputs.add(name=tensor.name, datatype=tensor.datatype, shape=tensor.shape)
        if tensor.parameters:
            write_parameters(tensor.parameters, output.parameters)
        if typed:
            write_contents(tensor, output.contents)
    small: bytes = message.SerializeToString()
    return small if typed else joined(small, [write_raw(tensor) for tensor in response.outputs])


def read_parameters(given: Any, where: str) -> Parameters:
    """Return a map of InferParameter as plain values. Raises InvalidInput for a parameter without a value JSON has."""
    if not given:
        return EMPTY
    parameters = {}
    for name, parameter in given.items():
        choice = parameter.WhichOneof("parameter_choice")
        if choice is None:
            raise BadParameter(where, name, "has no value")
        value = parameters[name] = getattr(parameter, choice)
        if choice == "double_param" and not math.isfinite(value):
            raise BadParameter(where, name, f"is {value}, and numbers are finite")
    return parameters


def write_parameters(parameters: Parameters, target: Any) -> None:
    """Write plain values into a map of InferParameter. Raises UnfitParameter for a value that the map cannot hold."""
    for name, value in parameters.items():
        said = plain(name, value)
        parameter = target[name]
        if isinstance(said, bool):
            parameter.bool_param = said
        elif isinstance(said, int):
            if said <= _MOST:
                parameter.int64_param = said
            else:
                parameter.uint64_param = said
        elif isinstance(said, float):
            parameter.double_param = said
        else:
            parameter.string_param = said


def write_metadata(metadata: ModelMetadata, answer: Any) -> None:
    """Fill a ModelMetadataResponse; a parameter of the model that no InferParameter can hold is written as JSON."""
    answer.name = metadata.name
    answer.versions.extend(metadata.versions)
    answer.platform = metadata.platform
    for specs, tensors in ((metadata.inputs, answer.inputs), (metadata.outputs, answer.outputs)):
        for spec in specs:
            tensor = tensors.add(name=spec.name, datatype=spec.datatype or "", shape=_shape(spec))
            write_parameters(spec.parameters, tensor.parameters)
    for name, value in metadata.parameters.items():
        try:
            write_parameters({name: value}, answer.parameters)
        except UnfitParameter:
            answer.parameters[name].string_param = orjson.dumps(value, default=str).decode()


def _shape(spec: Spec) -> Sequence[int]:
    """Return a declared shape; [-1] for an open one, as over HTTP."""
    return spec.shape if spec.shape is not None else (-1,)


def _tensor(tensor: Any, place: int, raw: Buffer | None) -> Tensor:
    where = f"inputs[{place}]"
    shape = list(tensor.shape)
    if raw is None:
        array = read_contents(tensor.contents, tensor.datatype, shape, where)
    else:
        if tensor.HasField("contents") and tensor.contents.ByteSize():
            raise RawAndTyped(where)
        array = read_raw(raw, tensor.datatype, shape, where)
    parameters = read_parameters(tensor.parameters, f"{where}.parameters")
    return Tensor.trusted(tensor.name, array, tensor.datatype, parameters)

"""Messages of gRPC, as a client writes and reads them."""

from __future__ import annotations

from typing import Any

from srv.client.arguments import BadArgument
from srv.errors import quoted
from srv.grpc.convert import read_parameters, write_parameters
from srv.grpc.descriptors import ModelInferRequest
from srv.grpc.typed_contents import read_contents, write_contents
from srv.inference.response_validation import UnfitParameter
from srv.messages import InferenceRequest, InferenceResponse
from srv.tensors import Tensor
from srv.wire.raw_tensors import read_raw, write_raw


def as_message(model: str, request: InferenceRequest, *, version: str | None = None, typed: bool = False) -> bytes:
    """Return the message of a request, with the tensors as raw or as typed contents.

    Raises UnfitArray for missing values, which gRPC has no form for, and BadArgument for such parameters.
    """
    try:
        return _written(model, request, version, typed=typed)
    except UnfitParameter as error:
        raise BadArgument(f"The parameter {quoted(str(error.name))} is {error.why}, which gRPC cannot carry.") from None


def _written(model: str, request: InferenceRequest, version: str | None, *, typed: bool) -> bytes:
    asked = ModelInferRequest(model_name=model, model_version=version or "", id=request.id or "")
    write_parameters(request.parameters, asked.parameters)
    for tensor in request.inputs:
        given = asked.inputs.add(name=tensor.name, datatype=tensor.datatype, shape=tensor.shape)
        write_parameters(tensor.parameters, given.parameters)
        if typed:
            given.contents.SetInParent()  # so that one without elements is typed too
            write_contents(tensor, given.contents)
        else:
            asked.raw_input_contents.append(bytes(write_raw(tensor)))
    for output in request.outputs or ():
        write_parameters(output.parameters, asked.outputs.add(name=output.name).parameters)
    written: bytes = asked.SerializeToString()
    return written


def as_response(said: Any) -> InferenceResponse:
    """Return the response that a ModelInferResponse holds."""
    raw = said.raw_output_contents
    outputs = []
    for place, output in enumerate(said.outputs):
        where = f"outputs[{place}]"
        if raw:
            array = read_raw(raw[place], output.datatype, list(output.shape), where)
        else:
            array = read_contents(output.contents, output.datatype, list(output.shape), where)
        outputs.append(Tensor.trusted(output.name, array, output.datatype, read_parameters(output.parameters, where)))
    response = InferenceResponse(outputs, read_parameters(said.parameters, "parameters"))
    response.model_name = said.model_name
    response.model_version = said.model_version or None
    response.id = said.id or None
    return response

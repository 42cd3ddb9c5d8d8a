"""Asking for inference over gRPC, with the answer told in HTTP's words, so that one check fits both faces."""

from __future__ import annotations

from typing import Any

import grpc
import orjson

from srv.grpc.contents import read_contents, write_contents
from srv.grpc.convert import read_parameters, write_parameters
from srv.grpc.descriptors import INFERENCE, ModelInferRequest, ModelInferResponse
from srv.messages import InferenceRequest, InferenceResponse
from srv.rawdata import read_raw, write_raw
from srv.rest import errors as rest
from srv.tensors import Tensor
from srv.testing.answers import Answer

#: HTTP's status by the contract's stable names.
_STATUSES = {**dict(rest.TABLE.values()), rest.INTERNAL[0]: rest.INTERNAL[1]}
_SECONDS = 60.0


def call(address: str, model: str, request: InferenceRequest, *, typed: bool = False) -> Answer:
    """Ask the server at `host:port`, with the tensors as raw or as typed contents. An error is an answer, as over HTTP."""
    options = (("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1))
    with grpc.insecure_channel(address, options=options) as channel:
        infer = channel.unary_unary(f"/{INFERENCE}/ModelInfer")
        try:
            data, done = infer.with_call(as_message(model, request, typed=typed), timeout=_SECONDS)
        except grpc.RpcError as error:
            return _refusal(error)
    return Answer(200, dict(done.trailing_metadata() or ()), b"", as_response(ModelInferResponse.FromString(data)))


def as_message(model: str, request: InferenceRequest, *, version: str | None = None, typed: bool = False) -> bytes:
    """The message that a client sends, with the tensors as raw or as typed contents."""
    message = ModelInferRequest(model_name=model, model_version=version or "", id=request.id or "")
    write_parameters(request.parameters, message.parameters)
    for tensor in request.inputs:
        given = message.inputs.add(name=tensor.name, datatype=tensor.datatype, shape=tensor.shape)
        write_parameters(tensor.parameters, given.parameters)
        if typed:
            given.contents.SetInParent()  # so that one without elements is typed too
            write_contents(tensor, given.contents)
        else:
            message.raw_input_contents.append(bytes(write_raw(tensor)))
    for output in request.outputs or ():
        write_parameters(output.parameters, message.outputs.add(name=output.name).parameters)
    written: bytes = message.SerializeToString()
    return written


def as_response(message: Any) -> InferenceResponse:
    """The response that a ModelInferResponse says."""
    raw = message.raw_output_contents
    outputs = []
    for place, output in enumerate(message.outputs):
        where = f"outputs[{place}]"
        if raw:
            array = read_raw(raw[place], output.datatype, list(output.shape), where)
        else:
            array = read_contents(output.contents, output.datatype, list(output.shape), where)
        outputs.append(Tensor.trusted(output.name, array, output.datatype, read_parameters(output.parameters, where)))
    response = InferenceResponse(outputs, read_parameters(message.parameters, "parameters"))
    response.model_name = message.model_name
    response.model_version = message.model_version or None
    response.id = message.id or None
    return response


def _refusal(error: Any) -> Answer:
    trailing = dict(error.trailing_metadata() or ())
    code = trailing.get("srv-code", rest.INTERNAL[0])
    body = orjson.dumps({"error": error.details(), "code": code})
    return Answer(_STATUSES.get(code, rest.INTERNAL[1]), trailing, body)

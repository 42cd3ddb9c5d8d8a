"""Inference over gRPC with the answer in HTTP's terms, so that one check fits both faces."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

import grpc
import orjson

from srv.grpc.convert import read_parameters, write_parameters
from srv.grpc.descriptors import INFERENCE, ModelInferRequest, ModelInferResponse
from srv.grpc.typed_contents import read_contents, write_contents
from srv.messages import InferenceRequest, InferenceResponse
from srv.rest.errors import INTERNAL, STATUSES
from srv.tensors import EMPTY, Tensor
from srv.testing.answers import Answer
from srv.wire.raw_tensors import read_raw, write_raw

_SECONDS = 60.0


def channel_to(address: str) -> grpc.Channel:
    """Return a channel to the server at `host:port`, for messages of any size; it is to be closed."""
    options = (("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1))
    return grpc.insecure_channel(address, options=options)


def call(
    channel: AbstractContextManager[grpc.Channel],
    model: str,
    request: InferenceRequest,
    *,
    typed: bool = False,
    version: str | None = None,
    headers: Mapping[str, str] = EMPTY,
) -> Answer:
    """Ask over a channel, with the tensors as raw or as typed contents. An error is an answer, as over HTTP."""
    with channel as opened:
        infer = opened.unary_unary(f"/{INFERENCE}/ModelInfer")
        try:
            message = as_message(model, request, version=version, typed=typed)
            metadata = tuple((name.lower(), value) for name, value in headers.items())
            data, done = infer.with_call(message, timeout=_SECONDS, metadata=metadata)
        except grpc.RpcError as error:
            return refusal_of(error)
    return Answer(200, dict(done.trailing_metadata() or ()), b"", as_response(ModelInferResponse.FromString(data)))


def as_message(model: str, request: InferenceRequest, *, version: str | None = None, typed: bool = False) -> bytes:
    """Return the message that a client sends, with the tensors as raw or as typed contents."""
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
    """Return the response that a ModelInferResponse holds."""
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


def refusal_of(error: Any) -> Answer:
    """Return the answer for a call that failed, in HTTP's terms."""
    trailing = dict(error.trailing_metadata() or ())
    code = trailing.get("srv-code", INTERNAL)
    body = orjson.dumps({"error": error.details(), "code": code})
    return Answer(STATUSES.get(code, STATUSES[INTERNAL]), trailing, body)

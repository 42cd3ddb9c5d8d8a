"""Inference over gRPC with the answer in HTTP's terms, so that one check fits both faces."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

import grpc
import orjson

from srv.client.grpc_messages import as_message, as_response
from srv.grpc.descriptors import INFERENCE, ModelInferResponse
from srv.messages import InferenceRequest
from srv.rest.errors import INTERNAL
from srv.rest.statuses import STATUSES
from srv.tensors import EMPTY
from srv.testing.answers import Answer

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


def refusal_of(error: Any) -> Answer:
    """Return the answer for a call that failed, in HTTP's terms."""
    trailing = dict(error.trailing_metadata() or ())
    code = trailing.get("srv-code", INTERNAL)
    body = orjson.dumps({"error": error.details(), "code": code})
    return Answer(STATUSES.get(code, STATUSES[INTERNAL]), trailing, body)

"""Streams over either face: an answer for each response, and a failure as the last answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any

import grpc
import msgspec

from srv.client.bodies import as_json
from srv.client.grpc_messages import as_message, as_response
from srv.grpc.descriptors import INFERENCE, message
from srv.messages import InferenceRequest, InferenceResponse
from srv.rest.errors import INTERNAL
from srv.rest.statuses import STATUSES
from srv.tensors import EMPTY, Tensor
from srv.testing.answers import Answer
from srv.testing.grpc_client import refusal_of
from srv.testing.requests import ServerUnderTest, path_of

_Response = message("inference.ModelStreamInferResponse")
_DATA = b"data: "
_SECONDS = 60.0


@dataclass(frozen=True)
class Streamed(Answer):
    """The answers of one stream as one: the outputs of all its responses, or the failure that ended it."""

    responses: tuple[InferenceResponse, ...] = ()


def over_rest(
    server: ServerUnderTest,
    model: str,
    request: InferenceRequest,
    *,
    version: str | None = None,
    headers: Mapping[str, str] = EMPTY,
) -> list[Answer]:
    """Return the events of `infer_stream`."""
    answer = server.post(f"{path_of(model, version)}/infer_stream", as_json(request), headers=headers)
    return events_of(answer)


def events_of(answer: Answer) -> list[Answer]:
    """Return the events of an answer that is a stream; the answer itself if it is none."""
    if not answer.headers.get("content-type", "").startswith("text/event-stream"):
        return [answer]
    return [_event(answer, line.removeprefix(_DATA)) for line in answer.body.splitlines() if line.startswith(_DATA)]


def _event(answer: Answer, data: bytes) -> Answer:
    code = msgspec.json.decode(data).get("code")
    return replace(answer, status=200 if code is None else STATUSES.get(code, STATUSES[INTERNAL]), body=data)


def over_grpc(
    channel: AbstractContextManager[grpc.Channel],
    model: str,
    request: InferenceRequest,
    *,
    version: str | None = None,
    headers: Mapping[str, str] = EMPTY,
) -> list[Answer]:
    """Return the responses of `ModelStreamInfer` to one request; a failure there has a sentence and no code."""
    asked = as_message(model, request, version=version)
    answers = []
    with channel as opened:
        stream = opened.stream_stream(f"/{INFERENCE}/ModelStreamInfer")
        metadata = tuple((name.lower(), value) for name, value in headers.items())
        responses = stream(iter([asked]), timeout=_SECONDS, metadata=metadata)
        try:
            answers += [_answer(_Response.FromString(data)) for data in responses]
        except grpc.RpcError as error:
            answers.append(refusal_of(error))
    return answers


def _answer(response: Any) -> Answer:
    if response.error_message:
        document = {"error": response.error_message, "code": "UNKNOWN"}
        return Answer(STATUSES[INTERNAL], EMPTY, msgspec.json.encode(document))
    return Answer(200, EMPTY, b"", as_response(response.infer_response))


def as_one(answers: Sequence[Answer]) -> Streamed:
    """Join the answers of a stream to one."""
    failed = next((answer for answer in answers if not answer.ok), None)
    if failed is not None:
        return Streamed(failed.status, failed.headers, failed.body)
    responses = tuple(answer.response for answer in answers)
    whole = InferenceResponse([*_outputs(responses)])
    if responses:
        whole.model_name, whole.model_version = responses[0].model_name, responses[0].model_version
    return Streamed(200, EMPTY, b"", whole, responses)


def _outputs(responses: Sequence[InferenceResponse]) -> Iterator[Tensor]:
    for response in responses:
        yield from response.outputs

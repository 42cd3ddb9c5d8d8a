"""Requests and responses as heads of frames: all of them but the tensors, which travel beside the head."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from srv.cancellation import Caller, ClientDeadline
from srv.channels.frames import Frame
from srv.messages import InferenceRequest, InferenceResponse, RequestedOutput
from srv.metrics_types import Stages
from srv.routes import RouteRequest, RouteResponse
from srv.tensors import EMPTY


def request_head(request: InferenceRequest, deadline: float | None) -> dict[str, Any]:
    """Return the head of a request that is to be answered by a deadline on the monotonic clock, which all processes have."""
    head: dict[str, Any] = {"version": request.model_version, "due": deadline}
    if isinstance(deadline, ClientDeadline):
        head["client"] = deadline.seconds
    if request.id is not None:
        head["id"] = request.id
    if request.parameters:
        head["parameters"] = dict(request.parameters)
    if request.outputs:
        head["outputs"] = [(output.name, dict(output.parameters)) for output in request.outputs]
    headers = dict(request.headers.items())  # at once, and not one by one as `dict` of a mapping does
    if headers:
        head["headers"] = headers
    return head


def request_of(frame: Frame, name: str, caller: Caller) -> InferenceRequest:
    """Return the request of a frame, for the model of that name."""
    head: Mapping[str, Any] = frame.head
    request = InferenceRequest(
        frame.tensors, head.get("id"), parameters=head.get("parameters", EMPTY), headers=head.get("headers", EMPTY)
    )
    if "outputs" in head:
        request.outputs = [RequestedOutput(each, parameters) for each, parameters in head["outputs"]]
    request.model_name, request.model_version = name, head["version"]
    request.caller = caller
    return request


def due_of(head: Mapping[str, Any]) -> float | None:
    """Return a request's deadline."""
    due = head["due"]
    return ClientDeadline(due, head["client"]) if "client" in head else due


def response_head(response: InferenceResponse, stages: Stages) -> dict[str, Any]:
    """Return the head of a response, with where the request's time went."""
    head: dict[str, Any] = {"stages": times_of(stages)}
    if response.parameters:
        head["parameters"] = dict(response.parameters)
    if response.headers:
        head["headers"] = dict(response.headers)
    return head


def response_of(frame: Frame) -> InferenceResponse:
    """Return the response of a frame."""
    head: Mapping[str, Any] = frame.head
    parameters, headers = head.get("parameters", EMPTY), head.get("headers", EMPTY)
    return InferenceResponse(frame.tensors, parameters, headers)


def route_head(request: RouteRequest, number: int, received: float) -> dict[str, Any]:
    """Return the head of a request to the route of that number; its body travels as a part of it."""
    return {
        "route": number,
        "received": received,
        "method": request.method,
        "path": request.path,
        "fields": dict(request.path_parameters),
        "query": request.query_string,
        "headers": dict(request.headers),
        "body": request.body,
    }


def route_request_of(head: Mapping[str, Any], caller: Caller) -> RouteRequest:
    """Return the request to a route of a head."""
    request = RouteRequest(
        head["method"], head["path"], head["body"],
        path_parameters=head["fields"], query_string=head["query"], headers=head["headers"],
    )  # fmt: skip
    request.caller = caller
    return request


def route_response_head(response: RouteResponse, body: bytes, stages: Stages) -> dict[str, Any]:
    """Return the head of a route's response; the body of a stream comes in pieces behind it."""
    return {
        "status": response.status,
        "content_type": response.content_type,
        "headers": dict(response.headers),
        "body": body,
        "stages": times_of(stages),
    }


def times_of(stages: Stages) -> Sequence[int]:
    """Return where a request's time went in a process, in nanoseconds."""
    return (stages.queue, stages.input, stages.infer, stages.output)


def add_times(stages: Stages, head: Mapping[str, Any], took: int | None = None) -> None:
    """Add a process's times to those of a request, which was away for so many nanoseconds.

    The way there and back counts as input and output, in equal parts.
    """
    queue, given, infer, output = head["stages"]
    way = 0 if took is None else max(0, took - queue - given - infer - output)
    stages.queue += queue
    stages.input += given + way // 2
    stages.infer += infer
    stages.output += output + way - way // 2

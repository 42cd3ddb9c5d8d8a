"""A request's way through a worker: down to predict on the left, back up on the right."""

from __future__ import annotations

from itertools import pairwise

from svg_pictures.source import place
from svg_pictures.svg import Box, Picture, styled, wrapped

WIDTH = 940
#: What happens at each station: what it is called, where it is in the code, what it does.
Station = tuple[str, tuple[str, str], str]
HTTP_IN: list[Station] = [
    (
        "HTTP",
        ("serve.http.reader", "ConnectionReader"),
        "reads and parses a request; refuses what breaks a rule or a limit",
    ),
    ("WSGI", ("serve.http.app_runner", "AppRunner"), "runs the Falcon app, in the leading thread or another"),
    ("Middleware", ("rest.middleware", "EveryRequest"), "request id, headers as runtimes may see them"),
    (
        "REST",
        ("rest.infer", "RequestReader"),
        "checks the JSON around the tensors; tensors become arrays without a copy",
    ),
]
GRPC_IN: list[Station] = [
    ("gRPC", ("grpc.server", "GrpcServer"), "grpcio takes the call; a pool with a bounded queue runs it"),
    ("Calls", ("grpc.calls", ""), "metadata, deadline, bytes in flight, interceptors"),
    ("Servicer", ("grpc.servicer", "Servicer"), "checks the message; raw contents become arrays without a copy"),
]
HTTP_OUT: Station = ("REST", ("rest.answers", "write_response"), "arrays to JSON, or as binary data behind it")
GRPC_OUT: Station = ("gRPC", ("grpc.convert", ""), "arrays to raw or typed contents, as the request had them")
ERRORS: Station = (
    "Errors",
    ("rest.errors", ""),
    "an error becomes a status and a stable name; gRPC has a table of its own",
)
PLANE_IN: Station = (
    "Data plane",
    ("planes.dataplane", "DataPlane.infer"),
    "finds the model, sets the deadline, asks srv_before_infer, which may answer in the model's place",
)
PLANE_OUT: Station = ("Data plane", ("planes.statistics", ""), "checks the response, tells srv_after_infer, counts")
PIPELINE_IN: list[Station] = [
    (
        "Validation",
        ("inference.request_validation", "InputCheck"),
        "names, datatypes and shapes as the model declares them",
    ),
    ("Decoding", ("inference.decoding", "Decoding"), "codecs make Python values of tensors, as predict's hints say"),
]
PIPELINE_OUT: list[Station] = [
    ("Encoding", ("inference.encoding", "Encoding"), "what predict returned becomes tensors, named as declared"),
    ("Validation", ("inference.response_validation", "check_response"), "both faces must be able to say it"),
]
RUN: list[Station] = [
    (
        "Batching",
        ("inference.batching.batches", "Batching"),
        "merges requests that are alike, and divides their response",
    ),
    ("Execution", ("inference.execution", "Execution"), "waits for the model's concurrency; threads or the event loop"),
]


def draw() -> str:
    """Draw the stations as steps of a stair that goes down and up again."""
    picture = Picture("A request's way: a face, the data plane, the model's pipeline, predict, and back.", WIDTH)
    picture.words(20, 28, "A request's way through a worker", "head")
    y = 48
    left, right = 20, 510
    half = 410
    http = column(picture, HTTP_IN, left, y, 200, "blue")
    grpc = column(picture, GRPC_IN, left + 210, y, 200, "blue")
    written = column(picture, [HTTP_OUT], right, y, 200, "blue")
    called = column(picture, [GRPC_OUT], right + 210, y, 200, "blue")
    station(picture, ERRORS, right + 115, y + 130, 180, "box")
    down = max(box.y + box.height for box in (http[-1], grpc[-1])) + 34
    plane_in = station(picture, PLANE_IN, left, down, half, "green")
    plane_out = station(picture, PLANE_OUT, right, down, half, "green")
    below = max(plane_in.y + plane_in.height, plane_out.y + plane_out.height) + 30
    pipe_in = column(picture, PIPELINE_IN, left + 30, below, half - 30, "amber")
    pipe_out = column(picture, list(reversed(PIPELINE_OUT)), right, below, half - 30, "amber")
    lowest = max(box.y + box.height for box in (pipe_in[-1], pipe_out[-1])) + 30
    batching = station(picture, RUN[0], left + 30, lowest, 250, "amber")
    execution = station(picture, RUN[1], left + 320, lowest, 250, "amber")
    predict = picture.box(
        right + 140,
        lowest,
        240,
        [("bold", "predict"), ("code faint", place("runtime", "Runtime")), ("", "the model's own code"), ("", "")],
    )
    for boxes in (http, grpc, pipe_in):
        for one, other in pairwise(boxes):
            picture.arrow(one.bottom, other.top)
    picture.arrow(pipe_out[1].top, (pipe_out[1].top[0], pipe_out[0].y + pipe_out[0].height))
    picture.arrow(http[-1].bottom, (http[-1].bottom[0], plane_in.y))
    picture.arrow(grpc[-1].bottom, (grpc[-1].bottom[0], plane_in.y))
    picture.arrow(plane_in.bottom, (plane_in.bottom[0], pipe_in[0].y))
    picture.arrow((batching.top[0], pipe_in[-1].y + pipe_in[-1].height), batching.top)
    picture.arrow(batching.right, execution.left)
    picture.arrow(execution.right, predict.left)
    picture.arrow(predict.top, (predict.top[0], pipe_out[1].y + pipe_out[1].height))
    picture.arrow((plane_out.bottom[0], pipe_out[0].y), plane_out.bottom)
    picture.arrow((written[0].bottom[0], plane_out.y), written[0].bottom)
    picture.arrow((called[0].bottom[0], plane_out.y), called[0].bottom)
    return picture.text()


def column(picture: Picture, stations: list[Station], x: float, y: float, width: float, kind: str) -> list[Box]:
    """Draw stations one below the other."""
    boxes = []
    for each in stations:
        boxes.append(station(picture, each, x, y, width, kind))
        y = boxes[-1].y + boxes[-1].height + 18
    return boxes


def station(picture: Picture, each: Station, x: float, y: float, width: float, kind: str) -> Box:
    """Draw one station."""
    name, (module, member), about = each
    code = wrapped(place(module, member), width - 16, "code")
    lines = [("bold", name), *styled("code faint", code), *styled("", wrapped(about, width - 16))]
    return picture.box(x, y, width, lines, kind=kind)

"""What is asked: requests of the Open Inference Protocol over HTTP and gRPC, and whether an answer is right."""

from __future__ import annotations

import http.client
import json
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from benching.processes import PATIENCE, Server

JSON_HEADERS = (("Content-Type", "application/json"),)
METHOD = "/inference.GRPCInferenceService/ModelInfer"


class WrongAnswer(Exception):
    """A server's answer is not what it must be, so there is nothing to time."""


@dataclass(frozen=True)
class Request:
    """What is sent over HTTP, again and again."""

    path: str
    body: bytes
    headers: tuple[tuple[str, str], ...] = JSON_HEADERS

    def raw(self) -> bytes:
        """The request as it goes over the wire."""
        lines = [f"POST {self.path} HTTP/1.1", "Host: 127.0.0.1", *(f"{name}: {value}" for name, value in self.headers)]
        return "\r\n".join([*lines, f"Content-Length: {len(self.body)}", "", ""]).encode() + self.body


@dataclass(frozen=True)
class Call:
    """What is sent over gRPC to ModelInfer, again and again: the message as bytes."""

    message: bytes

    def frame(self) -> bytes:
        """The message as HTTP/2 carries it."""
        return struct.pack(">BI", 0, len(self.message)) + self.message


def tensor(datatype: str, shape: list[int], data: list[Any], name: str = "x") -> dict[str, Any]:
    """An input of a request in JSON."""
    return {"name": name, "datatype": datatype, "shape": shape, "data": data}


def in_json(model: str, *inputs: dict[str, Any]) -> Request:
    """A request whose numbers are text."""
    return Request(f"/v2/models/{model}/infer", json.dumps({"inputs": inputs}).encode())


def in_binary(model: str, payload: bytes, answer: Mapping[str, Any] | None = None) -> Request:
    """A request whose numbers, FP32, follow the JSON as they are; the answer comes in JSON, if `answer` asks for no other."""
    described = {"name": "x", "datatype": "FP32", "shape": [len(payload) // 4]}
    document = {"inputs": [described | {"parameters": {"binary_data_size": len(payload)}}], **(answer or {})}
    head = json.dumps(document).encode()
    head += b" " * (-len(head) % 8)  # so that the numbers lie where an array may
    headers = (("Content-Type", "application/octet-stream"), ("Inference-Header-Content-Length", str(len(head))))
    return Request(f"/v2/models/{model}/infer", head + payload, headers)


def in_raw(model: str, payload: bytes) -> Call:
    """A call whose numbers, FP32, are raw contents."""
    from tritonclient.grpc import service_pb2

    described = {"name": "x", "datatype": "FP32", "shape": [len(payload) // 4]}
    message = service_pb2.ModelInferRequest(model_name=model, inputs=[described], raw_input_contents=[payload])
    return Call(message.SerializeToString())


def in_contents(model: str, numbers: list[float]) -> Call:
    """A call whose numbers, FP32, are typed contents."""
    from tritonclient.grpc import service_pb2

    described = {"name": "x", "datatype": "FP32", "shape": [len(numbers)], "contents": {"fp32_contents": numbers}}
    return Call(service_pb2.ModelInferRequest(model_name=model, inputs=[described]).SerializeToString())


def post(server: Server, request: Request) -> tuple[int, bytes]:
    """Ask once over HTTP: the status and the body of the answer."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE)
    try:
        connection.request("POST", request.path, request.body, dict(request.headers))
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def check(server: Server, request: Request, right: Callable[[list[Any]], bool]) -> None:
    """The numbers of the answer must be right before it is timed. Raises WrongAnswer."""
    status, body = post(server, request)
    try:
        if status == HTTPStatus.OK and right(json.loads(body)["outputs"][0]["data"]):
            return
    except (ValueError, LookupError, TypeError):
        pass
    raise WrongAnswer(f"{server.name} answers {status}: {body[:200].decode(errors='replace')}")


def check_call(server: Server, call: Call, right: Callable[[list[Any]], bool]) -> int:
    """Likewise over gRPC, by a client that looks at the status in the trailers; gives the size of an answer."""
    import grpc
    import numpy as np
    from tritonclient.grpc import service_pb2

    with grpc.insecure_channel(
        f"127.0.0.1:{server.grpc_port}", options=[("grpc.max_receive_message_length", -1)]
    ) as channel:
        try:
            answer: bytes = channel.unary_unary(METHOD)(call.message, timeout=PATIENCE, wait_for_ready=True)
        except grpc.RpcError as error:
            raise WrongAnswer(f"{server.name} answers {error.code().name}: {error.details()}") from None
    message = service_pb2.ModelInferResponse.FromString(answer)
    kind = np.dtype({"FP32": np.float32, "FP64": np.float64, "INT64": np.int64}[message.outputs[0].datatype])
    if message.raw_output_contents:
        numbers = np.frombuffer(message.raw_output_contents[0], kind).tolist()
    else:
        contents = message.outputs[0].contents
        numbers = [*contents.fp32_contents, *contents.fp64_contents, *contents.int64_contents]
    if not right(numbers):
        raise WrongAnswer(f"{server.name} answers {str(message)[:200]}")
    return len(answer)

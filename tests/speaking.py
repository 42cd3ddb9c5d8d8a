"""The four forms in which a server is asked, over connections that stay open; what it says comes in its face's words."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import grpc
from google.protobuf.json_format import MessageToDict

from srv.client.bodies import NoJsonForm, as_json
from srv.client.grpc_messages import as_message, as_response
from srv.grpc.descriptors import INFERENCE, ModelInferRequest, ModelInferResponse, message
from srv.grpc.typed_contents import FIELDS
from srv.messages import InferenceRequest, InferenceResponse
from srv.tensors import DTYPES, EMPTY, Tensor
from srv.testing import Answer
from srv.testing.requests import as_binary, path_of

PATIENCE = 60.0
Code = grpc.StatusCode

#: The table of the contract: the stable name, HTTP's status, gRPC's.
STATUSES = {
    "INVALID_INPUT": (400, Code.INVALID_ARGUMENT),
    "UNAUTHENTICATED": (401, Code.UNAUTHENTICATED),
    "FORBIDDEN": (403, Code.PERMISSION_DENIED),
    "NOT_FOUND": (404, Code.NOT_FOUND),
    "TOO_LARGE": (413, Code.RESOURCE_EXHAUSTED),
    "QUEUE_FULL": (429, Code.RESOURCE_EXHAUSTED),
    "MODEL_ERROR": (500, Code.INTERNAL),
    "UNIMPLEMENTED": (501, Code.UNIMPLEMENTED),
    "UNAVAILABLE": (503, Code.UNAVAILABLE),
    "DEADLINE": (504, Code.DEADLINE_EXCEEDED),
}


@dataclass(frozen=True)
class Heard:
    """What a server said: a response, or the status, the stable name and the sentence of a refusal."""

    status: int | Code
    headers: Mapping[str, str]
    response: InferenceResponse | None = None
    code: str | None = None
    error: str | None = None

    @property
    def good(self) -> InferenceResponse:
        """The response, which must have come."""
        assert self.response is not None, self
        return self.response


class Line:
    """A connection to each face of one server, for one thread."""

    def __init__(self, url: str, grpc_address: str) -> None:
        address = urlsplit(url)
        self._http = http.client.HTTPConnection(address.hostname or "", address.port, timeout=PATIENCE)
        options = [(f"grpc.max_{way}_message_length", -1) for way in ("send", "receive")]
        self._grpc = grpc.insecure_channel(grpc_address, options=[*options, ("grpc.use_local_subchannel_pool", 1)])

    def request(self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] = EMPTY) -> Answer:
        """One request over HTTP."""
        self._http.request(method, path, body, dict(headers))
        answer = self._http.getresponse()
        return Answer(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())

    def call(self, method: str, data: bytes, headers: Mapping[str, str] = EMPTY) -> tuple[bytes, Mapping[str, str]]:
        """One unary call: the answer and its trailing metadata. Raises grpc.RpcError."""
        metadata = [(name.lower(), value) for name, value in headers.items()]
        unary = self._grpc.unary_unary(f"/{INFERENCE}/{method}")
        answer, call = unary.with_call(data, metadata=metadata, timeout=PATIENCE)
        return answer, dict(call.trailing_metadata() or ())

    def ask(self, method: str, /, **fields: Any) -> dict[str, Any]:
        """One unary call other than for inference, as JSON has it."""
        asked = message(f"inference.{method}Request")(**fields).SerializeToString()
        answer = message(f"inference.{method}Response").FromString(self.call(method, asked)[0])
        told: dict[str, Any] = MessageToDict(answer, preserving_proto_field_name=True)
        return told

    def stream(self, data: bytes) -> Iterator[Any]:
        """The answers to one request on a stream, which ends when they have come."""
        answers = self._grpc.stream_stream(f"/{INFERENCE}/ModelStreamInfer")(iter([data]), timeout=PATIENCE)
        return map(message("inference.ModelStreamInferResponse").FromString, answers)

    def close(self) -> None:
        """Close both."""
        self._http.close()
        self._grpc.close()


class Rest:
    """REST, with the tensors as JSON or as binary data."""

    face = 0

    def __init__(self, name: str, *, binary: bool) -> None:
        self.name = name
        self._binary = binary

    def __repr__(self) -> str:
        return self.name

    def carries(self, request: InferenceRequest) -> bool:
        """Whether the form can say the request's tensors."""
        try:
            return self._binary or bool(as_json(request))
        except NoJsonForm:
            return False

    def infer(
        self,
        line: Line,
        model: str,
        request: InferenceRequest,
        version: str | None = None,
        headers: Mapping[str, str] = EMPTY,
    ) -> Heard:
        """Ask for inference."""
        return _heard(self._post(line, f"{path_of(model, version)}/infer", request, headers))

    def stream(self, line: Line, model: str, request: InferenceRequest) -> list[Heard]:
        """Ask for a stream; what comes in its stead is the only one of the list."""
        answer = self._post(line, f"{path_of(model)}/infer_stream", request, EMPTY)
        if not answer.ok:
            return [_heard(answer)]
        frames = [frame.removeprefix(b"data: ") for frame in answer.body.split(b"\n\n")[:-1]]
        return [_heard(Answer(500 if b'"error"' in frame else 200, EMPTY, frame)) for frame in frames]

    def _post(self, line: Line, path: str, request: InferenceRequest, headers: Mapping[str, str]) -> Answer:
        body, own = as_binary(request) if self._binary else (as_json(request), {"Content-Type": "application/json"})
        return line.request("POST", path, body, {**own, **headers})

    def metadata(self, line: Line, model: str) -> dict[str, Any]:
        """What a model says of itself."""
        told: dict[str, Any] = line.request("GET", path_of(model)).json
        return told

    def statistics(self, line: Line, model: str) -> dict[str, Any]:
        """What the model's only version has answered."""
        told: dict[str, Any] = line.request("GET", f"{path_of(model)}/stats").json["model_stats"][0]
        return told


class Grpc:
    """gRPC, with the tensors as typed or as raw contents."""

    face = 1

    def __init__(self, name: str, *, typed: bool) -> None:
        self.name = name
        self._typed = typed

    def __repr__(self) -> str:
        return self.name

    def carries(self, request: InferenceRequest) -> bool:
        """Whether the form can say the request's tensors."""
        return not self._typed or all(tensor.datatype in FIELDS for tensor in request.inputs)

    def infer(
        self,
        line: Line,
        model: str,
        request: InferenceRequest,
        version: str | None = None,
        headers: Mapping[str, str] = EMPTY,
    ) -> Heard:
        """Ask for inference."""
        try:
            answer, trailing = line.call("ModelInfer", self._message(model, request, version), headers)
        except grpc.RpcError as error:
            trailing = dict(error.trailing_metadata() or ())
            return Heard(error.code(), trailing, None, trailing.get("srv-code"), error.details())
        read = ModelInferResponse.FromString(answer)
        if read.outputs:
            assert bool(read.raw_output_contents) is not self._typed, "a request is answered in its own form"
        return Heard(Code.OK, trailing, as_response(read))

    def stream(self, line: Line, model: str, request: InferenceRequest) -> list[Heard]:
        """Ask for a stream; a refusal on it has a sentence and no code."""
        return [
            Heard(Code.OK, EMPTY, None, None, answer.error_message)
            if answer.error_message
            else Heard(Code.OK, EMPTY, as_response(answer.infer_response))
            for answer in line.stream(self._message(model, request))
        ]

    def _message(self, model: str, request: InferenceRequest, version: str | None = None) -> bytes:
        """The message; a datatype that does not exist goes where FP32 goes."""
        unknown = [place for place, tensor in enumerate(request.inputs) if tensor.datatype not in DTYPES]
        if not unknown:
            return as_message(model, request, version=version, typed=self._typed)
        known = [tensor if tensor.datatype in DTYPES else Tensor(tensor.name, tensor.data) for tensor in request.inputs]
        written = ModelInferRequest.FromString(as_message(model, InferenceRequest(known), typed=self._typed))
        for place in unknown:
            written.inputs[place].datatype = request.inputs[place].datatype
        return written.SerializeToString()

    def metadata(self, line: Line, model: str) -> dict[str, Any]:
        """What a model says of itself, in the words of JSON."""
        told = line.ask("ModelMetadata", name=model)
        for tensors in (told.setdefault("inputs", []), told.setdefault("outputs", [])):
            for tensor in tensors:
                tensor["shape"] = [int(length) for length in tensor.get("shape", ())]
                if "parameters" in tensor:
                    tensor["parameters"] = {name: _only(said) for name, said in tensor["parameters"].items()}
        if "parameters" in told:
            told["parameters"] = {name: _value(_only(said)) for name, said in told["parameters"].items()}
        return told

    def statistics(self, line: Line, model: str) -> dict[str, Any]:
        """What the model's only version has answered."""
        told: dict[str, Any] = line.ask("ModelStatistics", name=model)["model_stats"][0]
        return told


def _only(said: dict[str, Any]) -> Any:
    """What a parameter says, whichever of its fields has it."""
    (value,) = said.values()
    return value


Form = Rest | Grpc
FORMS: tuple[Form, ...] = (
    Rest("rest-json", binary=False),
    Rest("rest-binary", binary=True),
    Grpc("grpc", typed=True),
    Grpc("grpc-raw", typed=False),
)


def _heard(answer: Answer) -> Heard:
    if not answer.ok:
        return Heard(answer.status, answer.headers, None, answer.code, answer.error)
    return Heard(answer.status, answer.headers, answer.response)


def _value(said: Any) -> Any:
    try:
        return json.loads(said)
    except (TypeError, ValueError):
        return said

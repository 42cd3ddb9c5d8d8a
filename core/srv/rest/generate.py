"""POST …/generate and …/generate_stream: the protocol's generate extension, text in and text out."""

from __future__ import annotations

import falcon
import msgspec
import orjson

from srv.callers import NOBODY
from srv.dataplane import DataPlane
from srv.errors import ModelError, SrvError
from srv.messages import InferenceRequest, InferenceResponse
from srv.rest.answers import NotText
from srv.rest.envelope import Parameter, checked, read_json
from srv.rest.infer import RequestReader
from srv.rest.streaming import send_frames
from srv.tensors import EMPTY, Tensor

INPUT, OUTPUT = "text_input", "text_output"


class GenerateEnvelope(msgspec.Struct):
    """A request to generate, unknown fields ignored."""

    text_input: str
    id: str | None = None
    parameters: dict[str, Parameter] | None = None


class NoTextOutput(ModelError):
    """The model took `text_input` and gave no text."""

    def __init__(self, names: list[str]) -> None:
        given = ", ".join(names) or "none"
        super().__init__(
            f"The model gives no text output: generate needs {OUTPUT}, or one output of BYTES; it gave {given}."
        )


class Generate:
    """Runs a model that takes the input `text_input` and gives text."""

    def __init__(self, dataplane: DataPlane, reader: RequestReader, *, stream: bool) -> None:
        self._dataplane = dataplane
        self._reader = reader
        self._stream = stream

    def on_post(self, req: falcon.Request, resp: falcon.Response, model: str, version: str | None = None) -> None:
        """Answer with the text, or with a frame for each piece of it."""
        found = self._dataplane.model(model, version)
        self._reader.begin(req, found)
        try:
            envelope = read_json(bytes(self._reader.body(req)), _decode)
            parameters = checked(envelope.parameters, "parameters") if envelope.parameters else EMPTY
        except SrvError as error:
            self._reader.refuse(req, found, error)
            raise
        text = Tensor(INPUT, [envelope.text_input], "BYTES")
        request = InferenceRequest([text], envelope.id, None, parameters, self._reader.headers(req))
        request.caller = req.env.get("srv.caller", NOBODY)
        context = req.context
        if self._stream:
            responses = self._dataplane.stream(model, version, request, received=context.started, stages=context.stages)
            send_frames(resp, responses, _answer)
        else:
            response = self._dataplane.infer(model, version, request, received=context.started, stages=context.stages)
            resp.content_type = falcon.MEDIA_JSON
            resp.data = _answer(response)


_decode = msgspec.json.Decoder(GenerateEnvelope).decode


def _answer(response: InferenceResponse) -> bytes:
    answer: dict[str, object] = {"model_name": response.model_name}
    if response.model_version is not None:
        answer["model_version"] = response.model_version
    if response.id is not None:
        answer["id"] = response.id
    answer[OUTPUT] = _text(response)
    return orjson.dumps(answer)


def _text(response: InferenceResponse) -> str:
    """The response's text: `text_output`, or the one output of text; several elements are joined."""
    outputs = [tensor for tensor in response.outputs if tensor.name == OUTPUT] or list(response.outputs)
    if len(outputs) != 1 or outputs[0].datatype != "BYTES":
        raise NoTextOutput([tensor.name for tensor in response.outputs])
    try:
        return b"".join(outputs[0].data.reshape(-1)).decode()
    except UnicodeDecodeError:
        raise NotText(outputs[0].name) from None

"""POST …/generate and …/generate_stream: the protocol's generate extension, text in and text out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import falcon
import msgspec
import orjson

from srv.errors import InvalidInput, ModelError, quoted
from srv.messages import InferenceRequest, InferenceResponse
from srv.model_settings import Spec
from srv.models.registry import ModelVersion
from srv.planes.dataplane import DataPlane
from srv.rest.answers import NotText
from srv.rest.envelope import bad_field, checked, read_json
from srv.rest.infer import Infer, RequestReader
from srv.rest.json_tensors import read_data, read_texts
from srv.rest.streaming import event, event_of, send_frames
from srv.tensors import EMPTY, Tensor
from srv.wire.base64_tensors import Octets, read_base64

INPUT, OUTPUT = "text_input", "text_output"
#: The field that only a body in infer's form has.
INPUTS = "inputs"
#: The datatype of a value for an input that is declared without one.
_DATATYPES: Mapping[type, str] = {bool: "BOOL", int: "INT64", float: "FP64", str: "BYTES"}


class GenerateEnvelope(msgspec.Struct):
    """A request to generate; other fields of the body are parameters."""

    text_input: str
    id: str | None = None
    parameters: dict[str, Any] | None = None


class NoTextOutput(ModelError):
    """The model was given `text_input` and returned no text."""

    def __init__(self, names: list[str]) -> None:
        given = ", ".join(names) or "none"
        super().__init__(
            f"The model gives no text output: generate needs {OUTPUT}, or one output of BYTES; it gave {given}."
        )


class ParameterTwice(InvalidInput):
    """A parameter is given twice: beside `text_input` and in `parameters`."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{quoted(name)} is given twice: beside {INPUT} and in parameters. Send one of the two.")


class TwoForms(InvalidInput):
    """A body mixes the form of generate and that of infer."""

    def __init__(self) -> None:
        super().__init__(f"The body has both {INPUT} and {INPUTS}; send one of the two.")


class Generate:
    """Runs a model that takes the input `text_input` and gives text; a body with `inputs` is one of infer."""

    def __init__(self, dataplane: DataPlane, reader: RequestReader, *, stream: bool) -> None:
        self._dataplane = dataplane
        self._reader = reader
        self._stream = stream
        self._infer = Infer(dataplane, reader)

    def on_post(self, req: falcon.Request, resp: falcon.Response, model: str, version: str | None = None) -> None:
        """Answer with the text, or with a frame for each piece of it."""
        found = self._dataplane.model(model, version)
        request = self._reader.read_as(self._parse, req, found)
        context = req.context
        as_infer: bool = context.as_infer
        if self._stream:
            written = partial(event_of, octets=found.octets) if as_infer else _event
            frames = self._dataplane.stream(
                model, version, request, written, received=context.started, stages=context.stages
            )
            send_frames(resp, frames)
        elif as_infer:
            self._infer.answer(resp, req, found, version, request)
        else:
            response = self._dataplane.infer(model, version, request, received=context.started, stages=context.stages)
            resp.content_type = falcon.MEDIA_JSON
            resp.data = _answer(response)

    def _parse(self, req: falcon.Request, model: ModelVersion, body: bytes | memoryview) -> InferenceRequest:
        """Read a body in generate's or infer's form; `req.context.as_infer` says which it was."""
        context = req.context
        context.as_infer = "HTTP_INFERENCE_HEADER_CONTENT_LENGTH" in req.env
        if not context.as_infer:
            text = bytes(body)
            fields = read_json(text, _read_fields)
            context.as_infer = INPUTS in fields
            if not context.as_infer:
                return self._of_text(req, model, text, fields)
            if INPUT in fields:
                raise TwoForms
        return self._reader.parse(req, model, body)

    def _of_text(
        self, req: falcon.Request, model: ModelVersion, text: bytes, fields: Mapping[str, msgspec.Raw]
    ) -> InferenceRequest:
        envelope = read_json(text, _read_envelope)
        parameters = envelope.parameters or {}
        for name in fields.keys() - _FIELDS:
            if name in parameters:
                raise ParameterTwice(name)
            parameters[name] = _value(text, name, fields[name])
        parameters = checked(parameters, "parameters")
        declared = {spec.name: spec for spec in self._inputs(model)}
        inputs = [_tensor(INPUT, envelope.text_input, declared.get(INPUT), None, parameters)]
        for name in [name for name in parameters if name in declared and name != INPUT]:
            value = parameters[name]
            inputs.append(_tensor(name, value, declared[name], model.octets, parameters))
            if isinstance(value, list):
                del parameters[name]  # because a parameter of the protocol cannot be a list
        return InferenceRequest(inputs, envelope.id, None, parameters, self._reader.headers(req))

    def _inputs(self, model: ModelVersion) -> Sequence[Spec]:
        """Return the declared inputs of the method that will answer, predict or predict_stream."""
        metadata = model.metadata
        if metadata is None:
            return ()
        return metadata.stream_inputs if self._stream and metadata.stream_inputs is not None else metadata.inputs


_FIELDS = frozenset({INPUT, "id", "parameters"})
_read_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_read_all = msgspec.json.Decoder(dict[str, Any]).decode
_read_envelope = msgspec.json.Decoder(GenerateEnvelope).decode


def _value(text: bytes, name: str, raw: msgspec.Raw) -> Any:
    try:
        return msgspec.json.decode(raw)
    except msgspec.ValidationError as error:
        raise bad_field(str(error), f"parameters[{quoted(name)}]") from None
    except msgspec.DecodeError:
        return read_json(text, _read_all)[name]  # which raises, and names the field


def _tensor(name: str, value: Any, spec: Spec | None, octets: Octets | None, parameters: Mapping[str, Any]) -> Tensor:
    """Return a value of the body, or a list of values, as the input that the model declares.

    `octets` says which inputs are base64 in JSON. Raises InvalidInput where it does not fit the declared datatype.
    """
    kind = type(value[0] if isinstance(value, list) and value else value)
    datatype = (spec.datatype if spec is not None else None) or _DATATYPES.get(kind, "BYTES")
    rank = 1 if spec is None or spec.shape is None else len(spec.shape)
    values = value if isinstance(value, list) else [value]
    shape = (len(values),) if rank == 1 else (1,) * rank
    data = msgspec.Raw(orjson.dumps(values))
    if datatype == "BYTES":
        texts, missing = read_texts(data, shape, name)
        if octets is not None and octets.is_input(name, EMPTY, parameters):
            texts = read_base64(texts, name)
        return Tensor.trusted(name, texts, datatype, missing=missing)
    array = read_data(data, datatype, shape, name)
    return Tensor.trusted(name, array, datatype)


def _answer(response: InferenceResponse) -> bytes:
    answer: dict[str, object] = {"model_name": response.model_name}
    if response.model_version is not None:
        answer["model_version"] = response.model_version
    if response.id is not None:
        answer["id"] = response.id
    answer[OUTPUT] = _text(response)
    return orjson.dumps(answer)


def _event(response: InferenceResponse) -> bytes:
    return event(_answer(response))


def _text(response: InferenceResponse) -> str:
    """Return the response's text: `text_output`, or the only output of text; several elements are joined."""
    outputs = [tensor for tensor in response.outputs if tensor.name == OUTPUT] or list(response.outputs)
    if len(outputs) != 1 or outputs[0].datatype != "BYTES":
        raise NoTextOutput([tensor.name for tensor in response.outputs])
    try:
        return b"".join(outputs[0].data.reshape(-1)).decode()
    except UnicodeDecodeError:
        raise NotText(outputs[0].name) from None

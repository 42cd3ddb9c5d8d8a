"""POST …/infer: bytes to an inference request, and its response to bytes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import falcon

from srv.callers import NOBODY
from srv.counts import Stages
from srv.dataplane import DataPlane
from srv.errors import InvalidInput, SrvError, TooLarge, UnsupportedMedia, quoted
from srv.messages import InferenceRequest, RequestedOutput
from srv.rawdata import read_raw
from srv.registry import Model
from srv.rest.answers import write_response
from srv.rest.binary import HEADER, SIZE, BadHeader, BinaryChoice, BinaryData, json_length, read_raw_body
from srv.rest.compression import unpack
from srv.rest.cutting import LARGE, read_cut
from srv.rest.envelope import InputEnvelope, OutputEnvelope, RequestEnvelope, checked, read_envelope
from srv.rest.numbers import read_data
from srv.rest.passing import HIDDEN, RequestHeaders
from srv.settings import ServerSettings
from srv.tensors import EMPTY, Tensor

#: What a body may call itself; the last is what curl says when it is told nothing.
_MEDIA = frozenset({"application/json", "application/octet-stream", "application/x-www-form-urlencoded"})


class WrongContentType(UnsupportedMedia):
    """The body calls itself something that srv does not read."""

    def __init__(self, given: str) -> None:
        super().__init__(f"The content type {quoted(given)} is not taken; send application/json.")


class DataTwice(InvalidInput):
    """An input brings its data as JSON and as binary data."""

    def __init__(self, where: str) -> None:
        super().__init__(f"{where} has both data and {SIZE}; one of them is too much.")


class RequestReader:
    """Reads what the routes of inference are sent, within the settings' limits."""

    def __init__(self, settings: ServerSettings, dataplane: DataPlane) -> None:
        self._dataplane = dataplane
        self._most = settings.max_body_size
        self._hidden = HIDDEN - {name.lower() for name in settings.pass_headers}

    def read(self, req: falcon.Request, model: Model) -> InferenceRequest:
        """The inference request, whose stages begin here; one that is refused is counted.

        Raises UnsupportedMedia, TooLarge, or InvalidInput naming the field that is wrong.
        """
        self.begin(req, model)
        try:
            request = self._read(req, model)
        except SrvError as error:
            self.refuse(req, model, error)
            raise
        request.caller = req.env.get("srv.caller", NOBODY)  # some HTTP workers do not know who waits
        return request

    def begin(self, req: falcon.Request, model: Model) -> None:
        """From here on the request is for this model, and has the time that the model gives."""
        context = req.context
        context.model = model.name
        context.stages = Stages(taken=context.taken)
        patience = model.settings.request_timeout
        if patience is not None and (expect := req.env.get("srv.expect")) is not None:
            expect(req.env["srv.caller"], patience)

    def refuse(self, req: falcon.Request, model: Model, error: SrvError) -> None:
        """Count a request that could not be read."""
        context = req.context
        self._dataplane.refused(model, error, received=context.started, face="rest", stages=context.stages)

    def _read(self, req: falcon.Request, model: Model) -> InferenceRequest:
        body = self.body(req)
        headers = self.headers(req)
        announced = req.env.get("HTTP_INFERENCE_HEADER_CONTENT_LENGTH")
        if announced is None:
            return read_request(body, None, headers)
        length = json_length(announced, len(body))
        if length:
            return read_request(body, length, headers)
        return read_raw_body(body, model.metadata.inputs if model.metadata is not None else (), headers)

    def body(self, req: falcon.Request) -> bytes | memoryview:
        """The request's body, whole and unpacked. Raises UnsupportedMedia, TooLarge, or InvalidInput."""
        environ = req.env
        given = environ.get("CONTENT_TYPE")
        if given and given != "application/json" and given.partition(";")[0].strip().lower() not in _MEDIA:
            raise WrongContentType(given)
        body: bytes | memoryview | None = environ.get("srv.body")
        if (len(body) if body is not None else req.content_length or 0) > self._most:
            raise TooLarge(self._most)
        if body is None:
            body = req.bounded_stream.read()
        encoding = environ.get("HTTP_CONTENT_ENCODING")
        return unpack(body, encoding, self._most) if encoding and encoding.lower() != "identity" else body

    def headers(self, req: falcon.Request) -> RequestHeaders:
        """The request's headers as hooks and runtimes may see them."""
        return RequestHeaders(req.env, self._hidden)


class Infer:
    """Runs inference with a model, in the version that the path names or the default one."""

    def __init__(self, dataplane: DataPlane, reader: RequestReader) -> None:
        self._dataplane = dataplane
        self._reader = reader

    def on_post(self, req: falcon.Request, resp: falcon.Response, model: str, version: str | None = None) -> None:
        """Answer an inference request."""
        found = self._dataplane.model(model, version)
        request = self._reader.read(req, found)
        binary = BinaryChoice(request) if request.outputs or request.parameters else None
        context = req.context
        response = self._dataplane.infer(
            model, version, request, found=found, received=context.started, stages=context.stages
        )
        if response.headers:
            for name, value in response.headers.items():
                if name.lower() != "x-request-id":  # the request's own
                    put = resp.append_header if name.lower() == "set-cookie" else resp.set_header
                    put(name, value)
        answer, behind = write_response(response, binary)
        if not behind:
            resp.content_type = falcon.MEDIA_JSON
            resp.data = answer
            return
        resp.content_type = "application/octet-stream"
        resp.set_header(HEADER, str(len(answer)))
        resp.content_length = len(answer) + sum(len(data) for data in behind)
        # srv's own worker sends views as they are; WSGI promises no more than bytes.
        pieces: list[Any] = [answer, *behind]
        resp.stream = pieces if "srv.body" in req.env else [b"".join(pieces)]


def read_request(
    body: bytes | memoryview, json_length: int | None = None, headers: Mapping[str, str] = EMPTY
) -> InferenceRequest:
    """The inference request that a body says: JSON, and behind it, where `json_length` is given, binary data.

    Raises InvalidInput naming the field that is wrong.
    """
    text = bytes(body if json_length is None else memoryview(body)[:json_length])
    behind = None if json_length is None else memoryview(body)[json_length:]
    if len(text) >= LARGE and (envelope := read_cut(text)) is not None:
        try:
            return _request(envelope, behind, headers)
        except InvalidInput:
            pass  # read whole, it says the same of an array as where that is short
    return _request(read_envelope(text), behind, headers)


def _request(envelope: RequestEnvelope, behind: memoryview | None, headers: Mapping[str, str]) -> InferenceRequest:
    binary = None if behind is None else BinaryData(behind)
    inputs = [_tensor(tensor, binary, place) for place, tensor in enumerate(envelope.inputs)]
    if binary is not None:
        binary.check_end()
    outputs = envelope.outputs
    return InferenceRequest(
        inputs,
        envelope.id,
        None if outputs is None else [_requested(output, place) for place, output in enumerate(outputs)],
        checked(envelope.parameters, "parameters") if envelope.parameters else EMPTY,
        headers,
    )


def _tensor(envelope: InputEnvelope, binary: BinaryData | None, place: int) -> Tensor:
    where = f"inputs[{place}]"
    parameters = checked(envelope.parameters, f"{where}.parameters") if envelope.parameters else EMPTY
    if SIZE not in parameters:
        array = read_data(envelope.data, envelope.datatype, envelope.shape, where)
        return Tensor.trusted(envelope.name, array, envelope.datatype, parameters)
    if binary is None:
        raise BadHeader(f"is missing, and {where} has {SIZE}")
    if len(bytes(envelope.data)):
        raise DataTwice(where)
    left = {**parameters}
    array = read_raw(binary.take(left.pop(SIZE), where), envelope.datatype, envelope.shape, where)
    return Tensor.trusted(envelope.name, array, envelope.datatype, left)


def _requested(envelope: OutputEnvelope, place: int) -> RequestedOutput:
    parameters = checked(envelope.parameters, f"outputs[{place}].parameters") if envelope.parameters else EMPTY
    return RequestedOutput(envelope.name, parameters)

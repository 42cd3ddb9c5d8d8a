"""POST …/infer: the request is read from the body, the response written into one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import falcon

from srv.cancellation import NOBODY
from srv.errors import InvalidInput, SrvError, TooLarge, UnsupportedMedia, quoted
from srv.messages import InferenceRequest, RequestedOutput
from srv.metrics_types import Stages
from srv.models.registry import ModelVersion
from srv.planes.dataplane import DataPlane
from srv.rest.answers import write_response
from srv.rest.binary import HEADER, SIZE, BadHeader, BinaryChoice, BinaryData, json_length, read_raw_body
from srv.rest.compression import unpack
from srv.rest.envelope import InputEnvelope, OutputEnvelope, RequestEnvelope, checked, read_envelope
from srv.rest.json_tensors import ABSENT, read_data, read_texts
from srv.rest.large_arrays import LARGE, read_cut
from srv.rest.middleware import HIDDEN, RequestHeaders
from srv.settings import ServerSettings
from srv.tensors import EMPTY, Tensor, null_of
from srv.wire.base64_tensors import Octets, read_base64
from srv.wire.raw_tensors import read_raw

#: What a body may call itself; the last is what curl says when it is told nothing.
_MEDIA = frozenset({"application/json", "application/octet-stream", "application/x-www-form-urlencoded"})

#: Binary data begin at a multiple of so many bytes of an answer, because a typed array of JavaScript begins at no other.
ALIGNED = 8


class WrongContentType(UnsupportedMedia):
    """The content type of the body is none that srv reads."""

    def __init__(self, given: str) -> None:
        super().__init__(f"The content type {quoted(given)} is not taken; send application/json.")


class DataTwice(InvalidInput):
    """An input has its data in JSON and as binary data."""

    def __init__(self, where: str) -> None:
        super().__init__(f"{where} has both data and {SIZE}; one of them is too much.")


class RequestReader:
    """Reads requests for inference, within the limits of the settings."""

    def __init__(self, settings: ServerSettings, dataplane: DataPlane) -> None:
        self._dataplane = dataplane
        self._most = settings.max_body_size
        self._hidden = HIDDEN - {name.lower() for name in settings.pass_headers}

    def read(self, req: falcon.Request, model: ModelVersion) -> InferenceRequest:
        """Return the inference request, whose stages begin here; a request that is refused is counted.

        Raises UnsupportedMedia, TooLarge, or InvalidInput naming the field that is wrong.
        """
        return self.read_as(self.parse, req, model)

    def read_as(
        self,
        parse: Callable[[falcon.Request, ModelVersion, bytes | memoryview], InferenceRequest],
        req: falcon.Request,
        model: ModelVersion,
    ) -> InferenceRequest:
        """Return the request that `parse` makes of the body; a request that is refused is counted."""
        self.begin(req, model)
        try:
            request = parse(req, model, self.body(req))
        except SrvError as error:
            self.refuse(req, model, error)
            raise
        request.caller = req.env.get("srv.caller", NOBODY)  # some HTTP workers do not know who waits
        return request

    def begin(self, req: falcon.Request, model: ModelVersion) -> None:
        """Note the model of a request, and the time that the model's settings give it."""
        context = req.context
        context.model = model.name
        context.stages = Stages(taken=context.taken)
        patience = model.settings.request_timeout
        if patience is not None and (expect := req.env.get("srv.expect")) is not None:
            expect(req.env["srv.caller"], patience)

    def refuse(self, req: falcon.Request, model: ModelVersion, error: SrvError) -> None:
        """Count a request to the model that could not be read."""
        context = req.context
        self._dataplane.refused(model, error, received=context.started, face="rest", stages=context.stages)

    def parse(self, req: falcon.Request, model: ModelVersion, body: bytes | memoryview) -> InferenceRequest:
        """Return the inference request of a body: JSON, JSON with binary data, or raw."""
        headers = self.headers(req)
        announced = req.env.get("HTTP_INFERENCE_HEADER_CONTENT_LENGTH")
        if announced is None:
            return read_request(body, None, headers, model.octets)
        length = json_length(announced, len(body))
        if length:
            return read_request(body, length, headers, model.octets)
        return read_raw_body(body, model.metadata.inputs if model.metadata is not None else (), headers)

    def body(self, req: falcon.Request) -> bytes | memoryview:
        """Return the whole body, unpacked. Raises UnsupportedMedia, TooLarge, or InvalidInput."""
        given = req.env.get("CONTENT_TYPE")
        if given and given != "application/json" and given.partition(";")[0].strip().lower() not in _MEDIA:
            raise WrongContentType(given)
        return self.body_of_any_type(req)

    def body_of_any_type(self, req: falcon.Request) -> bytes | memoryview:
        """Return the whole body, unpacked, whatever it calls itself. Raises as `body` does."""
        environ = req.env
        body: bytes | memoryview | None = environ.get("srv.body")
        if (len(body) if body is not None else req.content_length or 0) > self._most:
            raise TooLarge(self._most)
        if body is None:
            body = req.bounded_stream.read()
        encoding = environ.get("HTTP_CONTENT_ENCODING")
        return unpack(body, encoding, self._most) if encoding and encoding.lower() != "identity" else body

    def headers(self, req: falcon.Request) -> RequestHeaders:
        """Return the request's headers as hooks and runtimes may see them."""
        return RequestHeaders(req.env, self._hidden)


class Infer:
    """Runs inference with a model, in the version that the path names or the default one."""

    def __init__(self, dataplane: DataPlane, reader: RequestReader) -> None:
        self._dataplane = dataplane
        self._reader = reader

    def on_post(self, req: falcon.Request, resp: falcon.Response, model: str, version: str | None = None) -> None:
        """Answer an inference request."""
        found = self._dataplane.model(model, version)
        self.answer(resp, req, found, version, self._reader.read(req, found))

    def answer(
        self,
        resp: falcon.Response,
        req: falcon.Request,
        found: ModelVersion,
        version: str | None,
        request: InferenceRequest,
    ) -> None:
        """Answer a request that was read."""
        binary = BinaryChoice(request) if request.outputs or request.parameters else None
        context = req.context
        response = self._dataplane.infer(
            found.name, version, request, found=found, received=context.started, stages=context.stages
        )
        if response.headers:
            write_headers(resp, response.headers)
        answer, behind = write_response(response, binary, found.octets)
        if not behind:
            resp.content_type = falcon.MEDIA_JSON
            resp.data = answer
            return
        answer += b" " * (-len(answer) % ALIGNED)
        resp.content_type = "application/octet-stream"
        resp.set_header(HEADER, str(len(answer)))
        resp.content_length = len(answer) + sum(len(data) for data in behind)
        # srv's own worker sends views as they are; WSGI promises no more than bytes.
        pieces: list[Any] = [answer, *behind]
        resp.stream = pieces if "srv.body" in req.env else [b"".join(pieces)]


def write_headers(resp: falcon.Response, headers: Mapping[str, str]) -> None:
    """Write a model's own headers into a response."""
    for name, value in headers.items():
        if name.lower() != "x-request-id":  # the request's own
            put = resp.append_header if name.lower() == "set-cookie" else resp.set_header
            put(name, value)


def read_request(
    body: bytes | memoryview,
    json_length: int | None = None,
    headers: Mapping[str, str] = EMPTY,
    octets: Octets | None = None,
) -> InferenceRequest:
    """Return the inference request of a body: JSON, and where `json_length` is given, binary data behind it.

    `octets` tells which inputs of the model are base64 in JSON; they become arrays of the decoded bytes.
    Raises InvalidInput naming the field that is wrong.
    """
    text = bytes(body if json_length is None else memoryview(body)[:json_length])
    behind = None if json_length is None else memoryview(body)[json_length:]
    if len(text) >= LARGE and (envelope := read_cut(text)) is not None:
        try:
            return _request(envelope, behind, headers, octets)
        except InvalidInput:
            pass  # read whole, it says the same of an array as where that is short
    return _request(read_envelope(text), behind, headers, octets)


def _request(
    envelope: RequestEnvelope, behind: memoryview | None, headers: Mapping[str, str], octets: Octets | None
) -> InferenceRequest:
    binary = None if behind is None else BinaryData(behind)
    inputs = [_tensor(tensor, binary, place, octets, envelope) for place, tensor in enumerate(envelope.inputs)]
    if binary is not None:
        binary.check_end()
    outputs = envelope.outputs
    return InferenceRequest(
        inputs,
        envelope.id,
        [_requested(output, place) for place, output in enumerate(outputs or ())],
        checked(envelope.parameters, "parameters") if envelope.parameters else EMPTY,
        headers,
    )


def _tensor(
    envelope: InputEnvelope, binary: BinaryData | None, place: int, octets: Octets | None, request: RequestEnvelope
) -> Tensor:
    where = f"inputs[{place}]"
    parameters = checked(envelope.parameters, f"{where}.parameters") if envelope.parameters else EMPTY
    if SIZE not in parameters:
        if envelope.datatype == "BYTES":
            array, missing = read_texts(envelope.data, envelope.shape, where, null=null_of(parameters))
            if octets is not None and octets.is_input(envelope.name, parameters, request.parameters):
                array = read_base64(array, where)
            return Tensor.trusted(envelope.name, array, "BYTES", parameters, missing=missing)
        array = read_data(envelope.data, envelope.datatype, envelope.shape, where)
        return Tensor.trusted(envelope.name, array, envelope.datatype, parameters)
    if binary is None:
        raise BadHeader(f"is missing, and {where} has {SIZE}")
    if bytes(envelope.data) not in ABSENT:
        raise DataTwice(where)
    left = {**parameters}
    array = read_raw(binary.take(left.pop(SIZE), where), envelope.datatype, envelope.shape, where)
    return Tensor.trusted(envelope.name, array, envelope.datatype, left)


def _requested(envelope: OutputEnvelope, place: int) -> RequestedOutput:
    parameters = checked(envelope.parameters, f"outputs[{place}].parameters") if envelope.parameters else EMPTY
    return RequestedOutput(envelope.name, parameters)

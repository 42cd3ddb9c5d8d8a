"""POST …/infer: bytes to an inference request, and its response to bytes."""

from __future__ import annotations

from typing import Any

import falcon

from srv.dataplane import DataPlane
from srv.errors import TooLarge, Unimplemented, UnsupportedMedia, quoted
from srv.messages import InferenceRequest, RequestedOutput
from srv.rest.answers import write_response
from srv.rest.envelope import InputEnvelope, OutputEnvelope, read_envelope
from srv.rest.numbers import read_data
from srv.rest.passing import RequestHeaders
from srv.tensors import EMPTY, Tensor

#: What a body may call itself; the last is what curl says when it is told nothing.
_MEDIA = frozenset({"application/json", "application/octet-stream", "application/x-www-form-urlencoded"})


class WrongContentType(UnsupportedMedia):
    """The body calls itself something that srv does not read."""

    def __init__(self, given: str) -> None:
        super().__init__(f"The content type {quoted(given)} is not taken; send application/json.")


class WrongEncoding(UnsupportedMedia):
    """The body is encoded in a way that srv does not read."""

    def __init__(self, given: str) -> None:
        super().__init__(f"The content encoding {quoted(given)} is not taken; send the body as it is.")


class NoBinary(Unimplemented):
    """The binary tensor extension was asked for."""

    def __init__(self) -> None:
        super().__init__("Binary tensors are not built yet; send the data as JSON.")


class Infer:
    """Runs inference with a model, in the version that the path names or the default one."""

    def __init__(self, dataplane: DataPlane, *, max_body_size: int) -> None:
        self._dataplane = dataplane
        self._most = max_body_size

    def on_post(self, req: falcon.Request, resp: falcon.Response, model: str, version: str | None = None) -> None:
        """Answer an inference request."""
        req.context.model = self._dataplane.model(model, version).name
        body = read_body(req, self._most)
        if req.get_header("Inference-Header-Content-Length") is not None:
            raise NoBinary
        request = read_request(body, req.env)
        response = self._dataplane.infer(model, version, request, received=req.context.started)
        for name, value in response.headers.items():
            resp.set_header(name, value)
        resp.content_type = falcon.MEDIA_JSON
        resp.data = write_response(response)


def read_body(req: falcon.Request, most: int) -> bytes:
    """The request's body, whole. Raises UnsupportedMedia or TooLarge, before it is read."""
    given = req.env.get("CONTENT_TYPE")
    if given and given != "application/json" and given.partition(";")[0].strip().lower() not in _MEDIA:
        raise WrongContentType(given)
    encoding = req.env.get("HTTP_CONTENT_ENCODING")
    if encoding and encoding.lower() != "identity":
        raise WrongEncoding(encoding)
    if (req.content_length or 0) > most:
        raise TooLarge(most)
    body: bytes = req.bounded_stream.read()
    return body


def read_request(body: bytes, environ: dict[str, Any]) -> InferenceRequest:
    """The inference request that a body of JSON says. Raises InvalidInput naming the field that is wrong."""
    envelope = read_envelope(body)
    return InferenceRequest(
        [_tensor(tensor, place) for place, tensor in enumerate(envelope.inputs)],
        envelope.id,
        None if envelope.outputs is None else [_requested(output) for output in envelope.outputs],
        envelope.parameters or EMPTY,
        RequestHeaders(environ),
    )


def _tensor(envelope: InputEnvelope, place: int) -> Tensor:
    where = f"inputs[{place}]"
    parameters = envelope.parameters or EMPTY
    if "binary_data_size" in parameters:
        raise NoBinary
    array = read_data(envelope.data, envelope.datatype, envelope.shape, where)
    return Tensor.trusted(envelope.name, array, envelope.datatype, parameters)


def _requested(envelope: OutputEnvelope) -> RequestedOutput:
    return RequestedOutput(envelope.name, envelope.parameters or EMPTY)

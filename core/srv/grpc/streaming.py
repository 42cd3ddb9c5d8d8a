"""ModelStreamInfer: requests as they come, the responses to each one after the other, in the form of Triton's clients."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any

from srv.counts import Stages
from srv.dataplane import DataPlane
from srv.errors import QueueFull
from srv.grpc.convert import is_typed, read_request, write_response
from srv.grpc.descriptors import message
from srv.grpc.errors import INTERNAL, AnswerTooLarge, told
from srv.grpc.passing import Call, held
from srv.grpc.splitting import head, read_message
from srv.inflight import InFlight
from srv.messages import InferenceRequest, InferenceResponse
from srv.streams import StreamCount

log = logging.getLogger(__name__)

_Response = message("inference.ModelStreamInferResponse")
_INFER_RESPONSE = 2 << 3 | 2
#: By this parameter a client asks for a last, empty response, by the other it knows it.
_WANTS_FINAL = "triton_enable_empty_final_response"
_IS_FINAL = "triton_final_response"


class StreamsFull(QueueFull):
    """As many streams are open as there may be."""

    def __init__(self, most: int) -> None:
        super().__init__(f"{most} streams are open already, as many as max_streams allows. Try again later.")


class StreamInfer:
    """Answers the requests of a stream in their order. An error ends its request and not the stream."""

    def __init__(self, dataplane: DataPlane, streams: StreamCount, in_flight: InFlight, *, max_body_size: int) -> None:
        self._dataplane = dataplane
        self._streams = streams
        self._in_flight = in_flight
        self._most = max_body_size

    def infer(self, requests: Iterator[bytes], call: Call) -> Iterator[bytes]:
        """The responses to all requests. Raises StreamsFull before the first."""
        if not self._streams.enter():
            raise StreamsFull(self._streams.most)
        try:
            for request in requests:
                yield from self._answers(request, call)
        finally:
            self._streams.leave()

    def _answers(self, data: bytes, call: Call) -> Iterator[bytes]:
        """The responses to one request, or the sentence of what went wrong."""
        identity = ""
        try:
            with held(self._in_flight, len(data)):
                asked, raw = read_message(data)
                identity = asked.id
                model = self._dataplane.model(asked.model_name, asked.model_version or None)
                call.model = model.name
                request = read_request(asked, raw, call.headers)
                request.caller = call
                typed = not raw and is_typed(asked)
                for response in self._responses(model.runtime, asked, request, call):
                    yield self._framed(write_response(response, typed=typed))
                if request.parameters.get(_WANTS_FINAL) is True:
                    yield self._framed(write_response(_last(request), typed=typed))
        except Exception as error:
            code, _, sentence = told(error)
            if code == INTERNAL[0]:
                log.exception("A stream of model '%s' failed.", call.model)
            answer = _Response(error_message=sentence)
            answer.infer_response.id = identity
            yield answer.SerializeToString()

    def _responses(
        self, runtime: object, asked: Any, request: InferenceRequest, call: Call
    ) -> Iterator[InferenceResponse]:
        """The responses of a model that streams, and the one of a model that does not."""
        call.stages = Stages()
        ask: dict[str, Any] = {
            "received": time.monotonic(), "deadline": call.deadline(), "face": "grpc", "stages": call.stages
        }  # fmt: skip
        name, version = asked.model_name, asked.model_version or None
        if runtime is not None and getattr(runtime, "predict_stream", None) is None:
            yield self._dataplane.infer(name, version, request, **ask)
            return
        with closing(self._dataplane.stream(name, version, request, **ask)) as responses:
            yield from responses

    def _framed(self, response: bytes) -> bytes:
        """A response as the field of a ModelStreamInferResponse that it is."""
        if len(response) > self._most:
            raise AnswerTooLarge(len(response), self._most)
        return head(_INFER_RESPONSE, len(response)) + response


def _last(request: InferenceRequest) -> InferenceResponse:
    response = InferenceResponse([], {_IS_FINAL: True})
    response.model_name = request.model_name
    response.model_version = request.model_version
    response.id = request.id
    return response

"""ModelStreamInfer: requests in the order in which they come, each answered whole, in the form of Triton's clients."""

from __future__ import annotations

import logging
import time
from collections.abc import Generator, Iterator
from contextlib import closing
from typing import Any

from srv.errors import QueueFull
from srv.grpc.calls import Call, counted
from srv.grpc.convert import is_typed, read_request, write_response
from srv.grpc.descriptors import message
from srv.grpc.errors import INTERNAL, AnswerTooLarge, told
from srv.grpc.wire_format import head, read_message
from srv.messages import InferenceRequest, InferenceResponse, ModelMetadata
from srv.metrics_types import Stages
from srv.planes.dataplane import DataPlane
from srv.planes.limits import Limit

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
    """The method ModelStreamInfer. It answers requests in their order; an error ends its request and not the stream."""

    def __init__(self, dataplane: DataPlane, streams: Limit, in_flight: Limit, *, max_body_size: int) -> None:
        self._dataplane = dataplane
        self._streams = streams
        self._in_flight = in_flight
        self._most = max_body_size

    def infer(self, requests: Iterator[bytes], call: Call) -> Iterator[bytes]:
        """Yield the responses to all requests. Raises StreamsFull before the first."""
        lease = self._streams.take()
        if lease is None:
            raise StreamsFull(self._streams.most)
        try:
            for request in requests:
                yield from self._answers(request, call)
        finally:
            lease.release()

    def _answers(self, data: bytes, call: Call) -> Iterator[bytes]:
        """Yield the responses to one request; where something goes wrong, its sentence is the last."""
        told_id: list[str] = []
        with closing(self._framed_responses(data, call, told_id)) as answers:
            while True:
                try:
                    answer = next(answers)
                except StopIteration:
                    return
                except BaseException as error:  # noqa: BLE001  not even a KeyboardInterrupt ends the other requests
                    yield _sentence(error, "".join(told_id), call)
                    return
                yield answer

    def _framed_responses(self, data: bytes, call: Call, told_id: list[str]) -> Generator[bytes, None, None]:
        """Yield the responses to one request as the stream has them; the request's id goes to `told_id` when known."""
        with counted(self._in_flight, len(data)):
            asked, raw = read_message(data)
            told_id.append(asked.id)
            model = self._dataplane.model(asked.model_name, asked.model_version or None)
            call.model = model.name
            request = read_request(asked, raw, call.headers)
            request.caller = call
            typed = not raw and is_typed(asked)
            yield from self._frames(model.metadata, asked, request, call, typed=typed)
            if request.parameters.get(_WANTS_FINAL) is True:
                yield self._framed(write_response(_last(request), typed=typed))

    def _frames(
        self, metadata: ModelMetadata | None, asked: Any, request: InferenceRequest, call: Call, *, typed: bool
    ) -> Iterator[bytes]:
        """Yield the responses of a model that streams, or the one response of a model that does not."""
        call.stages = Stages()
        ask: dict[str, Any] = {
            "received": time.monotonic(), "deadline": call.deadline(), "face": "grpc", "stages": call.stages
        }  # fmt: skip
        name, version = asked.model_name, asked.model_version or None

        def frame(response: InferenceResponse) -> bytes:
            return self._framed(write_response(response, typed=typed))

        if metadata is not None and not metadata.streams:
            yield frame(self._dataplane.infer(name, version, request, **ask))
            return
        with closing(self._dataplane.stream(name, version, request, frame, **ask)) as frames:
            yield from frames

    def _framed(self, response: bytes) -> bytes:
        """Return a response as a field of a ModelStreamInferResponse."""
        if len(response) > self._most:
            raise AnswerTooLarge(len(response), self._most)
        return head(_INFER_RESPONSE, len(response)) + response


def _sentence(error: BaseException, identity: str, call: Call) -> bytes:
    """Return the answer that says what went wrong with a request."""
    code, _, sentence = told(error)
    if code == INTERNAL:
        log.error("A stream of model '%s' failed.", call.model, exc_info=error)
    call.tell_interceptors(code)
    answer = _Response(error_message=sentence)
    answer.infer_response.id = identity
    written: bytes = answer.SerializeToString()
    return written


def _last(request: InferenceRequest) -> InferenceResponse:
    response = InferenceResponse([], {_IS_FINAL: True})
    response.model_name = request.model_name
    response.model_version = request.model_version
    response.id = request.id
    return response

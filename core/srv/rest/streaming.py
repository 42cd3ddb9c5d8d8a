"""POST …/infer_stream: the responses of a model as server-sent events, one frame each."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Iterator
from typing import TypeVar

import falcon

from srv.dataplane import DataPlane
from srv.errors import SrvError
from srv.messages import InferenceResponse
from srv.rest.answers import write_response
from srv.rest.errors import INTERNAL_SENTENCE, body_of, code_and_status
from srv.rest.infer import RequestReader

log = logging.getLogger(__name__)

EVENTS = "text/event-stream"


class InferStream:
    """Runs inference with a model that answers with streams."""

    def __init__(self, dataplane: DataPlane, reader: RequestReader) -> None:
        self._dataplane = dataplane
        self._reader = reader

    def on_post(self, req: falcon.Request, resp: falcon.Response, model: str, version: str | None = None) -> None:
        """Answer with a frame for each response."""
        request = self._reader.read(req, self._dataplane.model(model, version))
        context = req.context
        responses = self._dataplane.stream(model, version, request, received=context.started, stages=context.stages)
        send_frames(resp, responses, _frame)


def send_frames(
    resp: falcon.Response,
    responses: Generator[InferenceResponse, None, None],
    frame: Callable[[InferenceResponse], bytes],
) -> None:
    """Give a response the frames of a stream. What fails before the first frame is an ordinary error."""
    first = [frame(response) for response in _up_to_one(responses)]
    resp.content_type = EVENTS
    resp.set_header("Cache-Control", "no-cache")
    resp.set_header("X-Accel-Buffering", "no")  # because proxies hold frames back else
    resp.stream = Frames(_frames(first, responses, frame))


class Frames:
    """What the server iterates over, and closes when the client leaves."""

    def __init__(self, frames: Generator[bytes, None, None]) -> None:
        self._frames = frames

    def __iter__(self) -> Iterator[bytes]:
        return self._frames

    def close(self) -> None:
        """End the model's own iterator too."""
        self._frames.close()


_Item = TypeVar("_Item")


def _up_to_one(items: Iterator[_Item]) -> list[_Item]:
    for item in items:
        return [item]
    return []


def _frames(
    first: list[bytes], responses: Generator[InferenceResponse, None, None], frame: Callable[[InferenceResponse], bytes]
) -> Generator[bytes, None, None]:
    try:
        for text in first:
            yield b"data: %b\n\n" % text
        for response in responses:
            yield b"data: %b\n\n" % frame(response)
    except SrvError as error:
        yield b"data: %b\n\n" % _error(error)
    except Exception:
        log.exception("A stream ended in its middle.")
        yield b"data: %b\n\n" % body_of(INTERNAL_SENTENCE, "INTERNAL")
    finally:
        responses.close()


def _error(error: SrvError) -> bytes:
    code, _ = code_and_status(error)
    return body_of(str(error) if code != "INTERNAL" else INTERNAL_SENTENCE, code)


def _frame(response: InferenceResponse) -> bytes:
    text, _ = write_response(response, None)
    return text

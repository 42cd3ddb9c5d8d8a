"""POST …/infer_stream: the responses of a model as server-sent events, one frame each."""

from __future__ import annotations

import logging
from collections.abc import Generator, Iterator
from functools import partial
from itertools import chain, islice

import falcon

from srv.errors import PluginFailed, SrvError, sentence_of
from srv.messages import InferenceResponse
from srv.planes.dataplane import DataPlane
from srv.rest.answers import write_response
from srv.rest.errors import INTERNAL, INTERNAL_SENTENCE, body_of, code_and_status
from srv.rest.infer import RequestReader
from srv.wire.base64_tensors import Octets

log = logging.getLogger(__name__)

EVENTS = "text/event-stream"


class InferStream:
    """Runs inference with a model that answers with streams."""

    def __init__(self, dataplane: DataPlane, reader: RequestReader) -> None:
        self._dataplane = dataplane
        self._reader = reader

    def on_post(self, req: falcon.Request, resp: falcon.Response, model: str, version: str | None = None) -> None:
        """Answer with a frame for each response."""
        found = self._dataplane.model(model, version)
        request = self._reader.read(req, found)
        context = req.context
        frames = self._dataplane.stream(
            model,
            version,
            request,
            partial(event_of, octets=found.octets),
            received=context.started,
            stages=context.stages,
        )
        send_frames(resp, frames)


def send_frames(resp: falcon.Response, frames: Generator[bytes, None, None]) -> None:
    """Set the events of a stream as a response's body. An error before the first one is raised as it is."""
    first = [*islice(frames, 1)]
    resp.content_type = EVENTS
    keep_unbuffered(resp)
    resp.stream = Frames(_events(first, frames, resp))


def keep_unbuffered(resp: falcon.Response) -> None:
    """Ask caches and proxies to pass a stream on as it comes."""
    resp.set_header("Cache-Control", "no-cache")
    resp.set_header("X-Accel-Buffering", "no")  # because proxies hold frames back else


class Frames:
    """The events of a response, which the server closes when the client leaves."""

    def __init__(self, frames: Generator[bytes, None, None]) -> None:
        self._frames = frames

    def __iter__(self) -> Iterator[bytes]:
        return self._frames

    def close(self) -> None:
        """Close the model's own iterator too."""
        self._frames.close()


def _events(
    first: list[bytes], frames: Generator[bytes, None, None], resp: falcon.Response
) -> Generator[bytes, None, None]:
    """Yield the events of a stream; an error between two of them is the last one, and stands in the access log."""
    try:
        yield from chain(first, frames)
    except Exception as error:  # noqa: BLE001  a hook or a face may raise anything
        yield failure_event(error, resp)
    finally:
        frames.close()


def failure_event(error: Exception, resp: falcon.Response) -> bytes:
    """Return the event that tells of an error in the middle of a stream, which is its last."""
    if not isinstance(error, SrvError):
        log.error("A stream ended in its middle.", exc_info=error)
    code, _ = code_and_status(error)
    resp.context.code = code
    foreseen = code != INTERNAL or isinstance(error, PluginFailed)
    sentence = sentence_of(error) if foreseen and isinstance(error, SrvError) else INTERNAL_SENTENCE
    return event(body_of(sentence, code))


def event_of(response: InferenceResponse, octets: Octets | None) -> bytes:
    """Return the event of a response, with its JSON as infer has it."""
    text, _ = write_response(response, None, octets)
    return event(text)


def event(data: bytes) -> bytes:
    """Return one server-sent event."""
    return b"data: %b\n\n" % data

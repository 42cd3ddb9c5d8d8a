"""The hooks around a request for inference: srv_before_infer and srv_after_infer of every plugin."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from srv.errors import ClientLeft, SrvError, is_from_signal
from srv.hooks import AfterInfer, BeforeInfer, HookFailed, Timings
from srv.hookspecs import StreamSummary
from srv.inference.response_validation import check_response
from srv.messages import InferenceRequest, InferenceResponse
from srv.models.registry import ModelVersion

log = logging.getLogger(__name__)


class RequestHooks:
    """Calls the plugins' hooks in their order. May be called from several threads."""

    def __init__(self, before: Sequence[tuple[str, BeforeInfer]], after: Sequence[tuple[str, AfterInfer]]) -> None:
        self._before = tuple(before)
        self._after = tuple(after)

    def ask_before(self, model: ModelVersion, request: InferenceRequest) -> InferenceRequest | InferenceResponse:
        """Return the first answer of a plugin: another request, or a response; the request itself where none has one.

        Raises what a plugin raises as a SrvError, and HookFailed for anything else.
        """
        for plugin, before in self._before:
            try:
                outcome = _answer_to(before(model, request))
            except SrvError:
                raise
            except BaseException as error:  # neither sys.exit() nor a CancelledError of a plugin's own may go on
                if is_from_signal(error):
                    raise
                log.exception("Plugin '%s' raised in srv_before_infer.", plugin)
                raise HookFailed(plugin, "srv_before_infer", error) from error
            if outcome is not None:
                if isinstance(outcome, InferenceRequest):
                    outcome.stand_in_for(request)
                return outcome
        return request

    def around(
        self, model: ModelVersion, request: InferenceRequest, started: float, count: StreamCount | None = None
    ) -> HookedRequest:
        """Return a request with its hooks around it. All of it had come when it `started`; `count` is that of a stream."""
        return HookedRequest(self, model, request, started, count)

    def stream_count(self, started: float) -> StreamCount | None:
        """Return what counts the responses of a stream, or None where no plugin is told."""
        return StreamCount(started) if self._after else None

    def tell_after(
        self,
        model: ModelVersion,
        request: InferenceRequest,
        response: InferenceResponse | None,
        failure: Exception | None,
        timings: Timings,
        stream: StreamSummary | None = None,
    ) -> None:
        """Tell every plugin how the request ended. Raises as `ask_before` does."""
        for plugin, after in self._after:
            try:
                after(model, request, response, failure, timings, stream)
            except SrvError:
                raise
            except BaseException as error:  # neither sys.exit() nor a CancelledError of a plugin's own may go on
                if is_from_signal(error):
                    raise
                log.exception("Plugin '%s' raised in srv_after_infer.", plugin)
                raise HookFailed(plugin, "srv_after_infer", error) from error


class HookedRequest:
    """One request with its hooks around it: the end of a `with` block calls srv_after_infer of every plugin.

    After `ask_before`, `request` is the one that the model gets; `response` is the last one that came.
    """

    __slots__ = ("_began", "_count", "_hooks", "_model", "_received", "_started", "request", "response")

    def __init__(
        self,
        hooks: RequestHooks,
        model: ModelVersion,
        request: InferenceRequest,
        started: float,
        count: StreamCount | None,
    ) -> None:
        self.request = request
        self.response: InferenceResponse | None = None
        self._hooks = hooks
        self._model = model
        self._received = request
        self._started = started
        self._began = time.monotonic()
        self._count = count

    def ask_before(self) -> InferenceResponse | None:
        """Return the response of a plugin that answers in the model's place. Raises as RequestHooks does."""
        outcome = self._hooks.ask_before(self._model, self.request)
        if isinstance(outcome, InferenceResponse):
            self.response = outcome
            return outcome
        self.request = outcome
        return None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if isinstance(error, GeneratorExit):  # which closes a stream that nobody reads any more
            error = ClientLeft()
        failure = error if isinstance(error, Exception) else None
        # The data plane counts by the request that it received, which another one may have replaced.
        self._received.model_version = self.request.model_version
        timings = timings_of(self._started, self._began)
        stream = None
        if self._count is not None:
            left = failure is not None and (isinstance(failure, ClientLeft) or self._received.caller.is_gone())
            stream = self._count.summary(client_left=left)
        self._hooks.tell_after(self._model, self.request, self.response, failure, timings, stream)


class StreamCount:
    """Counts the responses of one stream and their bytes."""

    __slots__ = ("_bytes", "_responses", "_started", "_time_to_first")

    def __init__(self, started: float) -> None:
        self._started = started
        self._responses = 0
        self._bytes = 0
        self._time_to_first: float | None = None

    def add(self, frame: object) -> None:
        """Count a response. `frame` is what the face made of it; it adds to the bytes where it is bytes."""
        if self._time_to_first is None:
            self._time_to_first = time.monotonic() - self._started
        self._responses += 1
        if isinstance(frame, bytes):
            self._bytes += len(frame)

    def summary(self, *, client_left: bool) -> StreamSummary:
        """Return what was counted until now."""
        return StreamSummary(self._responses, self._bytes, self._time_to_first, client_left)


def timings_of(started: float, began: float) -> Timings:
    """Return how long a request took until now: it was complete when it `started`, and had a thread when it `began`."""
    ended = time.monotonic()
    return Timings(queue=began - started, compute=ended - began, total=ended - started)


def _answer_to(outcome: object) -> InferenceRequest | InferenceResponse | None:
    """Return what srv_before_infer may answer; checked, because a hook's types are nobody's promise."""
    if isinstance(outcome, InferenceResponse):
        check_response(outcome)
        return outcome
    if outcome is None or isinstance(outcome, InferenceRequest):
        return outcome
    raise TypeError(f"it returned a {type(outcome).__name__}, not None, an InferenceRequest or an InferenceResponse")

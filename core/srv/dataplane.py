"""The data plane: health, metadata and inference, the same for every face."""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Generator, Mapping, Sequence
from contextlib import closing
from typing import Any

from msgspec.structs import replace

from srv.configuration import model_config
from srv.counts import OK, Kind, Stages, Sums
from srv.errors import DeadlinePassed, NotFound, SrvError, Unavailable, closed
from srv.execution import ModelGone
from srv.hooks import AfterInfer, BeforeInfer, HookFailed, Timings
from srv.messages import InferenceRequest, InferenceResponse, ModelMetadata, ServerMetadata
from srv.registry import Answer, Model, ModelState, Registry, Stream
from srv.sendable import check_response
from srv.statistics import Ledger, by_model, model_statistics, outcome_of
from srv.version import __version__
from srv.versions import version_key

log = logging.getLogger(__name__)


class StillLoading(Unavailable):
    """The worker's first load has not ended, so nobody knows yet which models there are."""

    def __init__(self) -> None:
        super().__init__("The server is still loading its models. Try again in a moment.")


class ModelNotReady(Unavailable):
    """The model is known and does not serve."""

    def __init__(self, model: Model) -> None:
        reason = f": {model.reason}" if model.reason else ""
        super().__init__(closed(f"Model '{model.title}' is not ready, it is {model.state.value}{reason}"))


class NotServing(Unavailable):
    """A model of the start has no version that serves."""

    def __init__(self, name: str) -> None:
        super().__init__(f"Model '{name}' has no version that serves.")


class Behind(Unavailable):
    """This worker could not follow the others."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"This worker does not serve what the others serve: {reason}")


class Draining(Unavailable):
    """The server is about to stop."""

    def __init__(self) -> None:
        super().__init__("The server is shutting down.")


class Readiness:
    """Whether this worker should get requests. Written by the loader's thread and at shutdown, read by the faces."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self.loaded = False
        self.draining = False
        self.wanted: Collection[str] = ()
        #: Why this worker cannot serve what the others serve, where that is so.
        self.behind: str | None = None

    def problem(self) -> Unavailable | None:
        """Why the worker is not ready, or None where it is."""
        if self.draining:
            return Draining()
        if not self.loaded:
            return StillLoading()
        if self.behind is not None:
            return Behind(self.behind)
        for name in self.wanted:
            if not any(model.state is ModelState.READY for model in self._versions(name)):
                return NotServing(name)
        return None

    def want_no_longer(self, name: str) -> None:
        """A model was unloaded because somebody said so, and is missed no longer."""
        self.wanted = {wanted for wanted in self.wanted if wanted != name}

    def _versions(self, name: str) -> Collection[Model]:
        try:
            return self._registry.versions(name).values()
        except NotFound:
            return ()


class DataPlane:
    """Answers what the protocol's data plane asks. Holds no state of its own, and may be called from any thread."""

    def __init__(
        self,
        registry: Registry,
        *,
        server_name: str,
        request_timeout: float,
        before: Sequence[tuple[str, BeforeInfer]] = (),
        after: Sequence[tuple[str, AfterInfer]] = (),
        extensions: Sequence[str] = (),
        ledger: Ledger | None = None,
    ) -> None:
        self.registry = registry
        self.readiness = Readiness(registry)
        self._server = ServerMetadata(server_name, __version__, tuple(extensions))
        self._request_timeout = request_timeout
        self._before = tuple(before)
        self._after = tuple(after)
        self._ledger = Ledger() if ledger is None else ledger

    def server(self) -> ServerMetadata:
        """What the server says of itself."""
        return self._server

    def model_names(self) -> list[str]:
        """The names of all models, sorted."""
        return self.registry.names()

    def model(self, name: str, version: str | None = None) -> Model:
        """The model, ready or not. Raises NotFound, or Unavailable while nobody can know."""
        try:
            return self.registry.find(name, version)
        except NotFound:
            if not self.readiness.loaded:
                raise StillLoading from None
            raise

    def metadata(self, name: str, version: str | None = None) -> ModelMetadata:
        """What a model says of itself. Raises NotFound, or Unavailable for a model that is not ready."""
        model = self.model(name, version)
        if model.metadata is None or model.state is not ModelState.READY:
            raise ModelNotReady(model)
        versions = [version for version in self.registry.versions(name) if version is not None]
        return replace(model.metadata, versions=tuple(sorted(versions, key=version_key)))

    def config(self, name: str, version: str | None = None) -> Mapping[str, Any]:
        """A model's configuration as Triton has it. Raises NotFound, or Unavailable for a model that is not ready."""
        metadata = self.metadata(name, version)
        model = self.model(name, version)
        return model_config(
            model.settings, metadata, streams=getattr(model.runtime, "predict_stream", None) is not None
        )

    def statistics(self, name: str | None = None, version: str | None = None) -> list[dict[str, Any]]:
        """The statistics of a model's versions, of one of them, or of all models, summed over all workers.

        Raises NotFound, or Unavailable while nobody can know.
        """
        if name is None:
            models = self.registry.models()
        elif version is None:
            found = self.model(name)
            models = [*self.registry.versions(found.name).values()]
        else:
            models = [self.model(name, version)]
        counted = by_model(self._ledger.sums())
        batches = self._ledger.batches()
        ordered = sorted(models, key=lambda model: (model.name, version_key(model.version or "")))
        return [
            model_statistics(
                model.name,
                model.version,
                counted.get((model.name, model.version), {}),
                batches.get((model.name, model.version), {}),
            )
            for model in ordered
        ]

    def infer(
        self,
        name: str,
        version: str | None,
        request: InferenceRequest,
        *,
        found: Model | None = None,
        received: float | None = None,
        deadline: float | None = None,
        face: str = "rest",
        stages: Stages | None = None,
    ) -> InferenceResponse:
        """Answer one request; `received` is when it was complete, `deadline` is the client's own, both monotonic.

        `found` is the model of that name and version, where the face has looked for it already. `stages` learns where the time went; they and the outcome are counted for the face.
        Raises NotFound, Unavailable, and whatever the model, a codec or a hook has to say.
        """
        started, stages = _arrived(received, stages)
        # Looked for again where it may have been replaced while the face read the request.
        model = found if found is not None and found.state is ModelState.READY else self.model(name, version)
        try:
            answer = self._check_ready(model, request)
            if self._before or self._after:
                response = self._infer_with_hooks(model, request, answer, started, deadline, stages)
            else:
                response = answer(request, self._deadline(model, started, deadline), stages)
        except ModelGone:
            if self.model(name, version) is model:
                gone = ModelNotReady(model)
                self._count(model, face, started, stages, gone)
                raise gone from None
            return self.infer(
                name, version, request, received=started, deadline=deadline, face=face, stages=stages
            )  # it was replaced in this moment
        except Exception as error:
            self._count(model, face, started, stages, error)
            raise
        self._count(model, face, started, stages)
        return _signed(response, model, request)

    def stream(
        self,
        name: str,
        version: str | None,
        request: InferenceRequest,
        *,
        received: float | None = None,
        deadline: float | None = None,
        face: str = "rest",
        stages: Stages | None = None,
    ) -> Generator[InferenceResponse, None, None]:
        """Answer one request with several responses; close the iterator when nobody wants more.

        Raises as `infer` does, before the first response or between two; it is counted once, at its end.
        """
        started, stages = _arrived(received, stages)
        model = self.model(name, version)
        failure: Exception | None = None
        try:
            yield from self._stream(model, request, started, deadline, stages)
        except Exception as error:
            failure = error
            raise
        finally:
            self._count(model, face, started, stages, failure)

    def refused(self, model: Model, error: Exception, *, received: float, face: str, stages: Stages) -> None:
        """Count a request to a model that the face could not read."""
        self._count(model, face, received, stages, error)

    def turned_away(self, face: str, code: str) -> None:
        """Count what was refused before anybody knew which model it was for; it is counted for no model."""
        self._ledger.record(("", None, face, code), Stages(), 0, elements=0, executions=0)

    def sums(self) -> Mapping[Kind, Sums]:
        """What was counted so far, by all workers since the server's start."""
        return self._ledger.sums()

    def batches(self) -> Mapping[tuple[str, str | None], Mapping[int, Sums]]:
        """How often models that batch have run with how many rows, by name and version; counted as `sums` are."""
        return self._ledger.batches()

    def _count(self, model: Model, face: str, started: float, stages: Stages, failure: Exception | None = None) -> None:
        kind = (model.name, model.version, face, OK if failure is None else outcome_of(failure))
        total = int((time.monotonic() - started) * 1e9)
        self._ledger.record(kind, stages, total, elements=stages.elements, executions=stages.executions)
        if stages.batch:
            self._ledger.record_batch(model.name, model.version, stages.batch, stages)

    def _stream(
        self, model: Model, request: InferenceRequest, started: float, deadline: float | None, stages: Stages
    ) -> Generator[InferenceResponse, None, None]:
        self._check_ready(model, request)
        failure: Exception | None = None
        began = time.monotonic()
        last: InferenceResponse | None = None
        try:
            early = self._ask_before(model, request)
            if isinstance(early, InferenceResponse):
                yield _signed(early, model, request)
                return
            request = early
            responses = _stream_of(model)(request, self._deadline(model, started, deadline), stages)
            with closing(responses):
                for last in responses:
                    yield _signed(last, model, request)
        except Exception as error:
            failure = error
            raise
        finally:
            self._tell_after(model, request, last, failure, _timings(started, began))

    def _check_ready(self, model: Model, request: InferenceRequest) -> Answer:
        """What answers. Raises ModelNotReady."""
        answer = model.answer
        if answer is None or model.state is not ModelState.READY:
            raise ModelNotReady(model)
        request.model_name = model.name
        request.model_version = model.version
        return answer

    def _deadline(self, model: Model, started: float, own: float | None) -> float:
        """The earlier of the server's deadline and the client's own. Raises DeadlinePassed where it is over."""
        timeout = model.settings.request_timeout or self._request_timeout
        deadline = started + timeout if own is None else min(started + timeout, own)
        if time.monotonic() > deadline:  # it has waited for a thread until now, and must not run any more
            raise DeadlinePassed(timeout)
        return deadline

    def _infer_with_hooks(
        self, model: Model, request: InferenceRequest, answer: Answer, started: float, own: float | None, stages: Stages
    ) -> InferenceResponse:
        response: InferenceResponse | None = None
        failure: Exception | None = None
        began = time.monotonic()
        try:
            early = self._ask_before(model, request)
            if isinstance(early, InferenceResponse):
                response = early
            else:
                request = early
                response = answer(request, self._deadline(model, started, own), stages)
            return response
        except Exception as error:
            failure = error
            raise
        finally:
            self._tell_after(model, request, response, failure, _timings(started, began))

    def _ask_before(self, model: Model, request: InferenceRequest) -> InferenceRequest | InferenceResponse:
        for plugin, before in self._before:
            try:
                outcome = _answer_to(before(model, request))
            except SrvError:
                raise
            except (Exception, SystemExit) as error:
                log.exception("Plugin '%s' raised in srv_before_infer.", plugin)
                raise HookFailed(plugin, "srv_before_infer", error) from error
            if outcome is not None:
                if isinstance(outcome, InferenceRequest):
                    outcome.caller = request.caller
                return outcome
        return request

    def _tell_after(
        self,
        model: Model,
        request: InferenceRequest,
        response: InferenceResponse | None,
        failure: Exception | None,
        timings: Timings,
    ) -> None:
        for plugin, after in self._after:
            try:
                after(model, request, response, failure, timings)
            except SrvError:
                raise
            except (Exception, SystemExit) as error:
                log.exception("Plugin '%s' raised in srv_after_infer.", plugin)
                raise HookFailed(plugin, "srv_after_infer", error) from error


def _answer_to(outcome: object) -> InferenceRequest | InferenceResponse | None:
    """What srv_before_infer may answer, because a hook's types are nobody's promise."""
    if isinstance(outcome, InferenceResponse):
        check_response(outcome)
        return outcome
    if outcome is None or isinstance(outcome, InferenceRequest):
        return outcome
    raise TypeError(f"it returned a {type(outcome).__name__}, not None, an InferenceRequest or an InferenceResponse")


def _arrived(received: float | None, stages: Stages | None) -> tuple[float, Stages]:
    """When a request was complete, and its stages, with what has passed until now in them."""
    now = time.monotonic()
    stages = stages or Stages()
    if received is None:
        return now, stages
    taken = stages.taken or received
    stages.queue = int((taken - received) * 1e9)
    stages.input = int((now - taken) * 1e9)
    return received, stages


def _stream_of(model: Model) -> Stream:
    if model.stream is None:
        raise ModelNotReady(model)
    return model.stream


def _signed(response: InferenceResponse, model: Model, request: InferenceRequest) -> InferenceResponse:
    """The response with whose it is and what it answers."""
    response.model_name = model.name
    response.model_version = model.version
    response.id = request.id
    return response


def _timings(started: float, began: float) -> Timings:
    ended = time.monotonic()
    return Timings(queue=began - started, compute=ended - began, total=ended - started)

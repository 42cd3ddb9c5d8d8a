"""The data plane: health, metadata and inference, the same for every face."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from typing import Any, TypeVar

from msgspec.structs import replace

from srv.cancellation import ClientDeadline
from srv.errors import ClientLeft, NotFound
from srv.hooks import AfterInfer, BeforeInfer
from srv.inference.execution import ModelGone, deadline_passed
from srv.messages import InferenceRequest, InferenceResponse, ModelMetadata, ServerMetadata
from srv.metrics_types import OK, Kind, RouteKind, Stages, Sums
from srv.models.registry import ModelState, ModelVersion, Registry
from srv.planes.readiness import ModelNotReady, Readiness, StillLoading
from srv.planes.request_hooks import RequestHooks
from srv.planes.statistics import Ledger, by_model, model_statistics, outcome_of
from srv.planes.triton_config import model_config
from srv.repository.version_order import version_key
from srv.version import __version__

log = logging.getLogger(__name__)

#: What a face makes of a response of a stream.
Written = TypeVar("Written")


class DataPlane:
    """Answers the requests of the protocol's data plane. May be called from any thread."""

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
        self._hooks = RequestHooks(before, after)
        self._has_hooks = bool(before or after)
        self._ledger = Ledger() if ledger is None else ledger

    def server(self) -> ServerMetadata:
        """Return the metadata of the server."""
        return self._server

    def model_names(self) -> list[str]:
        """Return the names of all models, sorted."""
        return self.registry.names()

    def model(self, name: str, version: str | None = None) -> ModelVersion:
        """Return a model, ready or not. Raises NotFound, or Unavailable before the first load has ended."""
        try:
            return self.registry.find(name, version)
        except NotFound:
            if not self.readiness.loaded:
                raise StillLoading from None
            raise

    def metadata(self, name: str, version: str | None = None) -> ModelMetadata:
        """Return the metadata of a model. Raises NotFound, or Unavailable for a model that is not ready."""
        model = self.model(name, version)
        if model.metadata is None or model.state is not ModelState.READY:
            raise ModelNotReady(model)
        versions = sorted((each.wire_version for each in self.registry.versions(name).values()), key=version_key)
        return replace(model.metadata, versions=tuple(versions))

    def config(self, name: str, version: str | None = None) -> Mapping[str, Any]:
        """Return a model's configuration as Triton has it. Raises NotFound, or Unavailable for a model that is not ready."""
        metadata = self.metadata(name, version)
        model = self.model(name, version)
        return model_config(model.settings, metadata, streams=metadata.streams)

    def statistics(self, name: str | None = None, version: str | None = None) -> list[dict[str, Any]]:
        """Return the statistics of a model's versions, of one version, or of all models, summed over all workers.

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
        ordered = sorted(models, key=lambda model: (model.name, version_key(model.wire_version)))
        return [
            model_statistics(
                model.name,
                model.wire_version,
                counted.get((model.name, model.wire_version), {}),
                batches.get((model.name, model.wire_version), {}),
            )
            for model in ordered
        ]

    def infer(
        self,
        name: str,
        version: str | None,
        request: InferenceRequest,
        *,
        found: ModelVersion | None = None,
        received: float | None = None,
        deadline: float | None = None,
        face: str = "rest",
        stages: Stages | None = None,
    ) -> InferenceResponse:
        """Answer one request; `received` is when it was complete, `deadline` is the client's own, both monotonic.

        `found` is the model of that name and version, where the face has looked for it already. `stages` learns where the
        time went; they and the outcome are counted for the face.
        Raises NotFound, Unavailable, and whatever the model, a codec or a hook has to say.
        """
        started, stages = _arrived(received, stages)
        # Found again where another generation may have replaced the model while the face read the request.
        model = found if found is not None and found.state is ModelState.READY else self.model(name, version)
        try:
            if self._has_hooks:
                response = self._infer_with_hooks(model, version, request, started, deadline, stages)
            else:
                response = self._answer(model, version, request, started, deadline, stages)
        except Exception as error:
            self._count(model.name, request.model_version or model.wire_version, face, started, stages, error)
            raise
        self._count(request.model_name, request.model_version, face, started, stages)
        return _signed(response, request)

    def stream(
        self,
        name: str,
        version: str | None,
        request: InferenceRequest,
        written: Callable[[InferenceResponse], Written],
        *,
        received: float | None = None,
        deadline: float | None = None,
        face: str = "rest",
        stages: Stages | None = None,
    ) -> Generator[Written, None, None]:
        """Answer one request with several responses, as the face has `written` them; close it when nobody wants more.

        Raises as `infer` does, before the first response or between two, and what `written` raises. It is counted once,
        at its end; a stream that is closed before has lost its client.
        """
        started, stages = _arrived(received, stages)
        model = self.model(name, version)
        failure: Exception | None = None
        try:
            yield from self._stream(model, version, request, written, started, deadline, stages)
        except GeneratorExit:
            failure = ClientLeft()
            raise
        except Exception as error:
            failure = error
            raise
        finally:
            self._count(model.name, request.model_version or model.wire_version, face, started, stages, failure)

    def refused(self, model: ModelVersion, error: Exception, *, received: float, face: str, stages: Stages) -> None:
        """Count a request to a model that the face could not read."""
        self._count(model.name, model.wire_version, face, received, stages, error)

    def turned_away(self, face: str, code: str) -> None:
        """Count a request that was refused before its model was known; no model's statistics include it."""
        self._ledger.record(("", None, face, code), Stages(), 0, elements=0, executions=0)

    def sums(self) -> Mapping[Kind, Sums]:
        """Return the counts of all workers since the server's start."""
        return self._ledger.sums()

    def fold_dead(self) -> None:
        """Let one file stand for what all dead workers have counted."""
        self._ledger.fold_dead()

    def batches(self) -> Mapping[tuple[str, str | None], Mapping[int, Sums]]:
        """Return the executions of models that batch by name, version and number of rows, over all workers."""
        return self._ledger.batches()

    def route_answered(self, kind: RouteKind, stages: Stages, started: float) -> None:
        """Count a request to a route of a runtime's own, which is no inference."""
        self._ledger.record_route(kind, stages, int((time.monotonic() - started) * 1e9))

    def routes(self) -> Mapping[RouteKind, Sums]:
        """Return the requests to routes of runtimes' own, over all workers since the server's start."""
        return self._ledger.routes()

    def _count(
        self,
        name: str,
        version: str | None,
        face: str,
        started: float,
        stages: Stages,
        failure: Exception | None = None,
    ) -> None:
        kind = (name, version, face, OK if failure is None else outcome_of(failure))
        total = int((time.monotonic() - started) * 1e9)
        self._ledger.record(kind, stages, total, elements=stages.elements, executions=stages.executions)
        if stages.batch:
            self._ledger.record_batch(name, version, stages.batch, stages)

    def _answer(
        self,
        model: ModelVersion,
        version: str | None,
        request: InferenceRequest,
        started: float,
        own: float | None,
        stages: Stages,
    ) -> InferenceResponse:
        """Return the response of the model, or of the one that replaced it meanwhile.

        Raises ModelNotReady, or ClientLeft where nobody waits for it any more, whatever kind of predict made it.
        """
        while True:
            answer = model.answer
            if answer is None or model.state is not ModelState.READY:
                model = self._successor(model, version)
                continue
            request.model_name = model.name
            request.model_version = model.wire_version
            try:
                response = answer(request, self._deadline(model, started, own), stages)
            except ModelGone:
                model = self._successor(model, version)
                continue
            if request.caller.is_gone():
                raise ClientLeft
            return response

    def _responses(
        self,
        model: ModelVersion,
        version: str | None,
        request: InferenceRequest,
        started: float,
        own: float | None,
        stages: Stages,
    ) -> Generator[InferenceResponse, None, None]:
        """Yield the responses of the model, or of the one that replaced it before the first. Raises ModelNotReady."""
        while True:
            stream = model.stream
            if stream is None or model.state is not ModelState.READY:
                model = self._successor(model, version)
                continue
            request.model_name = model.name
            request.model_version = model.wire_version
            try:
                with closing(stream(request, self._deadline(model, started, own), stages)) as responses:
                    yield from responses
                    return
            except ModelGone:  # which is raised before the first response only
                model = self._successor(model, version)

    def _successor(self, model: ModelVersion, version: str | None) -> ModelVersion:
        """Return the model that replaced one that cannot answer. Raises ModelNotReady where there is none."""
        found = self.model(model.name, version)
        if found is model:
            raise ModelNotReady(model)
        return found

    def _serving(self, model: ModelVersion, version: str | None, request: InferenceRequest) -> ModelVersion:
        """Return the model or its successor, whichever serves, and name it in the request. Raises ModelNotReady."""
        while model.answer is None or model.state is not ModelState.READY:
            model = self._successor(model, version)
        request.model_name = model.name
        request.model_version = model.wire_version
        return model

    def _stream(
        self,
        model: ModelVersion,
        version: str | None,
        request: InferenceRequest,
        written: Callable[[InferenceResponse], Written],
        started: float,
        deadline: float | None,
        stages: Stages,
    ) -> Generator[Written, None, None]:
        model = self._serving(model, version, request)
        count = self._hooks.stream_count(started)
        with self._hooks.around(model, request, started, count) as asked:
            early = asked.ask_before()
            chosen = asked.request
            answers = (
                self._responses(model, version, chosen, started, deadline, stages) if early is None else _only(early)
            )
            with closing(answers) as responses:
                for response in responses:
                    asked.response = response
                    frame = written(_signed(response, chosen))
                    if count is not None:
                        count.add(frame)
                    yield frame

    def _deadline(self, model: ModelVersion, started: float, own: float | None) -> float:
        """Return the earlier of the server's deadline and the client's own. Raises DeadlinePassed where it has passed."""
        timeout = model.settings.request_timeout or self._request_timeout
        deadline = started + timeout
        if own is not None and own < deadline:
            deadline = ClientDeadline(own, own - started)
        if time.monotonic() > deadline:  # it has waited for a thread until now, and must not run any more
            raise deadline_passed(deadline, timeout)
        return deadline

    def _infer_with_hooks(
        self,
        model: ModelVersion,
        version: str | None,
        request: InferenceRequest,
        started: float,
        own: float | None,
        stages: Stages,
    ) -> InferenceResponse:
        """Answer a request between the hooks, each of which is called once, also where the model is replaced meanwhile."""
        model = self._serving(model, version, request)
        with self._hooks.around(model, request, started) as asked:
            early = asked.ask_before()
            if early is not None:
                return early
            asked.response = response = self._answer(model, version, asked.request, started, own, stages)
            return response


def _arrived(received: float | None, stages: Stages | None) -> tuple[float, Stages]:
    """Return when a request was complete, and its stages with the time that has passed until now."""
    now = time.monotonic()
    stages = stages or Stages()
    if received is None:
        return now, stages
    taken = stages.taken or received
    stages.queue = int((taken - received) * 1e9)
    stages.input = int((now - taken) * 1e9)
    return received, stages


def _only(response: InferenceResponse) -> Generator[InferenceResponse, None, None]:
    """Yield a response that is the whole answer."""
    yield response


def _signed(response: InferenceResponse, request: InferenceRequest) -> InferenceResponse:
    """Return the response with the name and version of the model that gave it, and the request's id."""
    response.model_name = request.model_name
    response.model_version = request.model_version
    response.id = request.id
    return response

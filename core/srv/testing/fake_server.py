"""A server for tests that is none: its models are functions or answers, and it keeps what it was asked."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeAlias

from srv.cancellation import ClientDeadline
from srv.errors import SrvError
from srv.inference.execution import deadline_passed
from srv.messages import InferenceRequest, InferenceResponse, ModelMetadata
from srv.metrics_types import Kind, Queue, RouteKind, Series, Sums, Usage
from srv.model_settings import ModelSettings
from srv.models.registry import ModelState, ModelVersion, Registry
from srv.planes.asking import check_may_wait
from srv.planes.inner_requests import NoRequest, Question, copied, read_only
from srv.planes.readiness import ModelNotReady
from srv.server import PluginRow, Server
from srv.tensors import Tensor
from srv.testing.folders import NOTHING

#: One response: whole, outputs by name, or the value of the one output `output`.
FakeAnswer: TypeAlias = Any
#: A model: what it answers, an error that it raises, or a function of the request that returns or raises that.
FakeModel: TypeAlias = Any


class FakeServer:
    """What hooks, routes and runtimes can ask in a test without a server. It is a `srv.hookspecs.Server`.

    Each of `models` is what it answers: outputs by name, one value, or a whole InferenceResponse; a SrvError, which it
    raises; or a function of the request that returns or raises one of these. A model that streams has a list of answers. `asked`
    has every request, in order. Errors of unknown models, of models that are not ready, of a deadline that has passed and of a
    call that waits on an event loop are those of a server.
    """

    def __init__(
        self,
        models: Mapping[str, FakeModel] = NOTHING,
        *,
        server_name: str = "srv",
        folder: Path = Path(),
        workers: int = 1,
        metrics_endpoint: str | None = "/metrics",
        model_control: bool = True,
    ) -> None:
        self.server_name = server_name
        self.folder = folder
        self.workers = workers
        self.metrics_endpoint = metrics_endpoint
        self.model_control = model_control
        #: What was asked; `request` is as the model got it.
        self.asked: list[Question] = []
        self._models = models
        self._registry = Registry()
        for name in models:
            self._registry.put(_serving(name))

    def models(self) -> Sequence[str]:
        """Return the names of all models, sorted."""
        return self._registry.names()

    def metadata(self, name: str, version: str | None = None) -> ModelMetadata:
        """Return metadata without inputs and outputs, which nobody has declared."""
        model = self._ready(name, version)
        return ModelMetadata(model.name, (model.wire_version,), "fake", (), (), {})

    def ready(self, name: str | None = None, version: str | None = None) -> bool:
        """Return whether a model is ready; it is, until it is unloaded."""
        return name is None or self._registry.find(name, version).state is ModelState.READY

    def infer(
        self,
        name: str,
        request: InferenceRequest,
        *,
        version: str | None = None,
        deadline: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> InferenceResponse:
        """Return what the model answers."""
        check_may_wait("infer")
        return self._response(Question(name, request, version, deadline, headers))

    def stream(
        self,
        name: str,
        request: InferenceRequest,
        *,
        version: str | None = None,
        deadline: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> FakeStream:
        """Return what the model answers, one response after the other."""
        check_may_wait("stream")
        return FakeStream(self._responses(Question(name, request, version, deadline, headers)))

    async def ainfer(
        self,
        name: str,
        request: InferenceRequest,
        *,
        version: str | None = None,
        deadline: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> InferenceResponse:
        """Return what the model answers."""
        return self._response(Question(name, request, version, deadline, headers))

    async def astream(
        self,
        name: str,
        request: InferenceRequest,
        *,
        version: str | None = None,
        deadline: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> AsyncGenerator[InferenceResponse, None]:
        """Yield what the model answers."""
        for response in self._responses(Question(name, request, version, deadline, headers)):
            yield response

    def load(self, name: str) -> None:
        """Make a model ready."""
        check_may_wait("load")
        self._registry.find(name, None).state = ModelState.READY

    def unload(self, name: str) -> None:
        """Make a model unavailable."""
        check_may_wait("unload")
        self._registry.find(name, None).state = ModelState.UNAVAILABLE

    def statistics(self) -> Mapping[Kind, Sums]:
        """Return nothing: nothing is counted."""
        return {}

    def batches(self) -> Mapping[tuple[str, str | None], Mapping[int, Sums]]:
        """Return nothing: nothing is counted."""
        return {}

    def model_metrics(self) -> Sequence[Series]:
        """Return nothing: nothing is counted."""
        return ()

    def metric_registries(self) -> Sequence[Any]:
        """Return nothing: no model runs."""
        return ()

    def routes(self) -> Mapping[RouteKind, Sums]:
        """Return nothing: nothing is counted."""
        return {}

    def queues(self) -> Sequence[Queue]:
        """Return nothing: nobody waits."""
        return ()

    def usages(self) -> Sequence[Usage]:
        """Return nothing: there are no workers."""
        return ()

    def deaths(self) -> int:
        """Return 0: nobody has died."""
        return 0

    def certificate_ends(self) -> float | None:
        """Return None: there is no certificate."""
        return None

    def states(self) -> Mapping[str, int]:
        """Return how many models are in each state."""
        counted = Counter(model.state for model in self._registry.models())
        return {state.value: counted[state] for state in ModelState}

    def plugins(self) -> Sequence[PluginRow]:
        """Return nothing: no plugin was found."""
        return ()

    def processes(self) -> Sequence[int]:
        """Return nothing: there are no workers."""
        return ()

    def _ready(self, name: str, version: str | None) -> ModelVersion:
        model = self._registry.find(name, version)
        if model.state is not ModelState.READY:
            raise ModelNotReady(model)
        return model

    def _answer(self, question: Question) -> tuple[ModelVersion, InferenceRequest, Any]:
        """Note what is asked, and return the model, the request as it gets that, and what it answers."""
        if not isinstance(question.request, InferenceRequest):
            raise NoRequest(question.request)
        model = self._ready(question.name, question.version)
        now = time.monotonic()
        if question.deadline is not None and question.deadline < now:
            raise deadline_passed(ClientDeadline(question.deadline, 0.0), 0.0)
        request = copied(question.request, question.headers)
        request.model_name, request.model_version = model.name, model.wire_version
        self.asked.append(question._replace(request=request))
        answer = self._models[model.name]
        if callable(answer):
            answer = answer(request)
        if isinstance(answer, SrvError):
            raise answer
        return model, request, answer

    def _response(self, question: Question) -> InferenceResponse:
        return _response_of(*self._answer(question))

    def _responses(self, question: Question) -> Iterator[InferenceResponse]:
        model, request, answers = self._answer(question)
        whole = isinstance(answers, InferenceResponse | Mapping) or not isinstance(answers, Iterable)
        for answer in [answers] if whole else answers:
            yield _response_of(model, request, answer)


class FakeStream:
    """The responses of a fake stream. The first is made at once, as a server does."""

    def __init__(self, responses: Iterator[InferenceResponse]) -> None:
        self._first = [*islice(responses, 1)]
        self._responses = responses

    def __iter__(self) -> Iterator[InferenceResponse]:
        return self

    def __next__(self) -> InferenceResponse:
        return self._first.pop() if self._first else next(self._responses)

    def close(self) -> None:
        """Give no more."""
        self._first, self._responses = [], iter(())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()


def _response_of(model: ModelVersion, request: InferenceRequest, answer: FakeAnswer) -> InferenceResponse:
    if not isinstance(answer, InferenceResponse):
        outputs = answer if isinstance(answer, Mapping) else {"output": answer}
        answer = InferenceResponse([Tensor(name, value) for name, value in outputs.items()])
    response = read_only(answer)
    response.model_name, response.model_version, response.id = model.name, model.wire_version, request.id
    return response


def _serving(name: str) -> ModelVersion:
    model = ModelVersion(ModelSettings(name=name))
    model.state = ModelState.READY
    return model


if TYPE_CHECKING:
    _: Server = FakeServer()

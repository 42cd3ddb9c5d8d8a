"""The server as plugins and runtimes have it: its settings, what it has counted, and its models, which it can ask."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, Protocol, Self, cast

from srv.errors import Unavailable

if TYPE_CHECKING:
    from srv.messages import InferenceRequest, InferenceResponse, ModelMetadata
    from srv.metrics_types import Kind, Queue, RouteKind, Series, Sums, Usage


class NotRunning(Unavailable):
    """Code asks for the server where none runs: on trial, or in a test that makes a runtime by hand."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"'{name}' of the server was used where no server runs. In a test, give the runtime or hook a "
            "srv.testing.FakeServer."
        )


class Responses(Protocol):
    """The responses of a stream that has begun. Close it, or leave it as a context manager, when no more are wanted."""

    def __iter__(self) -> Iterator[InferenceResponse]:
        """Return the responses, as they come."""

    def __next__(self) -> InferenceResponse:
        """Wait for the next response."""

    def close(self) -> None:
        """End the stream, and the model's own iterator with it."""

    def __enter__(self) -> Self:
        """Return the same."""

    def __exit__(self, *raised: object) -> None:
        """End the stream."""


class Server(Protocol):
    """The server as hooks have it as `server`, routes as `req.context.server`, and runtimes as `self.server`.

    It may be kept, and asked from any thread at any time. A request that is asked here goes the way of a face's: through
    the hooks, the model's queue and its deadline, and it is counted with the name of the plugin as its face, or
    `model:NAME` where a model asks. Errors are those of srv.errors, as a client would be told: Unavailable before the first load has
    ended, NotFound for an unknown model.
    """

    # -- its settings --------------------------------------------------------------------------------------------------

    @property
    def server_name(self) -> str:
        """The server's name, as its metadata tells it."""

    @property
    def folder(self) -> Path:
        """The folder that the server serves."""

    @property
    def workers(self) -> int:
        """How many worker processes there are, each with hooks of its own."""

    @property
    def metrics_endpoint(self) -> str | None:
        """The path of the metrics, or None where they are turned off."""

    @property
    def model_control(self) -> bool:
        """Whether clients may load and unload models."""

    # -- its models ----------------------------------------------------------------------------------------------------

    def models(self) -> Sequence[str]:
        """The names of all models of this worker, ready or not, sorted."""

    def metadata(self, name: str, version: str | None = None) -> ModelMetadata:
        """What a model says of itself: its versions, inputs and outputs. Raises NotFound, or Unavailable if not ready."""

    def ready(self, name: str | None = None, version: str | None = None) -> bool:
        """Whether a model is ready, or this worker where no model is named. Raises NotFound."""

    def infer(
        self,
        name: str,
        request: InferenceRequest,
        *,
        version: str | None = None,
        deadline: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> InferenceResponse:
        """Ask a model, and wait for its response. Not on an event loop, which waits with `ainfer`.

        `deadline` is a time of `time.monotonic()`; the model's own `request_timeout` and the deadline of the request
        that is being answered meanwhile hold as well. If the client of that request disconnects, this one is abandoned
        with ClientLeft. `headers` are what hooks and the model see; without them it is those of the request. The
        request itself is left as it is, and may be asked again. Arrays are not copied, and read-only on the other side.
        """

    def stream(
        self,
        name: str,
        request: InferenceRequest,
        *,
        version: str | None = None,
        deadline: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Responses:
        """Ask a model that answers with a stream. Returns when the first response is there, for which `deadline` is.

        Raises as `infer` does, then or between two responses.
        """

    async def ainfer(
        self,
        name: str,
        request: InferenceRequest,
        *,
        version: str | None = None,
        deadline: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> InferenceResponse:
        """Ask a model as `infer` does, on an event loop: that of async runtimes, or a plugin's own.

        If the task is cancelled, so is the request. At its deadline it raises DeadlinePassed, also where a sync predict
        still runs.
        """

    def astream(
        self,
        name: str,
        request: InferenceRequest,
        *,
        version: str | None = None,
        deadline: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> AsyncGenerator[InferenceResponse, None]:
        """Ask a model for a stream, on an event loop, with `async for`."""

    def load(self, name: str) -> None:
        """Load a model in every worker, or load it anew. As a client may: Forbidden where `model_control` is false.

        Not on an event loop, not while the model that asks is loaded itself, and not in a hook that is told of a model,
        such as `srv_model_loaded`.
        """

    def unload(self, name: str) -> None:
        """Stop serving a model in every worker. Raises as `load` does."""

    # -- what it has counted -------------------------------------------------------------------------------------------

    def statistics(self) -> Mapping[Kind, Sums]:
        """What all workers have counted since the server's start, dead ones too. Models are named only if known."""

    def batches(self) -> Mapping[tuple[str, str | None], Mapping[int, Sums]]:
        """How often each version of a model that batches has run, by the rows of a batch; counted as above."""

    def model_metrics(self) -> Sequence[Series]:
        """What models report with `self.metric`: summed as above, but for gauges, which each running worker has its own."""

    def metric_registries(self) -> Sequence[Any]:
        """The attribute `registry` of each model that has one with a method `collect`, in the worker that answers."""

    def routes(self) -> Mapping[RouteKind, Sums]:
        """The requests to routes of runtimes' own, by how they ended; counted as above, and not among those."""

    def queues(self) -> Sequence[Queue]:
        """How many requests wait in each worker, by face and, for models that have a queue, by model."""

    def usages(self) -> Sequence[Usage]:
        """What each worker holds at the moment; a worker that does not answer soon is left out."""

    def deaths(self) -> int:
        """How many workers have died since the server's start, or were killed because they hung; others replaced them."""

    def certificate_ends(self) -> float | None:
        """When the certificate of the worker that answers ends, in seconds since 1970; None without the setting `tls`."""

    def states(self) -> Mapping[str, int]:
        """How many versions of models are in each state, in the worker that answers; every state is there."""

    def plugins(self) -> Sequence[PluginRow]:
        """Every plugin that was found, in the worker that answers."""

    def processes(self) -> Sequence[int]:
        """The workers' process ids; one that has just died may be among them."""


class PluginRow(Protocol):
    """A plugin as `srv plugins` lists it."""

    @property
    def kind(self) -> str:
        """What it is: runtime, codec, command, hooks, route."""

    @property
    def name(self) -> str:
        """Its entry point's name."""

    @property
    def distribution(self) -> str:
        """What brings it."""

    @property
    def state(self) -> str:
        """found, loaded, disabled, refused, quarantined."""


class KnownSettings(Protocol):
    """The part of the server's settings that a Server has."""

    @property
    def server_name(self) -> str:
        """The server's name."""

    @property
    def folder(self) -> Path:
        """The folder that the server serves."""

    @property
    def workers(self) -> int:
        """How many worker processes there are."""

    @property
    def metrics_endpoint(self) -> str | None:
        """The path of the metrics."""

    @property
    def model_control(self) -> bool:
        """Whether clients may load and unload models."""


class _SettingsOnly:
    """Has the settings if there are any, and raises for everything else that a Server has."""

    def __init__(self, settings: KnownSettings | None, refusal: Callable[[str], Exception]) -> None:
        self._settings = settings
        self._refusal = refusal

    def __getattr__(self, name: str) -> Any:
        if name not in vars(Server):
            raise AttributeError(f"a server has no attribute '{name}'")
        if name not in vars(KnownSettings):
            return _raising(name, self._refusal)
        if self._settings is None:
            raise self._refusal(name)
        return getattr(self._settings, name)


def _raising(name: str, refusal: Callable[[str], Exception]) -> Any:
    def use(*_: object, **__: object) -> NoReturn:
        raise refusal(name)

    return use


def not_running(settings: KnownSettings | None = None, *, refusal: Callable[[str], Exception] = NotRunning) -> Server:
    """Return a server that does not run, as plugins have it on trial: its settings are there, asking it raises.

    `refusal` makes the error from the name of what was asked.
    """
    return cast("Server", _SettingsOnly(settings, refusal))

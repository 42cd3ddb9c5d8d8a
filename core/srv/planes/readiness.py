"""Readiness: whether this worker should get requests, and the sentences that say why not."""

from __future__ import annotations

from collections.abc import Collection

from srv.errors import NotFound, Unavailable, closed
from srv.models.registry import ModelState, ModelVersion, Registry


class StillLoading(Unavailable):
    """The worker's first load has not ended, so its models are not known yet."""

    def __init__(self) -> None:
        super().__init__("The server is still loading its models. Try again in a moment.")


class ModelNotReady(Unavailable):
    """The model is known and does not serve."""

    def __init__(self, model: ModelVersion) -> None:
        reason = f": {model.reason}" if model.reason else ""
        super().__init__(closed(f"Model '{model.title}' is not ready, it is {model.state.value}{reason}"))


class NotServing(Unavailable):
    """A model of the start has no version that serves."""

    def __init__(self, name: str) -> None:
        super().__init__(f"Model '{name}' has no version that serves.")


class Behind(Unavailable):
    """This worker could not make a change that the others have made."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"This worker does not serve what the others serve: {reason}")


class Stuck(Unavailable):
    """No thread of the worker is free, and none will be soon."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"This worker is stuck: {reason}.")


class Draining(Unavailable):
    """The server is about to stop."""

    def __init__(self) -> None:
        super().__init__("The server is shutting down.")


class Readiness:
    """Whether this worker should get requests. The loader's thread and the shutdown write it, the faces read it."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self.loaded = False
        self.draining = False
        #: Whether models are being unloaded because the worker ends.
        self.stopping = False
        self.wanted: Collection[str] = ()
        #: Why this worker cannot serve what the others serve, where that is so.
        self.behind: str | None = None
        #: Why this worker can run no more requests; "" where it can.
        self.stuck = ""

    def problem(self) -> Unavailable | None:
        """Return why the worker is not ready, or None where it is ready."""
        if self.draining:
            return Draining()
        if self.stuck:
            return Stuck(self.stuck)
        if not self.loaded:
            return StillLoading()
        if self.behind is not None:
            return Behind(self.behind)
        for name in self.wanted:
            if not any(model.state is ModelState.READY for model in self._versions(name)):
                return NotServing(name)
        return None

    def want_no_longer(self, name: str) -> None:
        """Let the worker be ready without a model, because a client has unloaded it."""
        self.wanted = {wanted for wanted in self.wanted if wanted != name}

    def _versions(self, name: str) -> Collection[ModelVersion]:
        try:
            return self._registry.versions(name).values()
        except NotFound:
            return ()

"""The runtime of MLServer's classes: a model as MLServer makes it, asked in MLServer's own types."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, ClassVar

from mlserver import MLModel, types
from mlserver.codecs import numpy as numpy_codecs
from mlserver.context import model_context
from mlserver.errors import MLServerError
from mlserver.metrics.registry import REGISTRY

from srv import InferenceRequest, InferenceResponse, Runtime
from srv.errors import Unimplemented
from srv_mlserver.methods import NeedsLoop, may_suspend, reads_by_codecs, required_inputs, run_here
from srv_mlserver.model_settings import settings_of
from srv_mlserver.requests import request_of
from srv_mlserver.responses import error_of, response_of, spec_of

if TYPE_CHECKING:
    from srv_mlserver.custom_handlers import CustomHandlers
    from srv_mlserver.served_names import ServedNames

# The kind of the texts of pandas 3, which MLServer's own table of datatypes lacks.
numpy_codecs._NumpyToDatatype.setdefault("O", types.Datatype.BYTES)


class NoPredict(Unimplemented):
    """The class has no predict of its own."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} has no predict method of its own; MLServer's answers nothing.")


class MLServerRuntime(Runtime):
    """Loads a class that extends mlserver.MLModel, and answers with it. `runtime_of` makes a subclass for each class."""

    own_codecs = True
    missing_values = True

    adopted: ClassVar[type[MLModel]]
    implementation: ClassVar[str]
    handlers: ClassVar[CustomHandlers]
    served: ClassVar[ServedNames]

    #: What mlserver.log and mlserver.register keep, shown at srv's /metrics.
    registry = REGISTRY

    async def load(self) -> bool:
        """Load the model in a thread where that needs no event loop, because a long load would hold the loop."""
        loop = asyncio.get_running_loop()
        self._their_settings = settings_of(self.settings, self.implementation)
        try:
            ready = await loop.run_in_executor(None, self._load_here)
        except NeedsLoop:
            with model_context(self._their_settings):
                self._model = self.adopted(self._their_settings)
                ready = await self._model.load()
        except MLServerError as error:
            raise error_of(error) from error
        self._model.ready = ready = bool(ready)
        if not ready:
            return False
        self._arrays = reads_by_codecs(self._model)
        self._required = required_inputs(self._model.predict)
        self._direct = not may_suspend(self._model.predict)
        if self._direct:
            # MLServer runs one predict at a time in a process, and classes are written for that.
            self.concurrency = 1  # type: ignore[misc]  # of this instance
        self._tell_metadata()
        self.handlers.add(self._model, loop)
        self.served.add(self, self.name)
        return True

    def _load_here(self) -> Any:
        with model_context(self._their_settings):
            self._model = self.adopted(self._their_settings)
            return run_here(self._model.load())

    def _tell_metadata(self) -> None:
        self.inputs = [spec_of(tensor) for tensor in self._model.inputs or ()] or None
        self.outputs = [spec_of(tensor) for tensor in self._model.outputs or ()] or None
        parameters = self._model.settings.parameters
        if parameters is not None and parameters.content_type:
            self.parameters["content_type"] = parameters.content_type

    def predict(self, request: InferenceRequest) -> Any:
        """Answer in the request's thread where the class awaits nothing; else return a coroutine for srv's event loop."""
        if not self._direct:
            return self._answer(request)
        try:
            return run_here(self._answer(request))
        except NeedsLoop:
            self._direct = False
            return self._answer(request)

    async def _answer(self, request: InferenceRequest) -> InferenceResponse:
        for name in self._required:
            request.tensor(name)  # which raises where it is missing; MLServer's decode_args would fail as a bug does
        asked = request_of(request, arrays=self._arrays)
        with model_context(self._their_settings):
            try:
                answer: Any = self._model.predict(asked)
                return response_of(await answer if inspect.isawaitable(answer) else answer, "predict")
            except MLServerError as error:
                raise error_of(error) from error

    async def predict_stream(self, request: InferenceRequest) -> AsyncIterator[InferenceResponse]:
        """Answer with the class's own stream, or with its one answer where it has none."""
        asked = request_of(request, arrays=self._arrays)

        async def alone() -> AsyncIterator[types.InferenceRequest]:
            yield asked

        answers: Any = self._model.predict_stream(alone())
        try:
            while True:
                with model_context(self._their_settings):  # for each step, because a step may have a context of its own
                    try:
                        answer = await anext(answers)
                    except StopAsyncIteration:
                        return
                    except MLServerError as error:
                        raise error_of(error) from error
                yield response_of(answer, "predict_stream")
        finally:
            await answers.aclose()

    async def unload(self) -> None:
        """Unload the model, and serve its custom handlers no longer."""
        self.handlers.remove(self._model)
        self.served.remove(self)
        gone: Any = self._model.unload()
        if inspect.isawaitable(gone):
            await gone


def runtime_of(
    cls: type[MLModel], implementation: str, handlers: CustomHandlers, served: ServedNames
) -> type[MLServerRuntime]:
    """Return the runtime of one of MLServer's classes."""
    if cls.predict is MLModel.predict and cls.predict_stream is MLModel.predict_stream:
        raise NoPredict(implementation)
    # MLServer's own predict raises; a class without one of its own answers with streams only, which srv tells clients.
    streams_only = {"predict": None} if cls.predict is MLModel.predict else {}
    return type(
        cls.__name__,
        (MLServerRuntime,),
        {
            **streams_only,
            "adopted": cls,
            "implementation": implementation,
            "handlers": handlers,
            "served": served,
            "__module__": cls.__module__,
        },
    )

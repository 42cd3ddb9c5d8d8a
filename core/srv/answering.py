"""One model's way from a request to a response: checked, read, run, encoded, chosen from."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from typing import Any

import msgspec
import numpy as np

from srv.batching import Batching
from srv.checking import InputCheck, check_outputs, select_outputs
from srv.codecs import Codecs
from srv.counts import Stages
from srv.decoding import Decoding
from srv.encoding import Encoding
from srv.errors import (
    ClientLeft,
    DeadlinePassed,
    Forbidden,
    InvalidInput,
    ModelError,
    QueueFull,
    Unauthenticated,
    Unavailable,
    Unimplemented,
    listed,
    quoted,
)
from srv.execution import EventLoop, Execute, Execution
from srv.merging import bare
from srv.messages import InferenceRequest, InferenceResponse, ModelMetadata
from srv.modelsettings import Spec
from srv.registry import Model
from srv.runtime import Runtime
from srv.sendable import check_response
from srv.settings import ServerSettings
from srv.signatures import Signature, read_signature
from srv.tensors import Tensor

log = logging.getLogger(__name__)

#: What a runtime may raise to say something to the client; anything else that it raises is a ModelError.
SPOKEN = (InvalidInput, Unauthenticated, Forbidden, Unavailable, QueueFull, DeadlinePassed, ClientLeft)


class PredictFailed(ModelError):
    """predict raised; the client learns the class, the log has the rest."""

    def __init__(self, model: str, error: BaseException) -> None:
        super().__init__(f"Model '{model}' raised {type(error).__name__}; the server's log says more.")


class NoSuchMethod(Unimplemented):
    """A stream was asked of a runtime that has none, or an answer of one that only streams."""

    def __init__(self, model: str, what: str) -> None:
        super().__init__(f"Model '{model}' {what}.")


def prepare(model: Model, runtime: Runtime, *, codecs: Codecs, loop: EventLoop, settings: ServerSettings) -> None:
    """Give a loaded model what it answers with, and the metadata that follows from settings, runtime and signature.

    Raises BadSignature where predict's arguments cannot be made from a request.
    """
    answering = Answering(runtime, codecs, loop, settings)
    model.answer = answering
    model.stream = answering.stream
    model.wait_idle = answering.execution.wait_idle
    model.waiting = answering.waiting if answering.execution.has_queue or answering.batching is not None else None
    model.metadata = ModelMetadata(
        name=model.name,
        versions=(),
        platform=model.settings.platform or model.settings.runtime or "python",
        inputs=answering.inputs,
        outputs=answering.outputs,
        parameters=dict(runtime.parameters),
    )


class _Method(msgspec.Struct, frozen=True):
    """One of a runtime's methods, read once at load."""

    call: Callable[..., Any]
    signature: Signature
    check: InputCheck
    encoding: Encoding


_NO_SIGNATURE = Signature(None, None, frozenset(), (), ())


class Answering:
    """Answers requests to one model; called from many threads."""

    def __init__(self, runtime: Runtime, codecs: Codecs, loop: EventLoop, settings: ServerSettings) -> None:
        mine = runtime.settings
        self._name = mine.name
        self._decoding = Decoding(codecs, mine)
        self._writable = runtime.writable_inputs
        self.execution = execution = Execution(
            mine.name,
            concurrency=_lower(runtime.concurrency, mine.concurrency),
            max_queue=mine.max_queue if mine.max_queue is not None else settings.max_queue,
            timeout=mine.request_timeout or settings.request_timeout,
            loop=loop,
        )
        self._predict = predict = self._method(runtime, "predict", codecs)
        self._stream = self._method(runtime, "predict_stream", codecs)
        method = self._predict or self._stream
        signature = method.signature if method is not None else _NO_SIGNATURE
        self.inputs = _merged(mine.inputs, runtime.inputs, signature.inputs)
        self.outputs = _merged(mine.outputs, runtime.outputs, signature.outputs)
        self._takes_batches = mine.max_batch_size > 0 or bool(
            self.inputs and self.inputs[0].shape and self.inputs[0].shape[0] == -1
        )
        self.batching: Batching | None = None
        if predict is not None and mine.max_batch_size > 1 and self._may_merge():

            def run(request: InferenceRequest, deadline: float | None, stages: Stages) -> InferenceResponse:
                return self._run(request, predict, execution.call, deadline, stages, time.monotonic_ns())

            self.batching = Batching(mine.name, run, execution, most=mine.max_batch_size, patience=mine.max_batch_time)
        self._known_outputs = [spec.name for spec in self.outputs] if mine.outputs or runtime.outputs else None

    def __call__(
        self, request: InferenceRequest, deadline: float | None, stages: Stages | None = None
    ) -> InferenceResponse:
        """The response to one request; `stages` learns where its time went. Raises InvalidInput, ModelError, QueueFull or DeadlinePassed."""
        if self._predict is None:
            raise NoSuchMethod(self._name, "answers with streams only")
        if stages is None:
            stages = Stages()
        began = time.monotonic_ns()
        self._check(request, self._predict)
        if self.batching is None:
            response = self._run(request, self._predict, self.execution.run, deadline, stages, began)
            stages.executions = 1
        else:
            stages.input += time.monotonic_ns() - began
            response = self.batching.answer(bare(request), deadline, stages)
        stages.elements = request.inputs[0].shape[0] if self._takes_batches and _has_rows(request) else 1
        if request.outputs is not None:
            began = time.monotonic_ns()
            response.outputs = self._predict.encoding.as_asked(request, select_outputs(request, response))
            stages.output += time.monotonic_ns() - began
        return response

    def waiting(self) -> int:
        """How many requests wait for a place, or for company."""
        return self.execution.waiting if self.batching is None else self.batching.waiting

    def _run(
        self,
        request: InferenceRequest,
        method: _Method,
        execute: Execute,
        deadline: float | None,
        stages: Stages,
        began: int,
    ) -> InferenceResponse:
        """Everything that a method answers to a request that was checked; since it `began`, it was being read."""
        arguments = self._arguments(request, method)
        read = time.monotonic_ns()
        stages.input += read - began
        queued = stages.queue
        try:
            value = execute(method.call, arguments, request, deadline, stages)
        except SPOKEN:
            raise
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # a panic in Rust is no Exception either
            log.exception("Model '%s' raised while predicting.", self._name)
            raise PredictFailed(self._name, error) from error
        ran = time.monotonic_ns()
        stages.infer += ran - read - (stages.queue - queued)
        response = self._encoded(method, value)
        stages.output += time.monotonic_ns() - ran
        return response

    def stream(
        self, request: InferenceRequest, deadline: float | None, stages: Stages | None = None
    ) -> Generator[InferenceResponse, None, None]:
        """The responses to one request, one after the other; the first one comes before the deadline.

        Raises as a call does, before the first response or between two. Closing it ends the runtime's own iterator.
        """
        if self._stream is None:
            raise NoSuchMethod(self._name, "does not answer with streams")
        stages = stages or Stages()
        began = time.monotonic_ns()
        self._check(request, self._stream)
        arguments = self._arguments(request, self._stream)
        stages.input += time.monotonic_ns() - began
        stages.executions = 1
        stages.elements = request.inputs[0].shape[0] if self._takes_batches and _has_rows(request) else 1
        values = self.execution.iterate(self._stream.call, arguments, request, deadline, stages)
        with closing(values):
            while True:
                read, queued = time.monotonic_ns(), stages.queue
                try:
                    value = next(values)
                except StopIteration:
                    return
                except SPOKEN:
                    raise
                except KeyboardInterrupt:
                    raise
                except BaseException as error:
                    log.exception("Model '%s' raised while streaming.", self._name)
                    raise PredictFailed(self._name, error) from error
                ran = time.monotonic_ns()
                stages.infer += ran - read - (stages.queue - queued)
                response = self._response(request, self._stream, value)
                stages.output += time.monotonic_ns() - ran
                yield response

    def _may_merge(self) -> bool:
        """Whether the inputs have a first dimension that may be of any length, as far as they are declared."""
        fixed = [spec.name for spec in self.inputs if spec.shape is not None and spec.shape[:1] != (-1,)]
        if fixed:
            log.warning("Model '%s' has a max_batch_size, but %s is declared without -1 as the first length; "
                        "its requests run one by one.", self._name, listed(quoted(name) for name in fixed))  # fmt: skip
        return not fixed

    def _method(self, runtime: Runtime, name: str, codecs: Codecs) -> _Method | None:
        call = getattr(runtime, name, None)
        if call is None:
            return None
        signature = read_signature(call, codecs, self._decoding)
        declared = runtime.settings
        check = _input_check(declared.inputs, signature.inputs, signature.names, signature.optional)
        return _Method(call, signature, check, Encoding(codecs, signature, declared.outputs or ()))

    def _check(self, request: InferenceRequest, method: _Method) -> None:
        """Raise InvalidInput where a request cannot be for this method."""
        self._decoding.check(request)
        method.check(request)
        if request.outputs is not None:
            method.encoding.check(request)
            if self._known_outputs is not None:
                check_outputs(request, self._known_outputs)
        request.decoder = self._decoding.value

    def _arguments(self, request: InferenceRequest, method: _Method) -> Mapping[str, Any] | None:
        """The arguments of a method, or None for one that takes the request as it is."""
        if self._writable:
            request.inputs = [_copied(tensor) for tensor in request.inputs]
        arguments = method.signature.arguments
        return arguments(request) if arguments is not None else None

    def _response(self, request: InferenceRequest, method: _Method, value: object) -> InferenceResponse:
        response = self._encoded(method, value)
        response.outputs = method.encoding.as_asked(request, select_outputs(request, response))
        return response

    def _encoded(self, method: _Method, value: object) -> InferenceResponse:
        try:
            response = method.encoding.response(value)
            check_response(response)
        except ModelError as error:
            log.error("Model '%s': %s", self._name, error)  # noqa: TRY400  the sentence says it all
            raise
        except Exception as error:
            log.exception("What model '%s' returned could not be encoded.", self._name)
            raise PredictFailed(self._name, error) from error
        return response


def _merged(*sources: Sequence[Spec] | None) -> tuple[Spec, ...]:
    """Declared tensors by name; the first source that names one decides, the order is that of the first source."""
    merged: dict[str, Spec] = {}
    for source in sources:
        for spec in source or ():
            merged.setdefault(spec.name, spec)
    return tuple(merged.values())


def _has_rows(request: InferenceRequest) -> bool:
    return bool(request.inputs and request.inputs[0].shape)


def _input_check(
    declared: tuple[Spec, ...] | None,
    hinted: tuple[Spec, ...],
    names: tuple[str, ...] | None,
    optional: frozenset[str],
) -> InputCheck:
    specs = _merged(declared, hinted)
    if names is None and declared:
        names = tuple(spec.name for spec in specs)
    if names is not None:
        specs = tuple(spec for spec in specs if spec.name in names)
    return InputCheck(specs, names=names, optional=optional)


def _lower(first: int | None, second: int | None) -> int | None:
    return min((one for one in (first, second) if one is not None), default=None)


def _copied(tensor: Tensor) -> Tensor:
    return Tensor.trusted(tensor.name, np.array(tensor.data), tensor.datatype, tensor.parameters)

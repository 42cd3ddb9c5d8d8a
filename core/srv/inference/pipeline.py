"""The pipeline of one model: a request is checked, decoded, run, encoded, and the requested outputs are chosen."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from typing import Any

import msgspec

from srv.codec import InputCodec
from srv.codecs import Codecs
from srv.errors import (
    ModelError,
    Unimplemented,
    listed,
    quoted,
)
from srv.inference.batching.batches import Batching
from srv.inference.batching.merging import bare
from srv.inference.declarations import (
    ArgumentsUndecoded,
    as_one,
    base64_types,
    check_declared,
    check_read_alike,
    declared_for_srv,
    input_check,
    input_check_of_any_name,
    merged,
    of_one_length,
    only_input,
    with_content_type,
)
from srv.inference.decoding import BinaryInputs, Decoding, declared_codecs
from srv.inference.encoding import Encoding
from srv.inference.event_loop import EventLoop
from srv.inference.execution import Execute, Execution
from srv.inference.model_failures import SPOKEN, failure_of
from srv.inference.request_validation import InputCheck, MissingValue, check_outputs, check_parameters, select_outputs
from srv.inference.response_validation import check_response
from srv.inference.routes.declared import read_routes, with_routes
from srv.inference.signatures import Signature, read_signature
from srv.inference.streamed_values import streamed_values
from srv.inference.thread_setup import MethodThreads
from srv.messages import InferenceRequest, InferenceResponse, ModelMetadata
from srv.metrics_types import Stages
from srv.model_settings import ModelSettings, Spec
from srv.models.own_thread import OwnThread
from srv.models.registry import ModelVersion
from srv.runtime import Runtime
from srv.settings import ServerSettings
from srv.tensors import Tensor
from srv.wire.base64_tensors import NO_OCTETS, Octets

log = logging.getLogger(__name__)


class NoSuchMethod(Unimplemented):
    """A stream was asked of a runtime that has none, or an answer of one that only streams."""

    def __init__(self, model: str, what: str) -> None:
        super().__init__(f"Model '{model}' {what}.")


def prepare(
    model: ModelVersion, runtime: Runtime, *, codecs: Codecs, loop: EventLoop, settings: ServerSettings
) -> None:
    """Give a loaded model what it answers with, and the metadata that follows from settings, runtime and signature.

    Raises BadSignature where predict's arguments cannot be made from a request.
    """
    answering = Answering(runtime, codecs, loop, settings, model.thread)
    routes = read_routes(runtime, answering.execution, answering.threads, settings.root_routes)
    model.answer = answering
    model.stream = answering.stream
    model.wait_idle = answering.execution.wait_idle
    model.waiting = answering.waiting if answering.execution.has_queue or answering.batching is not None else None
    model.octets = answering.octets
    model.routes = routes
    model.metadata = ModelMetadata(
        name=model.name,
        versions=(),
        platform=model.settings.platform or model.settings.runtime or "python",
        inputs=answering.inputs,
        outputs=answering.outputs,
        parameters=dict(runtime.parameters) if not routes else with_routes(runtime, routes),
        any_input_name=answering.any_input_name,
        stream_inputs=answering.stream_inputs,
        base64=answering.base64,
        missing_values=runtime.missing_values,
        nested_parameters=runtime.nested_parameters or runtime.own_codecs,
        max_batch_size=answering.max_batch_size,
        routes=tuple(route.described for route in routes),
        answers=answering.answers,
        streams=answering.streams,
        required=answering.signature.required,
        choices=answering.signature.choices,
        example=runtime.example,
    )


class _Method(msgspec.Struct, frozen=True):
    """One of a runtime's methods, read once at load."""

    call: Callable[..., Any]
    signature: Signature
    check: InputCheck
    encoding: Encoding
    #: The runtime's name of its only input, where a request may use any name for it.
    only_input: str | None = None


_NO_SIGNATURE = Signature(None, None, frozenset(), (), ())


class Answering:
    """Answers requests to one model; called from many threads."""

    def __init__(
        self,
        runtime: Runtime,
        codecs: Codecs,
        loop: EventLoop,
        settings: ServerSettings,
        thread: OwnThread | None = None,
    ) -> None:
        self._mine = mine = declared_for_srv(runtime)
        self.threads = MethodThreads(runtime, thread)
        self._name = mine.name
        self._decoding = Decoding(codecs, mine, None if runtime.own_codecs else runtime.inputs)
        self._writable = runtime.writable_inputs
        self._missing_values = runtime.missing_values
        self._own_codecs = runtime.own_codecs
        self._nested_parameters = runtime.nested_parameters or runtime.own_codecs
        self.execution = execution = Execution(
            mine.name,
            concurrency=1 if thread is not None else _lower(runtime.concurrency, mine.concurrency),
            max_queue=mine.max_queue if mine.max_queue is not None else settings.max_queue,
            timeout=mine.request_timeout or settings.request_timeout,
            loop=loop,
            own_thread=thread is not None,
        )
        self._predict = predict = self._method(runtime, "predict", codecs)
        self._stream = self._method(runtime, "predict_stream", codecs)
        method = self._predict or self._stream
        self.signature = signature = method.signature if method is not None else _NO_SIGNATURE
        self.any_input_name = method is not None and method.only_input is not None
        self.inputs = merged(mine.inputs, runtime.inputs, signature.inputs)
        if self.any_input_name:
            self.inputs = as_one(self.inputs)
        self.outputs = merged(mine.outputs, runtime.outputs, signature.outputs)
        hinted = {**_decoders(self._stream), **_decoders(self._predict)}
        only = method.only_input if method is not None else None
        by_name = BinaryInputs(codecs, self._decoding, hinted, hinted.get(only) if only is not None else None)
        self.octets = Octets(by_name, codecs.is_binary) if not self._own_codecs else NO_OCTETS
        reads_arrays = signature.names is not None or signature.arguments is None
        default = self._decoding.default if reads_arrays and not self._own_codecs else None
        self.inputs = tuple(
            with_content_type(spec, self._decoding.declared(spec.name) or hinted.get(only or spec.name) or default)
            for spec in self.inputs
        )
        self.outputs = tuple(with_content_type(spec, signature.encoders.get(spec.name)) for spec in self.outputs)
        #: The inputs of predict_stream, where the metadata describes those of predict.
        self.stream_inputs: tuple[Spec, ...] | None = None
        if self._predict and self._stream:
            check_read_alike(self._predict.signature, self._stream.signature, self._decoding)
            self.stream_inputs = tuple(
                with_content_type(spec, self._decoding.declared(spec.name) or hinted.get(spec.name))
                for spec in merged(mine.inputs, runtime.inputs, self._stream.signature.inputs)
            )
        #: Content types in the metadata whose tensors are base64 in JSON.
        described = () if self._own_codecs else (*self.inputs, *(self.stream_inputs or ()), *self.outputs)
        self.base64 = base64_types(described, codecs)
        #: Inputs whose metadata tells one of the datatypes and shapes that they may have.
        self.told_only = frozenset(spec.name for spec in signature.inputs) - {spec.name for spec in signature.checked}
        first = self.inputs[0].shape if self.inputs else None
        #: Whether the first length of the first input counts as inferences.
        self.takes_batches = mine.max_batch_size > 0 or (first or (0,))[0] == -1
        self.batching: Batching | None = None
        #: The max_batch_size of the settings, or 0 where requests run one by one whatever the settings say.
        self.max_batch_size = self._most(mine, predict.signature) if predict and mine.max_batch_size > 0 else 0
        if predict is not None and self.max_batch_size > 1:

            def run(request: InferenceRequest, deadline: float | None, stages: Stages) -> InferenceResponse:
                return self._run(request, predict, execution.call, deadline, stages, time.monotonic_ns())

            self.batching = Batching(mine.name, run, execution, most=mine.max_batch_size, max_wait=mine.max_batch_time)
        self._known_outputs = [spec.name for spec in self.outputs] if mine.outputs or runtime.outputs else None

    def __call__(
        self, request: InferenceRequest, deadline: float | None, stages: Stages | None = None
    ) -> InferenceResponse:
        """Return the response to one request, and add to `stages` where its time went.

        Raises InvalidInput, ModelError, QueueFull or DeadlinePassed.
        """
        if self._predict is None:
            raise NoSuchMethod(self._name, "answers with streams only")
        if stages is None:
            stages = Stages()
        began = time.monotonic_ns()
        caller = request.caller
        caller.model, caller.due = self._name, deadline
        self._check(request, self._predict)
        if self.batching is None:
            response = self._run(request, self._predict, self.execution.run, deadline, stages, began)
            stages.executions = 1
        else:
            stages.input += time.monotonic_ns() - began
            response = self.batching.answer(bare(request), deadline, stages)
        stages.elements = request.inputs[0].shape[0] if self.takes_batches and _has_rows(request) else 1
        if request.outputs:
            began = time.monotonic_ns()
            response.outputs = self._selected(request, self._predict, response)
            stages.output += time.monotonic_ns() - began
        return response

    @property
    def answers(self) -> bool:
        """Whether the runtime answers with one response."""
        return self._predict is not None

    @property
    def streams(self) -> bool:
        """Whether the runtime answers with streams."""
        return self._stream is not None

    def waiting(self) -> int:
        """Return how many requests wait for a slot, or for others to run with."""
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
        """Decode a checked request, run the method and encode what that returns; decoding `began` at that time."""
        arguments = self._arguments(request, method)
        read = time.monotonic_ns()
        stages.input += read - began
        queued = stages.queue
        try:
            value = execute(method.call, arguments, request, deadline, stages)
        except SPOKEN:
            raise
        except BaseException as error:  # a panic in Rust is no Exception either
            raise failure_of(self._name, error, "Model '%s' raised while predicting.") from error
        ran = time.monotonic_ns()
        stages.infer += ran - read - (stages.queue - queued)
        response = self._encoded(method, value)
        stages.output += time.monotonic_ns() - ran
        return response

    def stream(
        self, request: InferenceRequest, deadline: float | None, stages: Stages | None = None
    ) -> Generator[InferenceResponse, None, None]:
        """Return the responses to one request, one after the other; the first one comes before the deadline.

        Raises as a call does, before the first response or between two. Closing it ends the runtime's own iterator.
        """
        if self._stream is None:
            raise NoSuchMethod(self._name, "does not answer with streams")
        stages = stages or Stages()
        began = time.monotonic_ns()
        caller = request.caller
        caller.model, caller.due = self._name, deadline
        self._check(request, self._stream)
        arguments = self._arguments(request, self._stream)
        stages.input += time.monotonic_ns() - began
        stages.executions = 1
        stages.elements = request.inputs[0].shape[0] if self.takes_batches and _has_rows(request) else 1
        values = streamed_values(
            self.execution.iterate(self._stream.call, arguments, request, deadline, stages),
            self._name,
            caller,
            stages,
            timeout=self.execution.timeout,
            raised="Model '%s' raised while streaming.",
        )
        with closing(values):
            for value in values:
                ran = time.monotonic_ns()
                response = self._response(request, self._stream, value)
                stages.output += time.monotonic_ns() - ran
                yield response

    def _most(self, mine: ModelSettings, signature: Signature) -> int:
        """Return the settings' max_batch_size, or 0 where an input or output has a first dimension of one length only."""
        fixed = of_one_length(self.inputs, signature)
        if fixed and mine.max_batch_size > 1:
            log.warning("Model '%s' has a max_batch_size, but %s is declared without -1 as the first length; "
                        "its requests run one by one.", self._name, listed(quoted(name) for name in fixed))  # fmt: skip
        return 0 if fixed else mine.max_batch_size

    def _method(self, runtime: Runtime, name: str, codecs: Codecs) -> _Method | None:
        call = getattr(runtime, name, None)
        if call is None:
            return None
        signature = read_signature(call, name, codecs, self._decoding)
        if self._own_codecs and signature.arguments is not None:
            raise ArgumentsUndecoded(type(runtime).__name__, name)
        declared = self._mine
        outputs = (declared.outputs, None if self._own_codecs else runtime.outputs)
        encoding = Encoding(
            codecs,
            signature,
            declared_codecs(codecs, *outputs, kind="output"),
            method=name,
            due={spec.name for spec in merged(*outputs)},
        )
        only = only_input(declared.inputs, runtime.inputs, signature) if runtime.any_input_name else None
        check_declared([*(declared.inputs or ()), *(runtime.inputs or ())], signature, name, only)
        bound = self.threads.bound_stream(call) if name == "predict_stream" else self.threads.bound(call)
        if only is None:
            return _Method(bound, signature, input_check(declared.inputs, signature), encoding)
        check = input_check_of_any_name(declared.inputs, signature, only)
        if self._decoding.share([spec.name for spec in merged(declared.inputs, runtime.inputs)], only):
            signature = read_signature(call, name, codecs, self._decoding)
        return _Method(bound, signature, check, encoding, only)

    def _check(self, request: InferenceRequest, method: _Method) -> None:
        """Raise InvalidInput where a request cannot be for this method."""
        if not self._nested_parameters:
            check_parameters(request)
        if not self._own_codecs:
            self._decoding.check(request)
        method.check(request)
        if not self._missing_values:
            for tensor in request.inputs:
                if tensor.missing:
                    raise MissingValue(tensor)
        if method.only_input is not None:
            request.inputs = [tensor.named(method.only_input) for tensor in request.inputs]
        if request.outputs and not self._own_codecs:
            method.encoding.check(request)
            if self._known_outputs is not None:
                check_outputs(request, self._known_outputs)
        request.decoder = self._decoding.value

    def _arguments(self, request: InferenceRequest, method: _Method) -> Mapping[str, Any] | None:
        """Return the arguments of a method, or None for one that takes the request as it is."""
        if self._writable:
            request.inputs = [tensor.copied() for tensor in request.inputs]
        arguments = method.signature.arguments
        if arguments is None:
            return None
        try:
            return arguments(request)
        except SPOKEN:
            raise
        except BaseException as error:  # a codec, or a dataclass's own check, may raise anything
            raise failure_of(self._name, error, "Model '%s': an input could not be read.") from error

    def _response(self, request: InferenceRequest, method: _Method, value: object) -> InferenceResponse:
        response = self._encoded(method, value)
        response.outputs = self._selected(request, method, response)
        return response

    def _selected(self, request: InferenceRequest, method: _Method, response: InferenceResponse) -> Sequence[Tensor]:
        """Return the outputs that the request asks for, in its form unless the runtime has codecs of its own.

        Logs and raises OutputNotGiven where the model lacks one that it declares.
        """
        if self._own_codecs:
            return select_outputs(request, response)
        try:
            return method.encoding.selected(request, response)
        except ModelError as error:
            log.error("Model '%s': %s", self._name, error)  # noqa: TRY400  the sentence says it all
            raise

    def _encoded(self, method: _Method, value: object) -> InferenceResponse:
        try:
            response = method.encoding.response(value)
            check_response(response)
        except ModelError as error:
            log.error("Model '%s': %s", self._name, error)  # noqa: TRY400  the sentence says it all
            raise
        except BaseException as error:  # a value's own methods may raise anything
            raise failure_of(self._name, error, "What model '%s' returned could not be encoded.") from error
        return response


def _decoders(method: _Method | None) -> Mapping[str, InputCodec]:
    return method.signature.decoders if method is not None else {}


def _has_rows(request: InferenceRequest) -> bool:
    return bool(request.inputs and request.inputs[0].shape)


def _lower(first: int | None, second: int | None) -> int | None:
    return min((one for one in (first, second) if one is not None), default=None)

"""Conformance of runtimes: what every runtime must do, as one assertion for its tests."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from srv.datatypes import DATATYPES
from srv.errors import LoadFailed
from srv.inference.batching.merging import batch_key, merged, rows_of, split
from srv.inference.pipeline import Answering
from srv.messages import InferenceRequest, InferenceResponse
from srv.model_settings import Spec
from srv.models.registry import ModelVersion
from srv.runtime import Runtime
from srv.tensors import Tensor
from srv.testing.answers import Answer
from srv.testing.comparing import differences, fits, shown, unlike
from srv.testing.edge_cases import edge_case_requests, variants
from srv.testing.folders import NOTHING, Content, Given, model
from srv.testing.in_process import Client
from srv.testing.log_capture import CapturedErrors, captured_errors
from srv.testing.requests import Asked, as_request
from srv.testing.streaming import Streamed, events_of
from srv.testing.thread_stress import run_in_threads
from srv.testing.transports import FORMS, Form, GrpcStream, Stream
from srv.testing.unloading import watched

MODEL = "conforming"
_ROUNDS = 5
#: Seconds that an unload may take.
_UNLOAD_PATIENCE = 60.0


class DoesNotConform(AssertionError):
    """A runtime breaks a rule of the conformance check; the sentence says which, and what its author can do."""

    def __init__(self, runtime: str, what: str, advice: str, log: str = "") -> None:
        said = f"\nThe server's log: {log}" if log else ""
        super().__init__(f"{runtime} {what}.\n{advice}{said}")


def assert_runtime_conforms(
    runtime: type[Runtime] | str,
    *,
    request: Asked,
    expected: Mapping[str, Any] | Sequence[Mapping[str, Any]] = NOTHING,
    wrong: Sequence[Asked] = (),
    files: Mapping[str, Content] = NOTHING,
    settings: Mapping[str, Any] = NOTHING,
    beside: Sequence[Given] = (),
    deterministic: bool = True,
    threads: int = 8,
    forms: Sequence[Form] = FORMS,
) -> None:
    """Serve a model of this runtime in process, and hold it to what every runtime must do.

    `runtime` is the class, or a registered name, which tests the entry point too. The model must answer `request` with the
    outputs in `expected`; for a runtime that has `predict_stream` alone, that is a list with the outputs of each response.
    Each of `wrong` it must refuse with a 4xx. `files` and `settings` are those of the model, as `srv.testing.model` takes
    them; `beside` are the models that it asks. Say `deterministic=False` for a model whose answers to the same request differ.

    Checked are: the answer, in each form that carries it; the metadata against what is taken and given; every declared
    output; empty, missing, null, misshapen and mistyped inputs, none of which may be a 5xx; `threads` threads at once;
    a reload, an unload and a load after it; with a `max_batch_size` in `settings` also that a batch's rows are answered as
    each alone. Raises an AssertionError that says what to do.
    """
    given = model(runtime, name=MODEL, files=files, **settings)
    title = runtime if isinstance(runtime, str) else runtime.__name__
    with captured_errors() as log, _served(title, [given, *beside], log) as client:
        bench = _Bench(title, client, forms, log, deterministic=deterministic, expected=expected)
        if bench.only_streams() and forms is FORMS:
            bench.forms, bench.forms_of_good = (Stream(),), (Stream(), GrpcStream())
        elif not isinstance(expected, Mapping):
            raise TypeError("expected is a mapping of outputs by name; a list is for runtimes that only stream.")
        good = as_request(request)
        bench.check_good(good)
        bench.check_metadata(good)
        bench.check_outputs(good)
        with warnings.catch_warnings():
            # Because a warning about a stranger's input is for the log, and here it would become an exception.
            warnings.simplefilter("ignore")
            for what, unusual in edge_case_requests(good):
                bench.check_survives(what, unusual)
            bench.check_null(good)
            for place, asked in enumerate(wrong):
                bench.check_refuses(f"wrong[{place}]", as_request(asked))
            bench.check_still_right("after requests that are wrong")
            bench.learn_variants()
            bench.check_batches()
            bench.check_threads(threads)
        bench.check_reload()


@contextmanager
def _served(title: str, given: Sequence[Given], log: CapturedErrors) -> Iterator[Client]:
    try:
        client = Client.of(*given)
    except LoadFailed as error:
        advice = "Check `files` and `settings`, and what `load` and the arguments of `predict` need."
        raise DoesNotConform(title, f"was not loaded: {error}".rstrip("."), advice, log.last_error()) from error
    with client:
        yield client


@dataclass
class _Bench:
    """The runtime under test, served in process."""

    title: str
    client: Client
    forms: Sequence[Form]
    log: CapturedErrors
    deterministic: bool
    expected: Mapping[str, Any] | Sequence[Mapping[str, Any]]
    #: Requests and their right answers, once they are known.
    known: list[tuple[InferenceRequest, InferenceResponse]] = field(default_factory=list)
    #: The forms for requests that must be answered, where some of them carry no code of a refusal; empty for `forms`.
    forms_of_good: Sequence[Form] = ()

    def only_streams(self) -> bool:
        """Whether the runtime has predict_stream and no predict."""
        return not callable(getattr(self.running().runtime, "predict", None))

    def fail(self, what: str, advice: str) -> DoesNotConform:
        """Return the failure to raise, with the exception that the log holds."""
        return DoesNotConform(self.title, what, advice, self.log.last_error())

    def ask(self, request: InferenceRequest, form: Form | None = None) -> Answer:
        """Ask in one form, the first that carries the request if none is said."""
        self.log.clear()
        chosen = form or next(form for form in self.forms if form.carries(request))
        return chosen.infer(self.client, MODEL, request)

    def running(self) -> ModelVersion:
        """The model as the server keeps it."""
        return self.client.assembled.registry.find(MODEL)

    def answering(self) -> Answering:
        """The object that answers the model's requests."""
        answering = self.running().answer
        assert isinstance(answering, Answering)
        return answering

    # -- right requests ------------------------------------------------------------------------------------------------

    def check_good(self, good: InferenceRequest) -> None:
        """Check that the request is answered rightly, twice the same, in every form."""
        carrying = [form for form in self.forms_of_good or self.forms if form.carries(good)]
        if not carrying:
            names = ", ".join(form.name for form in self.forms)
            raise self.fail(f"cannot be tried with `request`, which none of {names} carries", "Give another request.")
        for form in carrying:
            answer = self.ask(good, form)
            if not answer.ok:
                advice = "`request` must be one that the model answers, and an exception in predict is always a 500."
                raise self.fail(f"answers `request` in {form.name} with {answer}", advice)
            if isinstance(answer, Streamed):
                self._check_stream(answer.responses, form)
            else:
                self._check_expected(answer.response, self.expected, form)
        first = self.ask(good).response
        second = self.ask(good).response
        changed = differences(second, first)
        if self.deterministic and changed:
            advice = (
                "Keep nothing of a request in the runtime, and do not change its arrays. Where answers are meant to "
                "differ, such as samples of a distribution, say deterministic=False."
            )
            raise self.fail(f"answers the same request differently the second time: {changed}", advice)
        self.known = [(good, first)]

    def _check_stream(self, responses: Sequence[InferenceResponse], form: Form) -> None:
        expected = [self.expected] if isinstance(self.expected, Mapping) else self.expected
        if isinstance(self.expected, Mapping) and not self.expected:
            return
        if len(responses) != len(expected):
            says = f"gives in {form.name} {len(responses)} responses and not {len(expected)}"
            raise self.fail(says, "See `expected`: a list with the outputs of each response.")
        for response, outputs in zip(responses, expected, strict=True):
            self._check_expected(response, outputs, form)

    def _check_expected(
        self, response: InferenceResponse, expected: Mapping[str, Any] | Sequence[Mapping[str, Any]], form: Form
    ) -> None:
        given = {tensor.name: tensor for tensor in response.outputs}
        for name, values in expected.items() if isinstance(expected, Mapping) else ():
            if name not in given:
                has = ", ".join(given) or "none"
                raise self.fail(f"gives no output '{name}', which is expected; it gives {has}", "See `expected`.")
            wrong = unlike(given[name], values)
            if wrong:
                raise self.fail(f"gives in {form.name} something else than is expected: {wrong}", "See `expected`.")

    def check_metadata(self, good: InferenceRequest) -> None:
        """Check that the declared inputs and outputs are those that were taken and given."""
        answer = self.client.metadata(MODEL)
        if not answer.ok:
            advice = "self.inputs, self.outputs and self.parameters must be Specs and plain values that JSON can say."
            raise self.fail(f"has metadata that cannot be told: {answer}", advice)
        metadata = self.client.assembled.dataplane.metadata(MODEL)
        declaring = "Declare what is true, in the hints of predict, in self.inputs or self.outputs, or in the settings."
        for spec in (*metadata.inputs, *metadata.outputs):
            if not spec.name or spec.datatype not in (None, *DATATYPES):
                raise self.fail(f"declares {spec}, which no client can read", "Give each Spec a name and a datatype.")
        runtime = self.running().runtime
        assert runtime is not None
        values = self.answering().told_only
        specs = [spec for spec in metadata.inputs if spec.name not in values]
        by_name = {*inspect.signature(getattr(runtime, "predict", None) or runtime.predict_stream).parameters, *values}
        self._check_declared(
            "takes", "input", good.inputs, specs, by_name if runtime.inputs is not None else None, declaring
        )
        given = self.known[0][1].outputs
        whole = set[str]() if runtime.outputs is not None else None
        self._check_declared("gives", "output", given, metadata.outputs, whole, declaring)

    def _check_declared(
        self,
        verb: str,
        noun: str,
        tensors: Sequence[Tensor],
        specs: Sequence[Spec],
        may_be_open: set[str] | None,
        advice: str,
    ) -> None:
        """Tensors against Specs; a tensor without one counts where the list is meant to be whole."""
        declared = {spec.name: spec for spec in specs}
        for tensor in tensors:
            spec = declared.get(tensor.name)
            if spec is None:
                if may_be_open is not None and tensor.name not in may_be_open:
                    names = ", ".join(declared) or "none"
                    raise self.fail(f"{verb} the {noun} '{tensor.name}', but declares {names}", advice)
            elif not fits(tensor, spec):
                raise self.fail(
                    f"{verb} '{tensor.name}' as {tensor.datatype} {list(tensor.shape)}, but declares {shown(spec)}",
                    advice,
                )

    def check_outputs(self, good: InferenceRequest) -> None:
        """Check that each declared output comes when it is asked for."""
        for spec in self.client.assembled.dataplane.metadata(MODEL).outputs:
            asked = as_request(good.inputs, outputs=[spec.name], parameters=good.parameters)
            answer = self.ask(asked)
            advice = "Leave it out of the declared outputs, or give it to whoever asks for it in request.outputs."
            if not answer.ok:
                raise self.fail(f"declares the output '{spec.name}' and answers who asks for it with {answer}", advice)
            for output in answer.response.outputs:
                if not fits(output, spec):
                    raise self.fail(
                        f"gives '{output.name}' as {output.datatype} {list(output.shape)}, but declares {shown(spec)}",
                        "Declare what is true.",
                    )

    # -- wrong requests ------------------------------------------------------------------------------------------------

    def check_survives(self, what: str, request: InferenceRequest) -> None:
        """Check that a request which may be wrong is answered, or refused as the client's fault."""
        for form in self.forms:
            if form.carries(request):
                self._check_no_fault(what, self.ask(request, form), form.name)

    def check_refuses(self, what: str, request: InferenceRequest) -> None:
        """Check that a wrong request is refused as the client's fault."""
        for form in self.forms:
            if not form.carries(request):
                continue
            answer = self.ask(request, form)
            self._check_no_fault(what, answer, form.name)
            if answer.ok:
                advice = "Raise srv.InvalidInput with a sentence that names the input, or declare `inputs`."
                raise self.fail(f"answers {what} in {form.name} with {answer.status}, and should refuse it", advice)

    def check_null(self, good: InferenceRequest) -> None:
        """Check that null is NaN in floats and refused elsewhere, and breaks no model."""
        inputs = [
            {"name": one.name, "datatype": one.datatype, "shape": one.shape, "data": [None] * one.data.size}
            for one in good.inputs
        ]
        self.log.clear()
        path = f"/v2/models/{MODEL}/{'infer_stream' if self.only_streams() else 'infer'}"
        answer = self.client.post(path, {"inputs": inputs, "parameters": {**good.parameters}})
        for each in events_of(answer):
            self._check_no_fault("null for every value", each, "JSON")

    def _check_no_fault(self, what: str, answer: Answer, form: str) -> None:
        if answer.status >= 500:
            advice = (
                "A client's mistake is a 4xx: look at the inputs before using them and raise srv.InvalidInput with a "
                "sentence that names the input, or declare `inputs` with datatypes and shapes, so that srv checks them."
            )
            raise self.fail(f"answers {what} in {form} with {answer}", advice)

    # -- again, at once, anew ------------------------------------------------------------------------------------------

    def check_still_right(self, when: str) -> None:
        """Check that what was answered before is answered the same."""
        for request, right in self.known:
            answer = self.ask(request)
            if not answer.ok:
                raise self.fail(f"answers `request` with {answer} {when}", "It answered it before: what has changed?")
            changed = differences(answer.response, right)
            if self.deterministic and changed:
                advice = "Keep nothing of a request in the runtime or in its class, and do not change its arrays."
                raise self.fail(f"answers differently {when}: {changed}", advice)

    def check_threads(self, count: int) -> None:
        """Check that several threads at once get each their own answer."""
        tasks = [
            (form, request, right) for request, right in self.known for form in self.forms if form.carries(request)
        ]
        faults: list[str] = []

        def ask(first: int) -> None:
            for number in range(first, first + _ROUNDS * len(tasks)):
                form, request, right = tasks[number % len(tasks)]
                answer = form.infer(self.client, MODEL, request)
                fault = differences(answer.response, right) if answer.ok else f"one gets {answer}"
                if fault and (self.deterministic or not answer.ok):
                    faults.append(fault)
                    return

        self.log.clear()
        run_in_threads(ask, count)
        if faults:
            advice = (
                "predict is called from several threads at once: keep what belongs to one request in local variables. "
                "A model that cannot bear it says `concurrency = 1`."
            )
            raise self.fail(f"answers wrongly when {count} threads ask at once: {faults[0]}", advice)

    def check_batches(self) -> None:
        """Check that the rows of several requests in a batch are answered as those of each alone."""
        first = batch_key(self.known[0][0])
        alike = [known for known in self.known if rows_of(known[0]) and batch_key(known[0]) == first]
        if self.answering().batching is None or not alike:
            return
        answer = self.ask(merged([request for request, _ in alike]))
        faults = [f"they get {answer}"]
        if answer.ok:
            parts = split(answer.response, [rows_of(request) or 0 for request, _ in alike])
            faults = [differences(part, right) for part, (_, right) in zip(parts, alike, strict=True)]
        if any(faults) and (self.deterministic or not answer.ok):
            advice = "predict must treat each row by itself, or the model has no max_batch_size."
            fault = next(filter(None, faults))
            raise self.fail(f"answers {len(alike)} requests as one differently than each alone: {fault}", advice)

    def learn_variants(self) -> None:
        """Collect more right answers, so that one thread's can be told from another's."""
        for request in variants(self.known[0][0]):
            if not any(form.carries(request) for form in self.forms):
                continue
            answer, again = self.ask(request), self.ask(request)
            if answer.ok and again.ok and not (self.deterministic and differences(again.response, answer.response)):
                self.known.append((request, answer.response))

    def check_reload(self) -> None:
        """Reload the model while it serves, unload it, and load it again."""
        loader, settings = self.client.assembled.loader, self.running().settings
        watch = watched(self.running())
        self._load("while it served")
        self._check_unloaded(watch, "after another was loaded in its place")
        self.check_still_right("after it was loaded anew")
        watch = watched(self.running())
        self.log.clear()
        loader.unload(self.running())
        self._check_unloaded(watch, "when it was to be unloaded")
        answer = self.ask(self.known[0][0])
        if answer.status not in (404, 503):
            raise self.fail(
                f"answers with {answer.status} once it is unloaded", "This is srv's fault: please report it."
            )
        self._load("after it was unloaded", settings)
        self.check_still_right("after it was unloaded and loaded again")

    def _load(self, when: str, settings: Any = None) -> None:
        self.log.clear()
        try:
            self.client.assembled.loader.load(settings or self.running().settings)
        except LoadFailed as error:
            advice = (
                "load must work as often as it is called, beside another instance of the class and after it is gone."
            )
            raise self.fail(f"could not be loaded again {when}: {error}".rstrip("."), advice) from error

    def _check_unloaded(self, outcomes: list[str], when: str) -> None:
        self.client.assembled.loader.wait_gone(seconds=_UNLOAD_PATIENCE)
        if outcomes != [""]:
            said = outcomes[0] if outcomes else "it was not called"
            advice = "unload is called once, after the last predict has returned, and must let go of what load took."
            raise self.fail(f"failed in unload {when}: {said}", advice)

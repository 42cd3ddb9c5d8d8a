"""What every runtime must do, as one assertion for its tests."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from srv.errors import LoadFailed
from srv.merging import divided, likeness_of, merged, rows_of
from srv.messages import InferenceRequest, InferenceResponse
from srv.modelsettings import DATATYPES, Spec
from srv.registry import Model
from srv.runtime import Runtime
from srv.tensors import Tensor
from srv.testing.answers import Answer
from srv.testing.asking import Asked, as_request
from srv.testing.clients import Client
from srv.testing.comparing import differences, unlike
from srv.testing.folders import NOTHING, Content, GivenModel, model
from srv.testing.forms import FORMS, Form
from srv.testing.hearing import Heard, heard
from srv.testing.restless import restless
from srv.testing.unusual import unusual_requests, variants

MODEL = "conforming"
_ROUNDS = 5


class DoesNotConform(AssertionError):
    """What a runtime does and must not, and what its author can do about it."""

    def __init__(self, runtime: str, what: str, advice: str, heard: str = "") -> None:
        said = f"\nThe server's log: {heard}" if heard else ""
        super().__init__(f"{runtime} {what}.\n{advice}{said}")


def assert_runtime_conforms(
    runtime: type[Runtime] | str,
    *,
    request: Asked,
    expected: Mapping[str, Any] = NOTHING,
    wrong: Sequence[Asked] = (),
    files: Mapping[str, Content] = NOTHING,
    settings: Mapping[str, Any] = NOTHING,
    deterministic: bool = True,
    threads: int = 8,
    forms: Sequence[Form] = FORMS,
) -> None:
    """Serve a model of this runtime in process, and hold it to what every runtime must do.

    `runtime` is the class, or a registered name, which tests the entry point too. `request` is one that the model must
    answer, with the outputs that `expected` names; each of `wrong` it must refuse with a 4xx. `files` and `settings`
    are those of the model, as `srv.testing.model` takes them. Say `deterministic=False` for a model whose answers to
    the same request differ.

    Checked are: the answer, in each form that carries it; the metadata against what is taken and given; every declared
    output; empty, missing, null, misshapen and mistyped inputs, none of which may be a 5xx; `threads` threads at once;
    a reload, an unload and a load after it; with a `max_batch_size` in `settings` also that a batch's rows are answered as
    each alone. Raises an AssertionError that says what to do.
    """
    given = model(runtime, name=MODEL, files=files, **settings)
    title = runtime if isinstance(runtime, str) else runtime.__name__
    with heard() as log, _served(title, given, log) as client:
        bench = _Bench(title, client, forms, log, deterministic=deterministic, expected=expected)
        good = as_request(request)
        bench.check_good(good)
        bench.check_metadata(good)
        bench.check_outputs(good)
        with warnings.catch_warnings():
            # Because a warning about a stranger's input is for the log, and here it would become an exception.
            warnings.simplefilter("ignore")
            for what, unusual in unusual_requests(good):
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
def _served(title: str, given: GivenModel, log: Heard) -> Iterator[Client]:
    try:
        client = Client.of(given)
    except LoadFailed as error:
        advice = "Check `files` and `settings`, and what `load` and the arguments of `predict` need."
        raise DoesNotConform(title, f"was not loaded: {error}".rstrip("."), advice, log.told()) from error
    with client:
        yield client


@dataclass
class _Bench:
    """One runtime being tried."""

    title: str
    client: Client
    forms: Sequence[Form]
    log: Heard
    deterministic: bool
    expected: Mapping[str, Any]
    #: Requests and their right answers, once they are known.
    known: list[tuple[InferenceRequest, InferenceResponse]] = field(default_factory=list)

    def fail(self, what: str, advice: str) -> DoesNotConform:
        """The failure to raise, with the exception that the log holds."""
        return DoesNotConform(self.title, what, advice, self.log.told())

    def ask(self, request: InferenceRequest, form: Form | None = None) -> Answer:
        """Ask in one form, the first that carries the request if none is said."""
        self.log.forget()
        chosen = form or next(form for form in self.forms if form.carries(request))
        return chosen.infer(self.client, MODEL, request)

    def running(self) -> Model:
        """The model as the server keeps it."""
        return self.client.assembled.registry.find(MODEL)

    # -- right requests ------------------------------------------------------------------------------------------------

    def check_good(self, good: InferenceRequest) -> None:
        """The request is answered, rightly, twice the same, in every form."""
        carrying = [form for form in self.forms if form.carries(good)]
        if not carrying:
            names = ", ".join(form.name for form in self.forms)
            raise self.fail(f"cannot be tried with `request`, which none of {names} carries", "Give another request.")
        for form in carrying:
            answer = self.ask(good, form)
            if not answer.ok:
                advice = "`request` must be one that the model answers, and an exception in predict is always a 500."
                raise self.fail(f"answers `request` in {form.name} with {answer}", advice)
            self._check_expected(answer.response, form)
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

    def _check_expected(self, response: InferenceResponse, form: Form) -> None:
        given = {tensor.name: tensor for tensor in response.outputs}
        for name, values in self.expected.items():
            if name not in given:
                has = ", ".join(given) or "none"
                raise self.fail(f"gives no output '{name}', which is expected; it gives {has}", "See `expected`.")
            wrong = unlike(given[name], values)
            if wrong:
                raise self.fail(f"gives in {form.name} something else than is expected: {wrong}", "See `expected`.")

    def check_metadata(self, good: InferenceRequest) -> None:
        """What is declared is what was taken and given."""
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
        by_name = set(inspect.signature(runtime.predict).parameters)
        self._check_declared(
            "takes", "input", good.inputs, metadata.inputs, by_name if runtime.inputs is not None else None, declaring
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
            elif not _fits(tensor, spec):
                raise self.fail(
                    f"{verb} '{tensor.name}' as {tensor.datatype} {list(tensor.shape)}, but declares {_shown(spec)}",
                    advice,
                )

    def check_outputs(self, good: InferenceRequest) -> None:
        """Each declared output comes when it is asked for."""
        for spec in self.client.assembled.dataplane.metadata(MODEL).outputs:
            asked = as_request(good.inputs, outputs=[spec.name], parameters=good.parameters)
            answer = self.ask(asked)
            advice = "Leave it out of the declared outputs, or give it to whoever asks for it in request.outputs."
            if not answer.ok:
                raise self.fail(f"declares the output '{spec.name}' and answers who asks for it with {answer}", advice)
            [output] = answer.response.outputs
            if not _fits(output, spec):
                raise self.fail(
                    f"gives '{output.name}' as {output.datatype} {list(output.shape)}, but declares {_shown(spec)}",
                    "Declare what is true.",
                )

    # -- wrong requests ------------------------------------------------------------------------------------------------

    def check_survives(self, what: str, request: InferenceRequest) -> None:
        """A request that may be wrong is answered or refused, and is nobody else's fault."""
        for form in self.forms:
            if form.carries(request):
                self._check_no_fault(what, self.ask(request, form), form.name)

    def check_refuses(self, what: str, request: InferenceRequest) -> None:
        """A request that is wrong is refused as the client's fault."""
        for form in self.forms:
            if not form.carries(request):
                continue
            answer = self.ask(request, form)
            self._check_no_fault(what, answer, form.name)
            if answer.ok:
                advice = "Raise srv.InvalidInput with a sentence that names the input, or declare `inputs`."
                raise self.fail(f"answers {what} in {form.name} with {answer.status}, and should refuse it", advice)

    def check_null(self, good: InferenceRequest) -> None:
        """JSON's null is NaN in floats and refused elsewhere; neither breaks a model."""
        inputs = [
            {"name": one.name, "datatype": one.datatype, "shape": one.shape, "data": [None] * one.data.size}
            for one in good.inputs
        ]
        self.log.forget()
        answer = self.client.post(f"/v2/models/{MODEL}/infer", {"inputs": inputs, "parameters": {**good.parameters}})
        self._check_no_fault("null for every value", answer, "JSON")

    def _check_no_fault(self, what: str, answer: Answer, form: str) -> None:
        if answer.status >= 500:
            advice = (
                "A client's mistake is a 4xx: look at the inputs before using them and raise srv.InvalidInput with a "
                "sentence that names the input, or declare `inputs` with datatypes and shapes, so that srv checks them."
            )
            raise self.fail(f"answers {what} in {form} with {answer}", advice)

    # -- again, at once, anew ------------------------------------------------------------------------------------------

    def check_still_right(self, when: str) -> None:
        """What was answered before is answered the same."""
        for request, right in self.known:
            answer = self.ask(request)
            if not answer.ok:
                raise self.fail(f"answers `request` with {answer} {when}", "It answered it before: what has changed?")
            changed = differences(answer.response, right)
            if self.deterministic and changed:
                advice = "Keep nothing of a request in the runtime or in its class, and do not change its arrays."
                raise self.fail(f"answers differently {when}: {changed}", advice)

    def check_threads(self, count: int) -> None:
        """Several threads at once get each their own answer."""
        tasks = [
            (form, request, right) for request, right in self.known for form in self.forms if form.carries(request)
        ]
        faults: list[str] = []

        def ask(first: int) -> None:
            for turn in range(first, first + _ROUNDS * len(tasks)):
                form, request, right = tasks[turn % len(tasks)]
                answer = form.infer(self.client, MODEL, request)
                fault = differences(answer.response, right) if answer.ok else f"one gets {answer}"
                if fault and (self.deterministic or not answer.ok):
                    faults.append(fault)
                    return

        self.log.forget()
        restless(ask, count)
        if faults:
            advice = (
                "predict is called from several threads at once: keep what belongs to one request in local variables. "
                "A model that cannot bear it says `concurrency = 1`."
            )
            raise self.fail(f"answers wrongly when {count} threads ask at once: {faults[0]}", advice)

    def check_batches(self) -> None:
        """Where the model batches, the rows of several requests are answered as those of each alone."""
        first = likeness_of(self.known[0][0])
        alike = [known for known in self.known if rows_of(known[0]) and likeness_of(known[0]) == first]
        if self.running().settings.max_batch_size <= 1 or not alike:
            return
        answer = self.ask(merged([request for request, _ in alike]))
        faults = [f"they get {answer}"]
        if answer.ok:
            parts = divided(answer.response, [rows_of(request) or 0 for request, _ in alike])
            faults = [differences(part, right) for part, (_, right) in zip(parts, alike, strict=True)]
        if any(faults) and (self.deterministic or not answer.ok):
            advice = "predict must treat each row by itself, or the model has no max_batch_size."
            fault = next(filter(None, faults))
            raise self.fail(f"answers {len(alike)} requests as one differently than each alone: {fault}", advice)

    def learn_variants(self) -> None:
        """More right answers, so that one thread's can be told from another's."""
        for request in variants(self.known[0][0]):
            if not any(form.carries(request) for form in self.forms):
                continue
            answer, again = self.ask(request), self.ask(request)
            if answer.ok and again.ok and not (self.deterministic and differences(again.response, answer.response)):
                self.known.append((request, answer.response))

    def check_reload(self) -> None:
        """Load it anew while it serves, unload it, load it again."""
        loader, settings = self.client.assembled.loader, self.running().settings
        watch = _watched(self.running())
        self._load("while it served")
        self._check_unloaded(watch, "after another was loaded in its place")
        self.check_still_right("after it was loaded anew")
        watch = _watched(self.running())
        self.log.forget()
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
        self.log.forget()
        try:
            self.client.assembled.loader.load(settings or self.running().settings)
        except LoadFailed as error:
            advice = (
                "load must work as often as it is called, beside another instance of the class and after it is gone."
            )
            raise self.fail(f"could not be loaded again {when}: {error}".rstrip("."), advice) from error

    def _check_unloaded(self, outcomes: list[str], when: str) -> None:
        if outcomes != [""]:
            said = outcomes[0] if outcomes else "it was not called"
            advice = "unload is called once, after the last predict has returned, and must let go of what load took."
            raise self.fail(f"failed in unload {when}: {said}", advice)


def _watched(model: Model) -> list[str]:
    """A list that will hold the outcome of each call of the running instance's unload: nothing, or what it raised."""
    runtime = model.runtime
    assert runtime is not None
    outcomes: list[str] = []
    unload: Callable[[], Any] = runtime.unload

    def watched() -> Any:
        try:
            outcome = unload()
        except Exception as error:
            outcomes.append(f"{type(error).__name__}: {error}")
            raise
        if inspect.iscoroutine(outcome):
            return awaited(outcome)
        outcomes.append("")
        return outcome

    async def awaited(outcome: Any) -> None:
        try:
            await outcome
        except Exception as error:
            outcomes.append(f"{type(error).__name__}: {error}")
            raise
        outcomes.append("")

    runtime.unload = watched  # type: ignore[method-assign]  # of this instance only, to see it called
    return outcomes


def _fits(tensor: Tensor, spec: Spec) -> bool:
    if spec.datatype not in (None, tensor.datatype):
        return False
    if spec.shape is None:
        return True
    return len(spec.shape) == len(tensor.shape) and all(
        wanted in (-1, length) for wanted, length in zip(spec.shape, tensor.shape, strict=True)
    )


def _shown(spec: Spec) -> str:
    shape = "of any shape" if spec.shape is None else str(list(spec.shape))
    return f"{spec.datatype or 'any datatype'} {shape}"

"""Round trips of a codec's values to a server and back, and of requests that must be refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, get_args, get_origin

from srv.codecs import Codecs
from srv.discovery import PluginKind
from srv.errors import InvalidInput
from srv.messages import InferenceRequest, InferenceResponse
from srv.runtime import Runtime
from srv.tensors import DTYPES, Tensor
from srv.testing.codec_carriers import INPUT, Codec, OneTensor, Way, WholeRequest
from srv.testing.edge_cases import samples
from srv.testing.folders import model
from srv.testing.in_process import Client
from srv.testing.isolation import isolated_plugins
from srv.testing.thread_stress import run_in_threads
from srv.testing.transports import Form

MODEL = "echo"
_ROUNDS = 20


class DoesNotRoundTrip(AssertionError):
    """A codec breaks a rule of the conformance check; the sentence says which, and what its author can do."""

    def __init__(self, codec: Codec, what: str, advice: str) -> None:
        super().__init__(f"{type(codec).__name__} {what}.\n{advice}")


class Trip:
    """The round trips of one codec's values."""

    def __init__(
        self,
        codec: Codec,
        way: Way,
        values: Sequence[Any],
        wrong: Sequence[Tensor | InferenceRequest],
        same: Callable[[Any, Any], bool],
        forms: Sequence[Form],
    ) -> None:
        self._codec = codec
        self._way = way
        self._values = values
        self._wrong = [(f"wrong[{place}]", read) for place, one in enumerate(wrong) if (read := way.wrong(one))]
        self._same = same
        self._forms = forms

    def check(self, threads: int) -> None:
        """Check every value alone, then over the wire, then the faulty requests, then several threads."""
        for value in self._values:
            self._check_encoded(value)
        with _echo(self._codec, self._way) as client:
            for value in self._values:
                self._check_wire(client, value)
            self._check_any_tensor()
            for what, request in self._wrong:
                self._check_refused(client, what, request)
        self._check_threads(threads)

    def _fail(self, what: str, advice: str) -> DoesNotRoundTrip:
        return DoesNotRoundTrip(self._codec, what, advice)

    def _check_encoded(self, value: Any) -> None:
        request, response = self._encoded(value, self._way.request), self._encoded(value, self._way.response)
        for message in (request, response):
            said = self._way.content_type(message)
            if said != self._codec.content_type:
                raise self._fail(
                    f"encodes {short(value)} with content_type {said!r} and not {self._codec.content_type!r}",
                    self._way.advice,
                )
        names = [tensor.name for tensor in request.inputs]
        if isinstance(self._way, OneTensor) and names != [INPUT]:
            raise self._fail(
                f"encodes a tensor called {names[0]!r} where encode({INPUT!r}, ...) asked", self._way.advice
            )
        datatype = getattr(self._codec, "datatype", None)
        if datatype is not None and request.inputs[0].datatype != datatype:
            raise self._fail(
                f"encodes {short(value)} as {request.inputs[0].datatype}, and its class says {datatype}",
                "Set datatype to what all its tensors are, or leave it None.",
            )
        decoded = self._decoded(f"{short(value)} as it encoded it", request, self._way.of_request)
        self._check_same(value, decoded, "by itself")
        self._check_hint(decoded)

    def _encoded(self, value: Any, encode: Callable[[Any], Any]) -> Any:
        try:
            return encode(value)
        except Exception as error:
            raise self._fail(
                f"raises {type(error).__name__} for {short(value)}, which it says that it can encode: {error}",
                "Encode it, or let can_encode answer False.",
            ) from error

    def _decoded(self, what: str, message: Any, decode: Callable[[Any], Any]) -> Any:
        try:
            return decode(message)
        except Exception as error:
            raise self._fail(
                f"raises {type(error).__name__} for {what}: {error}", "What it encodes it must decode."
            ) from error

    def _check_same(self, value: Any, decoded: Any, where: str) -> None:
        if not self._same(decoded, value):
            raise self._fail(
                f"makes {short(decoded)} of {short(value)} {where}",
                "What is decoded must be what was encoded. Where another kind of sameness is meant, give `same`.",
            )

    def _check_hint(self, decoded: Any) -> None:
        hint = self._codec.type_hint
        kind = type(decoded)
        fits = hint in _names(kind) if isinstance(hint, str) else _is_instance(decoded, hint)
        if not fits:
            raise self._fail(
                f"decodes to {kind.__module__}.{kind.__qualname__}, and its type_hint is {hint!r}",
                "Set type_hint to what decode gives: arguments of predict are hinted with it.",
            )

    def _check_wire(self, client: Client, value: Any) -> None:
        request = self._way.request(value)
        carrying = [form for form in self._forms if form.carries(request)]
        if not carrying:
            names = ", ".join(form.name for form in self._forms)
            raise self._fail(
                f"encodes {short(value)} so that none of {names} carries it",
                "JSON carries BYTES that are UTF-8, and no infinity and no BF16: base64 makes text of any bytes.",
            )
        for form in carrying:
            answer = form.infer(client, MODEL, request)
            if not answer.ok:
                raise self._fail(
                    f"cannot read {short(value)} once it has travelled as {form.name}: {answer}",
                    "On the wire only name, datatype, shape, data and plain parameters are kept.",
                )
            response = answer.response
            if self._way.content_type(response) != self._codec.content_type:
                raise self._fail("loses its content_type on the way back", self._way.advice)
            decoded = self._decoded(f"{short(value)} as it came back in {form.name}", response, self._way.of_response)
            self._check_same(value, decoded, f"on the way there and back in {form.name}")

    def _check_any_tensor(self) -> None:
        """Check that tensors of any kind are read or refused with InvalidInput."""
        for datatype in DTYPES:
            for what, tensor in samples(datatype):
                self._check_read_or_refused(what, InferenceRequest([tensor]))
        if isinstance(self._way, WholeRequest):
            self._check_read_or_refused("a request with no inputs", InferenceRequest([]))
            two = [Tensor("x", [1.0]), Tensor("y", ["a", "b"])]
            self._check_read_or_refused("a request with two inputs of different lengths", InferenceRequest(two))

    def _check_read_or_refused(self, what: str, request: InferenceRequest) -> None:
        try:
            self._way.of_request(request)
        except InvalidInput:
            return
        except Exception as error:
            raise self._fail(
                f"raises {type(error).__name__} for {what}: {error}",
                "Look at datatype, shape and data first, and raise srv.InvalidInput for what is not of this content type.",
            ) from error

    def _check_refused(self, client: Client, what: str, request: InferenceRequest) -> None:
        advice = "Raise srv.InvalidInput with a sentence that says what is wrong with the tensor and names it."
        self._check_read_or_refused(what, request)
        try:
            decoded = self._way.of_request(request)
        except InvalidInput as error:
            if not any(map(str, error.args)):
                raise self._fail(f"refuses {what} without a word", advice) from error
        else:
            raise self._fail(f"reads {what} as {short(decoded)}, and should refuse it", advice)
        for form in self._forms:
            if form.carries(request):
                answer = form.infer(client, MODEL, request)
                if answer.status != 400:
                    raise self._fail(f"lets {what} in {form.name} be answered with {answer}", advice)

    def _check_threads(self, count: int) -> None:
        faults: list[str] = []

        def trip(first: int) -> None:
            for number in range(first, first + _ROUNDS * len(self._values)):
                value = self._values[number % len(self._values)]
                try:
                    decoded = self._way.of_request(self._way.request(value))
                except Exception as error:  # noqa: BLE001 - whatever it raises is the finding
                    faults.append(f"{short(value)} raises {type(error).__name__}: {error}")
                    return
                if not self._same(decoded, value):
                    faults.append(f"{short(value)} becomes {short(decoded)}")
                    return

        run_in_threads(trip, count)
        if faults:
            raise self._fail(
                f"goes wrong when {count} threads use it at once: {faults[0]}",
                "One instance serves all threads: keep nothing of a request in it.",
            )


@contextmanager
def _echo(codec: Codec, way: Way) -> Iterator[Client]:
    """Serve a model that decodes what comes and encodes it again, with the codec installed."""

    class Echo(Runtime):
        def predict(self, request: InferenceRequest) -> InferenceResponse:
            if isinstance(way, OneTensor):
                return way.response(request.decode(INPUT))
            return way.response(way.of_request(request))

    with isolated_plugins() as plain:
        installed = codec.content_type in plain.names(PluginKind.CODEC)
        ours = installed and type(Codecs(plain)._codec(codec.content_type)) is type(codec)
    with (
        isolated_plugins(codecs=() if ours else (type(codec),)),
        Client.of(model(Echo, name=MODEL, parameters={"content_type": codec.content_type})) as client,
    ):
        yield client


def _is_instance(value: Any, hint: Any) -> bool:
    origin = get_origin(hint) or hint
    if not isinstance(origin, type):
        return True  # a union, or something else that only type checkers understand
    if not isinstance(value, origin):
        return False
    inner = get_args(hint)
    if inner and inner[0] is Any:
        return True
    return not (isinstance(value, list) and inner and isinstance(inner[0], type)) or all(
        isinstance(element, inner[0]) for element in value
    )


def _names(kind: type) -> set[str]:
    """Return the dotted names under which a class may be known: its own and its bases', from any package of theirs."""
    names = set()
    for base in kind.__mro__:
        parts = base.__module__.split(".")
        names |= {".".join([*parts[:count], base.__qualname__]) for count in range(1, len(parts) + 1)}
    return names


def short(value: Any) -> str:
    """Return a value as a sentence shows it."""
    text = repr(value)
    return text if len(text) <= 100 else text[:99] + "…"

"""A dataclass, a NamedTuple or a TypedDict is an input for each field, or an output for each."""

from collections.abc import Iterator
from dataclasses import InitVar, dataclass, field
from typing import Annotated, Any, NamedTuple, NotRequired, Required, TypedDict

import numpy as np
import pandas as pd
import pytest
from loaded import bare
from numpy.typing import NDArray

from srv.errors import InvalidInput, ModelError
from srv.inference.encoding import NoOutput, OutputLacking
from srv.inference.model_failures import PredictFailed
from srv.inference.request_validation import UnknownInput, UnknownOutput, WrongDatatype
from srv.inference.signatures import BadSignature
from srv.inference.signatures.elements import NotOneValue
from srv.messages import InferenceRequest, MissingInput
from srv.model_settings import Spec
from srv.runtime import Runtime
from srv.tensors import Tensor


@dataclass
class Sampling:
    prompt: str
    temperature: float = 1.0
    stop: list[str] = field(default_factory=list)
    seed: int | None = None
    made: int = field(default=7, init=False)


@dataclass(frozen=True, kw_only=True)
class Frozen:
    prompt: str
    temperature: float = 1.0


class Pair(NamedTuple):
    prompt: str
    temperature: float = 1.0


class Keys(TypedDict):
    prompt: str
    temperature: NotRequired[float]


class Partial(TypedDict, total=False):
    prompt: Required[str]
    temperature: float


class Quoted(TypedDict):
    prompt: "str"
    temperature: "NotRequired[Annotated[float, 'of the softmax']]"


class More(Partial):
    pass


def taking(hint, *default):
    class Takes(Runtime):
        seen: list[object] = []  # noqa: RUF012

        def predict(self, params, other=None):
            self.seen.append(params)
            return ["answered"]

    Takes.predict.__annotations__["params"] = hint
    if default:
        Takes.predict.__defaults__ = (*default, None)
    return Takes


def asked(**values):
    return InferenceRequest([Tensor(name, value) for name, value in values.items()])


@pytest.mark.parametrize("kind", [Sampling, Frozen, Pair, Keys, Partial, Quoted, More])
def test_each_field_is_an_input_and_those_with_a_default_may_stay_away(serve, kind):
    model = serve(taking(kind))
    declared = [(spec.name, spec.datatype, spec.shape) for spec in model.metadata.inputs]

    assert declared[:2] == [("prompt", "BYTES", (1,)), ("temperature", "FP64", (1,))]
    model.answer(asked(prompt=["hi"]), None)
    with pytest.raises(MissingInput, match="Input 'prompt' is missing"):
        model.answer(asked(temperature=[0.5]), None)
    with pytest.raises(WrongDatatype, match="'temperature' is BYTES"):
        model.answer(asked(prompt=["hi"], temperature=["warm"]), None)
    with pytest.raises(NotOneValue, match=r"'temperature' has shape \[2\]"):
        model.answer(asked(prompt=["hi"], temperature=[0.5, 0.6]), None)
    with pytest.raises(UnknownInput, match=r"'temprature' is unknown.*Did you mean 'temperature'"):
        model.answer(asked(prompt=["hi"], temprature=[0.5]), None)


@pytest.mark.parametrize(
    "kind, given, expected",
    [
        (Sampling, {"prompt": ["a"]}, Sampling("a")),
        (Sampling, {"prompt": ["a"], "temperature": [2], "stop": ["x"], "seed": [3]}, Sampling("a", 2.0, ["x"], 3)),
        (Frozen, {"prompt": ["a"], "temperature": [0.5]}, Frozen(prompt="a", temperature=0.5)),
        (Pair, {"prompt": ["a"]}, Pair("a")),
        (Keys, {"prompt": ["a"]}, {"prompt": "a"}),
        (Keys, {"prompt": ["a"], "temperature": [0.5]}, {"prompt": "a", "temperature": 0.5}),
        (Quoted, {"prompt": ["a"]}, {"prompt": "a"}),
        (Annotated[Sampling, "how"], {"prompt": ["a"]}, Sampling("a")),
    ],
)
def test_predict_gets_the_record(serve, kind, given, expected):
    runtime = taking(kind)

    serve(runtime).answer(asked(**given), None)

    (found,) = runtime.seen
    assert found == expected
    assert type(found) is type(expected)


def test_a_default_factory_is_called_for_each_request(serve):
    runtime = taking(Sampling)
    model = serve(runtime)

    for _ in range(2):
        model.answer(asked(prompt=["a"]), None)

    first, second = runtime.seen
    assert first.stop is not second.stop


def test_an_optional_record_is_absent_where_none_of_its_inputs_comes(serve):
    for hint, default, expected in [
        (Sampling | None, (), None),
        (Sampling, (Sampling("default"),), Sampling("default")),
    ]:
        runtime = taking(hint, *default)
        model = serve(runtime)
        model.answer(asked(), None)
        model.answer(asked(prompt=["a"]), None)
        assert runtime.seen == [expected, Sampling("a")]
        with pytest.raises(MissingInput, match="Input 'prompt' is missing; the request brings 'temperature'"):
            model.answer(asked(temperature=[0.5]), None)


@dataclass
class Crossing:
    params: int
    box: int = 0


@dataclass
class Boxed:
    frame: int


def test_a_record_stands_beside_inputs_tables_and_the_request(serve):
    class Mixed(Runtime):
        def predict(self, params: Crossing, x: NDArray[np.float64], frame: Boxed, request: InferenceRequest):
            return {"all": [params.params, params.box, int(x[0]), frame.frame, len(request.inputs)]}

    response = serve(Mixed).answer(asked(params=[1], box=[2], x=[3.0], frame=[4]), None)

    assert response["all"].tolist() == [1, 2, 3, 4, 4]


def test_a_field_may_be_called_as_the_table_is(serve):
    @dataclass
    class Named:
        table: int

    class Mixed(Runtime):
        def predict(self, params: Named, table: pd.DataFrame):
            return {"all": [params.table, len(table.columns)]}

    Mixed.predict.__annotations__["params"] = Named

    assert serve(Mixed).answer(asked(table=[1]), None)["all"].tolist() == [1, 1]


def test_what_a_field_initialises_only_is_an_input_too(serve):
    @dataclass
    class Doubled:
        half: InitVar[int]
        value: int = field(init=False)

        def __post_init__(self, half):
            self.value = 2 * half

    runtime = taking(Doubled)
    model = serve(runtime)

    model.answer(asked(half=[3]), None)

    assert runtime.seen[0].value == 6
    assert [spec.name for spec in model.metadata.inputs] == ["half"]


def test_a_record_that_refuses_what_it_is_made_of_speaks_as_predict_does(serve, caplog):
    @dataclass
    class Checked:
        temperature: float

        def __post_init__(self):
            if self.temperature < 0:
                raise InvalidInput("The temperature is below zero.")
            if self.temperature > 2:
                raise ValueError("too hot")

    model = serve(taking(Checked))

    with pytest.raises(InvalidInput, match="The temperature is below zero"):
        model.answer(asked(temperature=[-1.0]), None)
    with pytest.raises(PredictFailed, match="raised ValueError"):
        model.answer(asked(temperature=[3.0]), None)
    assert "too hot" in caplog.text


@dataclass
class Odd:
    value: complex


@dataclass
class Nested:
    sampling: Sampling


@dataclass
class Empty:
    pass


class Colliding(Runtime):
    def predict(self, first: Sampling, second: Pair): ...


class CollidingBefore(Runtime):
    def predict(self, second: Pair, prompt: str): ...


class CollidingWithAnInput(Runtime):
    def predict(self, prompt: str, second: Pair): ...


@pytest.mark.parametrize(
    "runtime, sentence",
    [
        (
            taking(Odd),
            "'params' is hinted with Odd, whose field 'value' is hinted with complex, which no installed codec",
        ),
        (taking(Nested), "'params' is hinted with Nested, whose field 'sampling' has fields of its own; make it flat"),
        (taking(Empty), "'params' is hinted with Empty, which has no fields"),
        (
            Colliding,
            "'second' is hinted with Pair, whose field 'prompt' is an input of another argument too; rename one",
        ),
        (CollidingBefore, "predict's argument 'prompt' is a field of another argument too; rename one"),
        (CollidingWithAnInput, "'second' is hinted with Pair, whose field 'prompt' is an input of another"),
    ],
)
def test_a_record_that_no_request_can_fill_is_refused_at_load(serve, runtime, sentence):
    with pytest.raises(BadSignature, match=sentence):
        serve(runtime)


# -- what is returned --------------------------------------------------------------------------------------------------


@dataclass
class Verdict:
    label: str
    score: float
    parts: list[float] = field(default_factory=list)
    note: str | None = None


class VerdictKeys(TypedDict):
    label: str
    score: float
    parts: list[float]
    note: NotRequired[str]


@pytest.mark.parametrize(
    "hint, value",
    [
        (Verdict, Verdict("spam", 1, [1, 2])),
        (VerdictKeys, {"label": "spam", "score": 1, "parts": [1, 2]}),
        (VerdictKeys, {"label": "spam", "score": 1, "parts": [1, 2], "note": None}),
    ],
)
def test_each_field_is_an_output_and_one_that_is_none_is_left_out(serve, hint, value):
    class Judges(Runtime):
        def predict(self, request: InferenceRequest):
            return value

    Judges.predict.__annotations__["return"] = hint
    model = serve(Judges)

    outputs = model.answer(asked(), None).outputs

    assert bare(model.metadata.outputs) == (
        Spec("BYTES", (1,), "label"),
        Spec("FP64", (1,), "score"),
        Spec("FP64", (-1,), "parts"),
        Spec("BYTES", (1,), "note"),
    )
    assert [(output.name, output.datatype, output.data.tolist()) for output in outputs] == [
        ("label", "BYTES", [b"spam"]),
        ("score", "FP64", [1.0]),
        ("parts", "FP64", [1.0, 2.0]),
    ]


class PartialVerdict(TypedDict, total=False):
    label: Required[str]
    score: float
    extra: Any


@dataclass
class Late:
    label: str
    score: float = field(init=False)


class Judged(NamedTuple):
    label: str
    score: float
    extra: object


def judging(hint, value):
    class Judges(Runtime):
        def predict(self, request: InferenceRequest):
            return value

    Judges.predict.__annotations__["return"] = hint
    return Judges


@pytest.mark.parametrize(
    "hint, value, kind, missing",
    [
        (VerdictKeys, {"label": "spam", "parts": [1]}, "dict", "score"),
        (VerdictKeys, {}, "dict", "label"),
        (PartialVerdict, {"score": 1}, "dict", "label"),
        (Verdict, {"label": "spam", "score": 1}, "dict", "parts"),
        (Verdict, Late("spam"), "Late", "score"),
        (None, Late("spam"), "Late", "score"),
        (Judged, {"label": "spam", "score": 1}, "dict", "extra"),
        (Judged, np.ones(1), "ndarray", "label"),
        (Verdict, ["spam"], "list", "label"),
    ],
)
def test_a_value_without_a_declared_output_is_the_models_error_that_names_it(serve, hint, value, kind, missing):
    with pytest.raises(OutputLacking, match=f"predict returned {kind} without the output '{missing}', which its"):
        serve(judging(hint, value)).answer(asked(), None)


def test_a_value_of_a_stream_without_a_declared_output_is_the_models_error_too(serve):
    class Judges(Runtime):
        def predict_stream(self, request: InferenceRequest) -> Iterator[VerdictKeys]:
            yield {"label": "spam", "parts": [1]}

    with pytest.raises(OutputLacking, match="predict_stream yielded dict without the output 'score'"):
        next(serve(Judges).stream(asked(), None))


@pytest.mark.parametrize(
    "hint, value",
    [
        (PartialVerdict, {"label": "spam"}),
        (PartialVerdict, {"label": "spam", "score": None, "extra": None}),
        (Verdict, {"label": "spam", "score": 1, "parts": [], "note": None}),
        (Verdict, {"label": "spam", "score": 1, "parts": []}),
    ],
)
def test_outputs_that_may_be_missing_or_none_are_left_out(serve, hint, value):
    outputs = serve(judging(hint, value)).answer(asked(), None).outputs

    assert [output.name for output in outputs] == [name for name in value if value[name] is not None]


@pytest.mark.parametrize("value", [Verdict("spam", 1), {"label": "spam", "score": 1, "parts": []}])
def test_an_output_that_is_none_and_asked_for_by_name_is_refused_with_why(serve, value):
    model = serve(judging(Verdict, value))

    with pytest.raises(
        NoOutput, match="Output 'note' has no value in the answer to this request, which the model allows"
    ):
        model.answer(InferenceRequest([], outputs=["label", "note"]), None)
    with pytest.raises(UnknownOutput, match="Output 'nope' is unknown"):
        model.answer(InferenceRequest([], outputs=["label", "nope"]), None)


@pytest.mark.parametrize(
    "value, sentence",
    [
        (object(), "predict_stream yielded object, which no installed codec"),
        ((1, 2), "predict_stream yielded a bare tuple, which gives its outputs no names; yield a dict"),
        ({"y": object()}, "predict_stream yielded object for the output 'y'"),
        (pd.DataFrame({"odd": [1j]}), "predict_stream yielded what cannot be sent"),
    ],
)
def test_what_cannot_be_sent_of_a_stream_is_said_of_predict_stream(serve, value, sentence):
    class Streams(Runtime):
        def predict_stream(self, request: InferenceRequest):
            yield value

    with pytest.raises(ModelError, match=sentence):
        next(serve(Streams).stream(asked(), None))

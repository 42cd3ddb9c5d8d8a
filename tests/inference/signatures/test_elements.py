"""Hints of one value and of flat lists: what they declare, what they take, and how what they give goes out."""

import enum
import typing
from collections.abc import AsyncGenerator, Generator, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, NewType, Optional, TypedDict

import numpy as np
import pytest
from loaded import bare
from numpy.typing import NDArray

from srv.errors import InvalidInput
from srv.inference.encoding import Unsendable
from srv.inference.request_validation import WrongDatatype
from srv.inference.signatures import BadSignature
from srv.inference.signatures.elements import NotAChoice, NotExact, NotFlat, NotOneValue
from srv.messages import InferenceRequest, MissingInput
from srv.model_settings import Spec
from srv.runtime import Runtime
from srv.tensors import Tensor

INTEGERS = ["UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64"]
FLOATS = ["FP16", "FP32", "FP64"]
ALL = ["BOOL", "BYTES", *FLOATS, *INTEGERS]


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


def taking(hint, *default):
    """A runtime that keeps the value of its input `x`, hinted so."""

    class Takes(Runtime):
        seen: list[Any] = []  # noqa: RUF012

        def predict(self, x, other=None):
            self.seen.append(x)
            return [type(x).__name__]

    Takes.predict.__annotations__["x"] = hint
    if default:
        Takes.predict.__defaults__ = (*default, None)
    return Takes


def giving(value, hint):
    class Gives(Runtime):
        def predict(self, request: InferenceRequest):
            return value

    Gives.predict.__annotations__["return"] = hint
    return Gives


def request(*tensors, **said):
    return InferenceRequest(list(tensors), **said)


def tensor(values, datatype=None, shape=None, content_type=None):
    parameters = {} if content_type is None else {"content_type": content_type}
    return Tensor("x", values, datatype, shape, parameters=parameters)


def read(serve, hint, given, **settings):
    """What predict gets for an input."""
    runtime = taking(hint)
    serve(runtime, **settings).answer(request(given), None)
    return runtime.seen.pop()


@pytest.mark.parametrize(
    "hint, declared, taken",
    [
        (int, Spec("INT64", (1,), "x"), INTEGERS),
        (float, Spec("FP64", (1,), "x"), [*INTEGERS, *FLOATS]),
        (bool, Spec("BOOL", (1,), "x"), ["BOOL"]),
        (str, Spec("BYTES", (1,), "x"), ["BYTES"]),
        (Optional[int], Spec("INT64", (1,), "x"), INTEGERS),  # noqa: UP045
        (NewType("Count", int), Spec("INT64", (1,), "x"), INTEGERS),
        (Annotated[int, "tokens"], Spec("INT64", (1,), "x"), INTEGERS),
        (Annotated[int, Spec("INT32")], Spec("INT32", (1,), "x"), ["INT32"]),
        (int | float, Spec("FP64", (1,), "x"), [*INTEGERS, *FLOATS]),
        (bool | int, Spec("INT64", (1,), "x"), ["BOOL", *INTEGERS]),
        (float | bool, Spec("FP64", (1,), "x"), ["BOOL", *INTEGERS, *FLOATS]),
        (np.float32, Spec("FP32", (1,), "x"), ["FP32"]),
        (np.bool_, Spec("BOOL", (1,), "x"), ["BOOL"]),
        (np.integer[Any], Spec("INT64", (1,), "x"), INTEGERS),
        (list[int], Spec("INT64", (-1,), "x"), INTEGERS),
        (list[float], Spec("FP64", (-1,), "x"), [*INTEGERS, *FLOATS]),
        (list[bool], Spec("BOOL", (-1,), "x"), ["BOOL"]),
        (Sequence[float], Spec("FP64", (-1,), "x"), [*INTEGERS, *FLOATS]),
        (list[np.int8], Spec("INT8", (-1,), "x"), ["INT8"]),
        (list[int | float], Spec("FP64", (-1,), "x"), [*INTEGERS, *FLOATS]),
        (Literal["1", "a"], Spec("BYTES", (1,), "x"), ["BYTES"]),
        (Literal[1, 2], Spec("INT64", (1,), "x"), INTEGERS),
    ],
    ids=str,
)
def test_a_hint_of_values_declares_its_datatype_and_takes_no_other(serve, hint, declared, taken):
    model = serve(taking(hint))

    assert bare(model.metadata.inputs) == (declared,)
    for datatype in ALL:
        given = tensor(["1"] if datatype == "BYTES" else np.ones(1, bool), datatype)
        if datatype in taken:
            model.answer(request(given), None)
        else:
            with pytest.raises(WrongDatatype, match=f"'x' is {datatype}; the model takes {taken[0]}"):
                model.answer(request(given), None)


MOMENT = datetime(2026, 5, 17, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    "hint, given, value",
    [
        (int, tensor([3], "INT8"), 3),
        (int, tensor([2**64 - 1], "UINT64"), 2**64 - 1),
        (float, tensor([0.5], "FP16"), 0.5),
        (float, tensor([3]), 3.0),
        (float, tensor([2**53]), 2.0**53),
        (int | float, tensor([3]), 3),
        (int | float, tensor([3.0]), 3.0),
        (float | bool, tensor([True]), True),
        (bool, tensor([True]), True),
        (str, tensor(["ü"]), "ü"),
        (bytes, tensor([b"AAE="], content_type="base64"), b"\0\1"),
        (bytes, tensor([b"\0\1"]), b"\0\1"),
        (datetime, tensor([MOMENT.isoformat()]), MOMENT),
        (np.float32, tensor([0.1], "FP32"), np.float32(0.1)),
        (Literal["a", "b"], tensor(["b"]), "b"),
        (Literal["a", None], tensor(["a"]), "a"),  # noqa: PYI061
        (Colour, tensor(["blue"]), Colour.BLUE),
        (Level, tensor([2]), Level.HIGH),
        (list[int], tensor([3, 4], "INT8"), [3, 4]),
        (list[int], tensor([], "INT64", [0]), []),
        (list[int], tensor([[3], [4]]), [3, 4]),
        (list[float], tensor([3, 4]), [3.0, 4.0]),
        (list[float], tensor([0.5, 4], "FP32"), [0.5, 4.0]),
        (list[bool], tensor([True, False]), [True, False]),
        (list[Colour], tensor(["blue", "red"]), [Colour.BLUE, Colour.RED]),
        (Sequence[float], tensor([1.5]), [1.5]),
        (float, tensor([1.5], content_type="np"), 1.5),
        (str, tensor(["a"], content_type="str"), "a"),
    ],
    ids=str,
)
def test_an_argument_is_the_value_that_its_hint_names(serve, hint, given, value):
    found = read(serve, hint, given)

    assert found == value
    assert type(found) is type(value)
    if isinstance(value, list):
        assert [type(each) for each in found] == [type(each) for each in value]


def test_a_single_value_may_have_any_shape_of_one_element(serve):
    for shape in ([], [1], [1, 1]):
        assert read(serve, int, tensor([7], "INT64", shape)) == 7
        assert read(serve, str, tensor(["a"], "BYTES", shape)) == "a"
        assert read(serve, str, tensor(["a"], "BYTES", shape), inputs=(Spec("BYTES", (-1,), "x"),)) == "a"


@pytest.mark.parametrize(
    "hint, given, error, sentence",
    [
        (
            int,
            tensor([1, 2]),
            NotOneValue,
            r"'x' has shape \[2\]; the model takes one int, of shape \[1\], \[1,1\] or \[\]",
        ),
        (int, tensor([], "INT64", [0]), NotOneValue, r"'x' has shape \[0\]"),
        (int, tensor([[[1]]]), NotOneValue, r"'x' has shape \[1, 1, 1\]"),
        (str, tensor(["a", "b"]), NotOneValue, r"'x' has shape \[2\]; the model takes one str"),
        (str, tensor([b"\xff"]), InvalidInput, "'x' cannot be read as content type 'str': it holds bytes that are not"),
        (
            bytes,
            tensor(["not base64!"], content_type="base64"),
            InvalidInput,
            "'x' cannot be read as content type 'base64'",
        ),
        (float, tensor([2**53 + 1]), NotExact, r"'x' holds an integer beyond 2\*\*53, .* send FP64"),
        (list[float], tensor([1, 2**53 + 1]), NotExact, "'x' holds an integer beyond"),
        (list[float], tensor([1, -(2**63)]), NotExact, "'x' holds an integer beyond"),
        (
            list[int],
            tensor([[1, 2]]),
            NotFlat,
            r"'x' has shape \[1, 2\]; the model takes a list of int, of shape \[N\]",
        ),
        (list[int], tensor([1], "INT64", []), NotFlat, r"'x' has shape \[\]"),
        (Literal["a", "b"], tensor(["c"]), NotAChoice, "'x' holds 'c'; the model takes 'a', 'b'"),
        (Literal["a", "b"], tensor(["c" * 200]), NotAChoice, "'c{79}…'"),
        (Colour, tensor(["green"]), NotAChoice, "'x' holds 'green'; the model takes 'blue', 'red'"),
        (list[Level], tensor([1, 3]), NotAChoice, "'x' holds '3'; the model takes '1', '2'"),
        (float, tensor([1.0], content_type="str"), InvalidInput, "'str', which gives .* takes float, content type np"),
        (
            str,
            tensor(["a"], content_type="np"),
            InvalidInput,
            "'np', which gives ndarray; .* takes str, content type str",
        ),
        (
            bytes,
            tensor(["a"], content_type="str"),
            InvalidInput,
            "'str', which gives .* takes bytes, content type base64",
        ),
        (list[int], tensor([1], content_type="json"), InvalidInput, "takes a list of int, content type np"),
    ],
)
def test_another_number_of_values_or_another_value_is_a_bad_request_that_says_so(serve, hint, given, error, sentence):
    with pytest.raises(error, match=sentence):
        read(serve, hint, given)


def test_a_value_that_does_not_come_is_the_default_or_none_or_missing(serve):
    for hint, default, expected in [(int, (3,), 3), (int | None, (), None), (Literal["a", None], (), None)]:  # noqa: PYI061
        runtime = taking(hint, *default)
        serve(runtime).answer(request(), None)
        assert runtime.seen.pop() == expected
    with pytest.raises(MissingInput, match="Input 'x' is missing"):
        serve(taking(int)).answer(request(), None)


def test_an_input_that_stands_beside_the_request_is_missed_as_any(serve):
    class Beside(Runtime):
        def predict(self, x: int, y: np.ndarray, request: InferenceRequest):
            return [x]

    with pytest.raises(MissingInput, match="Input 'y' is missing"):
        serve(Beside).answer(request(tensor([1])), None)
    with pytest.raises(MissingInput, match="Input 'x' is missing"):
        serve(Beside).answer(request(Tensor("y", [1])), None)


def test_missing_text_is_none_where_the_hint_allows_it(serve):
    runtime = taking(str | None)
    runtime.missing_values = True
    null = Tensor.trusted("x", np.array([None], object), "BYTES", missing=True)

    serve(runtime).answer(request(null), None)

    assert runtime.seen.pop() is None


def test_a_stream_takes_values_too(serve):
    class Talks(Runtime):
        def predict_stream(self, text_input: str, max_tokens: int = 3) -> Iterator[str]:
            yield from text_input.split()[:max_tokens]

    model = serve(Talks)
    asked = request(Tensor("text_input", ["a b c d"]), Tensor("max_tokens", [2], "INT32"))

    pieces = [response.outputs[0] for response in model.stream(asked, None)]

    assert [(piece.name, piece.shape, piece.data.tolist()) for piece in pieces] == [
        ("output", (1,), [b"a"]),
        ("output", (1,), [b"b"]),
    ]
    assert bare(model.metadata.inputs) == (Spec("BYTES", (1,), "text_input"), Spec("INT64", (1,), "max_tokens"))
    assert bare(model.metadata.outputs) == (Spec("BYTES", (1,), "output"),)


@pytest.mark.parametrize(
    "hint, sentence",
    [
        (Literal["a", 1], "whose values are not all str, all int"),
        (enum.Enum("Odd", {"A": (1, 2)}), "Odd, whose values are not all str"),
        (int | str, r"int \| str.*, whose types come as inputs of the same kind or by several codecs"),
        (
            complex,
            "hinted with complex, which no installed codec reads; .*bool, bytes, float, int, .*str, a dataclass or",
        ),
        (Annotated[int, Spec("FP32")], "int, which is not FP32, as its Spec says"),
        (Annotated[NDArray[np.float32], Spec("FP64")], "which is not FP64, as its Spec says"),
        (np.complex64, "hinted with complex64, which no installed codec reads"),
        (np.str_, "hinted with str_, which no installed codec reads"),
    ],
    ids=str,
)
def test_values_that_cannot_be_told_apart_are_refused_at_load(serve, hint, sentence):
    with pytest.raises(BadSignature, match=f"predict's argument 'x' .*{sentence}"):
        serve(taking(hint))


def test_settings_that_declare_another_datatype_than_the_hint_takes_are_refused_at_load(serve):
    for hint, datatype, taken in [(int, "FP64", "UINT8 or UINT16"), (NDArray[np.float32], "FP64", "FP32")]:
        with pytest.raises(BadSignature, match=f"'x' is declared as {datatype}; predict takes {taken}"):
            serve(taking(hint), inputs=(Spec(datatype, None, "x"),))


# -- what is returned --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "hint, value, datatype, data, content_type",
    [
        (int, 3, "INT64", [3], "np"),
        (int, np.int8(3), "INT64", [3], "np"),
        (int, np.array([3]), "INT64", [3], "np"),
        (float, 3, "FP64", [3.0], "np"),
        (float, 0.5, "FP64", [0.5], "np"),
        (float, np.float32(0.5), "FP64", [0.5], "np"),
        (float, np.array(0.5), "FP64", [0.5], "np"),
        (bool, True, "BOOL", [True], "np"),
        (bool, np.False_, "BOOL", [False], "np"),
        (np.float32, 0.5, "FP32", [0.5], "np"),
        (Annotated[int, Spec("INT8")], 3, "INT8", [3], "np"),
        (str, "ü", "BYTES", ["ü".encode()], "str"),
        (bytes, b"\0", "BYTES", [b"AA=="], "base64"),
        (datetime, MOMENT, "BYTES", [b"2026-05-17T12:00:00+00:00"], "datetime"),
        (Literal["a", "b"], "a", "BYTES", [b"a"], "str"),
        (Colour, Colour.RED, "BYTES", [b"red"], "str"),
        (Level, Level.HIGH, "INT64", [2], "np"),
        (list[int], [1, 2], "INT64", [1, 2], "np"),
        (list[int], [], "INT64", [], "np"),
        (list[float], [1, 2], "FP64", [1.0, 2.0], "np"),
        (list[float], [], "FP64", [], "np"),
        (list[float], np.ones(2, np.float32), "FP64", [1.0, 1.0], "np"),
        (list[bool], [True], "BOOL", [True], "np"),
        (list[Colour], [Colour.RED], "BYTES", [b"red"], "str"),
        (int | None, 3, "INT64", [3], "np"),
    ],
    ids=str,
)
def test_a_return_hint_of_values_declares_and_makes_an_output(serve, hint, value, datatype, data, content_type):
    model = serve(giving(value, hint))

    (output,) = model.answer(request(), None).outputs

    flat = isinstance(value, list) or (isinstance(value, np.ndarray) and value.size > 1)
    assert bare(model.metadata.outputs) == (Spec(datatype, (-1,) if flat else (1,), "output"),)
    assert (output.name, output.datatype, output.shape) == ("output", datatype, (len(data),))
    assert output.data.tolist() == data
    assert output.parameters["content_type"] == content_type


def test_an_output_that_may_be_none_is_left_out_then(serve):
    assert serve(giving(None, int | None)).answer(request(), None).outputs == []


@pytest.mark.parametrize("hint", [Iterator[str], AsyncGenerator[str, None], Generator[str, None, None] | None], ids=str)
def test_a_predict_that_gives_an_iterator_is_refused_at_load(serve, hint):
    with pytest.raises(BadSignature, match=r"What predict returns is hinted with .*Call the method predict_stream"):
        serve(giving(None, hint))


def test_a_bare_tuple_in_the_return_hint_is_refused_at_load(serve):
    with pytest.raises(BadSignature, match=r"tuple\[int, str\], which gives its outputs no names; use a NamedTuple"):
        serve(giving((1, "a"), tuple[int, str]))


def test_what_predict_gives_may_be_hinted_with_what_a_list_is_too(serve):
    model = serve(giving(["a", "b"], Iterable[str]))

    assert model.answer(request(), None)["output"].tolist() == [b"a", b"b"]
    assert bare(model.metadata.outputs) == (Spec("BYTES", (-1,), "output"),)


@pytest.mark.parametrize(
    "hint, value, sentence",
    [
        (int, 2.5, "The output 'output' is float, where the return hint says int"),
        (int, [1, 2], "The output 'output' is list, where the return hint says int"),
        (int, None, "is NoneType, where the return hint says int"),
        (int, 2**70, "is int, where the return hint says int"),
        (float, "a", "is str, where the return hint says float"),
        (float, True, "is bool, where the return hint says float"),
        (float, np.ones(2), r"is an array of float64 of shape \[2\], where the return hint says float"),
        (bool, 1, "is int, where the return hint says bool"),
        (Annotated[int, Spec("INT8")], 300, "300, which is out of INT8's range"),
        (str, 3, "element 0 is of type int, not str"),
        (str, b"a", "element 0 is of type bytes, not str"),
        (Literal["a", "b"], "c", "is str, where the return hint says one of 'a', 'b'"),
        (Colour, "red", "is str, where the return hint says one of"),
        (list[int], [1.5], "is list, where the return hint says a list of int"),
        (list[float], ["a"], "is list, where the return hint says a list of float"),
        (list[float], np.ones((2, 2)), "where the return hint says a list of float"),
        (list[int], 3, "is int, where the return hint says a list of int"),
    ],
)
def test_what_is_not_as_the_return_hint_says_is_the_models_error(serve, hint, value, sentence):
    with pytest.raises(Unsendable, match=sentence):
        serve(giving(value, hint)).answer(request(), None)


@pytest.mark.parametrize(
    "hint, value, said",
    [
        (float, np.ma.masked, [np.nan]),
        (float | None, np.ma.masked, [np.nan]),
        (np.float32, np.ma.array([2.0], mask=[True]), [np.nan]),
        (float, np.ma.array([2], mask=[True]), [np.nan]),
        (list[float], np.ma.array([1.0, 2.0], mask=[False, True]), [1, np.nan]),
        (list[float], np.ma.array([1, 2], mask=[False, True]), [1, np.nan]),
        (list[float], [1.0, np.ma.masked], [1, np.nan]),
        (list[int], np.ma.array([1, 2], mask=False), [1, 2]),
    ],
)
def test_what_is_masked_is_nan_in_a_float_that_the_return_hint_names(serve, hint, value, said):
    output = serve(giving(value, hint)).answer(request(), None)["output"]

    np.testing.assert_array_equal(output, said)


@pytest.mark.parametrize(
    "hint, sentence",
    [
        (Annotated[str, Spec(shape=(2,))], r"hinted with str, one value, and its Spec says the shape \[2\]"),
        (
            Annotated[float, Spec("FP32", (1, 1, 1))],
            r"hinted with float, one value, and its Spec says the shape \[1, 1, 1\]",
        ),
        (
            Annotated[list[int], Spec(shape=(-1, 4))],
            r"hinted with list\[int\], a flat list, and its Spec says the shape \[-1, 4\]",
        ),
        (
            Annotated[list[int], Spec(shape=())],
            r"hinted with list\[int\], a flat list, and its Spec says the shape \[\]",
        ),
    ],
)
def test_a_shape_that_no_request_could_have_is_refused_at_load(serve, hint, sentence):
    with pytest.raises(BadSignature, match=sentence):
        serve(taking(hint))


@pytest.mark.parametrize("shape", [(), (1,), (-1,), (1, 1), (-1, 1)])
def test_a_single_value_may_have_each_shape_of_one_value(serve, shape):
    model = serve(taking(Annotated[int, Spec(shape=shape)]))

    assert model.metadata.inputs[0].shape == shape
    assert model.answer(request(Tensor("x", np.ones([1] * len(shape), int))), None) is not None


def test_a_bare_list_is_called_as_it_is_written(serve):
    with pytest.raises(BadSignature, match="hinted with list, which may be any of"):
        serve(taking(typing.List))  # noqa: UP006  the one of typing


class Chosen(TypedDict):
    word: Literal["a", "b"]


class Metres(np.ndarray):
    unit = "m"


@pytest.mark.parametrize(
    "hint, value, sentence",
    [
        (int, np.ma.array([1], mask=[True]), r"is masked at \[0\], and int64 has no value that says so"),
        (list[int], np.ma.array([1, 2], mask=[False, True]), r"is masked at \[1\], and int64"),
        (list[bool], np.ma.array([True], mask=[True]), r"is masked at \[0\], and bool"),
        (float, np.array([1.0]).view(Metres), "has the unit 'm'"),
        (list[float], np.array([1.0]).view(Metres), "has the unit 'm'"),
        (list[float], [[1.0], [2.0, 3.0]], "is ragged"),
    ],
)
def test_what_means_more_than_the_numbers_of_the_return_hint_is_refused(serve, hint, value, sentence):
    with pytest.raises(Unsendable, match=sentence):
        serve(giving(value, hint)).answer(request(), None)


@pytest.mark.parametrize("value", [["a"], {"a": 1}, np.array(["a"])], ids=["list", "dict", "array"])
def test_what_has_no_hash_is_none_of_the_choices_of_a_return_hint(serve, value):
    with pytest.raises(Unsendable, match=r"where the return hint says one of 'a', 'b'"):
        serve(giving({"word": value}, Chosen)).answer(request(), None)


class ScaledByOne(Runtime):
    def predict(self, x: float, y: NDArray[np.float64]):
        return y * x


class Summed(Runtime):
    def predict(self, x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
        return x @ y


@pytest.mark.parametrize("runtime, name", [(ScaledByOne, "x"), (Summed, "output")])
def test_requests_of_single_values_are_not_merged(serve, runtime, name, caplog):
    model = serve(runtime, max_batch_size=8, inputs=(Spec("FP64", (-1,), "x"), Spec("FP64", (-1,), "y")))

    assert f"'{name}' is declared without -1 as the first length; its requests run one by one" in caplog.text
    assert model.answer(request(Tensor("x", [2.0]), Tensor("y", [3.0])), None)["output"].tolist() == [6]

"""Every way of writing a hint that means an array is read, on each Python and NumPy."""

import sys
import typing
from collections.abc import Iterator
from functools import partial
from typing import Annotated, Any, List, Literal, NewType, Optional, TypeVar, Union  # noqa: UP035  they are written

import numpy as np
import numpy.typing as npt
import pytest
from loaded import bare
from numpy.typing import NDArray

from srv.errors import InvalidInput
from srv.inference.request_validation import UnknownInput, WrongDatatype, WrongShape
from srv.inference.signatures import BadSignature
from srv.messages import InferenceRequest
from srv.model_settings import Spec
from srv.runtime import Runtime
from srv.tensors import Tensor

Single = NewType("Single", NDArray[np.float32])
Kind = TypeVar("Kind", np.float32, np.float64)
Real = TypeVar("Real", bound=np.floating[Any])
Points = Annotated[NDArray[np.float32], Spec(shape=(-1, 2))]


def taking(hint, *, returned=None):
    """A runtime whose predict takes one input `x` hinted so."""

    class Takes(Runtime):
        def predict(self, x, other=None):
            return {"kind": [type(x).__name__]}

    Takes.predict.__annotations__["x"] = hint
    if returned is not None:
        Takes.predict.__annotations__["return"] = returned
    return Takes


def request(*tensors):
    return InferenceRequest(list(tensors))


def backported(name, value, *parameters):
    return pytest.importorskip("typing_extensions").TypeAliasType(name, value, type_params=parameters)


def written(statement):
    """What `Alias` means after a statement of Python 3.12."""
    if sys.version_info < (3, 12):
        pytest.skip("a `type` statement is Python 3.12's")
    names = {"np": np, "npt": npt, "Annotated": Annotated, "Spec": Spec}
    exec(statement, names)
    return names["Alias"]


FP32 = {
    "NDArray": lambda: NDArray[np.float32],
    "np.typing.NDArray": lambda: np.typing.NDArray[np.float32],
    "ndarray and dtype": lambda: np.ndarray[Any, np.dtype[np.float32]],
    "ndarray of any rank": lambda: np.ndarray[tuple[int, ...], np.dtype[np.float32]],
    "ndarray and a dtype class": lambda: np.ndarray[Any, np.dtypes.Float32DType],
    "ndarray and a scalar type": lambda: np.ndarray[Any, np.float32],
    "Annotated": lambda: Annotated[NDArray[np.float32], "metres"],
    "Optional": lambda: Optional[NDArray[np.float32]],  # noqa: UP045
    "or None": lambda: NDArray[np.float32] | None,
    "Annotated or None": lambda: Annotated[NDArray[np.float32], "metres"] | None,
    "Annotated Optional": lambda: Annotated[NDArray[np.float32] | None, "metres"],
    "Optional in Optional": lambda: Optional[Annotated[Optional[NDArray[np.float32]], "metres"]],  # noqa: UP045
    "NewType": lambda: Single,
    "text": lambda: "NDArray[np.float32]",
    "text in text": lambda: "Annotated['NDArray[np.float32]', 'metres']",
    "backported alias": lambda: backported("Alias", NDArray[np.float32]),
    "backported generic alias": lambda: backported("Alias", NDArray[Kind], Kind)[np.float32],
    "backported alias of an alias": lambda: backported("Outer", backported("Inner", NDArray[np.float32]) | None),
    "backported alias for its own parameter": lambda: backported("Same", Kind, Kind)[NDArray[np.float32]],
    "backported alias with more parameters": lambda: backported("Two", NDArray[Real], Kind, Real)[str, np.float32],
    "type": lambda: written("type Alias = npt.NDArray[np.float32]"),
    "type of a type": lambda: written("type Inner = npt.NDArray[np.float32]; type Alias = Inner | None"),
    "type in Annotated": lambda: Annotated[written("type Alias = npt.NDArray[np.float32]"), "metres"],
    "type or None": lambda: written("type Alias = npt.NDArray[np.float32]") | None,
    "generic type": lambda: written("type Alias[T: np.generic] = npt.NDArray[T]")[np.float32],
    "generic type, turned": lambda: written("type Alias[A, T] = np.ndarray[A, np.dtype[T]]")[Any, np.float32],
    "generic type of a generic": lambda: written("type In[T] = npt.NDArray[T]; type Alias[S] = In[S]")[np.float32],
    "type of a scalar": lambda: NDArray[written("type Alias = np.float32")],
    "lazy type": lambda: written("type Alias = Later; Later = npt.NDArray[np.float32]"),
}


@pytest.mark.parametrize("hint", FP32.values(), ids=FP32)
def test_however_it_is_written_a_hint_that_means_fp32_declares_and_takes_fp32(serve, hint):
    model = serve(taking(hint()))

    response = model.answer(request(Tensor("x", np.ones(2, np.float32))), None)

    assert bare(model.metadata.inputs) == (Spec("FP32", None, "x"),)
    assert response["kind"].tolist() == [b"ndarray"]
    with pytest.raises(WrongDatatype, match="'x' is FP64; the model takes FP32"):
        model.answer(request(Tensor("x", np.ones(2))), None)


@pytest.mark.parametrize("hint", FP32.values(), ids=FP32)
def test_however_it_is_written_a_return_hint_that_means_fp32_declares_it(serve, hint):
    assert bare(serve(taking(np.ndarray, returned=hint())).metadata.outputs) == (Spec("FP32", None, "output"),)


INTEGERS = ["UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64"]


@pytest.mark.parametrize(
    "hint, taken",
    [
        (np.ndarray, None),
        (NDArray[Any], None),
        (NDArray[np.generic], None),
        (NDArray, None),
        (npt.ArrayLike, None),
        (npt.ArrayLike | None, None),
        (np.ndarray[tuple[int, ...]] if sys.version_info > (3, 12) else np.ndarray, None),
        (NDArray[np.floating[Any]], ["FP16", "FP32", "FP64"]),
        (NDArray[np.floating], ["FP16", "FP32", "FP64"]),
        (NDArray[np.integer[Any]], INTEGERS),
        (NDArray[np.number[Any]], [*INTEGERS, "FP16", "FP32", "FP64"]),
        (NDArray[np.float32 | np.float64], ["FP32", "FP64"]),
        (NDArray[Union[np.float32, np.int8]], ["INT8", "FP32"]),  # noqa: UP007
        (NDArray[np.float32] | NDArray[np.float64], ["FP32", "FP64"]),
        (NDArray[np.float32] | NDArray[np.float64] | float, ["FP32", "FP64"]),
        (NDArray[np.float32] | NDArray[np.float64] | None, ["FP32", "FP64"]),
        (NDArray[np.float32] | np.ndarray, None),
        (NDArray[Kind], ["FP32", "FP64"]),
        (NDArray[Real], ["FP16", "FP32", "FP64"]),
    ],
)
def test_a_hint_that_leaves_the_datatype_open_takes_what_it_allows_and_declares_none(serve, hint, taken):
    model = serve(taking(hint))

    assert bare(model.metadata.inputs) == ()
    for datatype in ["BOOL", "BYTES", "FP16", "FP32", "FP64", *INTEGERS]:
        tensor = Tensor("x", ["text"] if datatype == "BYTES" else np.ones(1, bool), datatype)
        if taken is None or datatype in taken:
            model.answer(request(tensor), None)
        else:
            with pytest.raises(WrongDatatype, match=f"'x' is {datatype}; the model takes {' or '.join(taken)}"):
                model.answer(request(tensor), None)


def test_the_settings_say_which_datatype_an_open_hint_takes(serve):
    model = serve(taking(NDArray[np.floating[Any]]), inputs=(Spec("FP16", None, "x"),))

    model.answer(request(Tensor("x", np.ones(1, np.float16))), None)
    with pytest.raises(WrongDatatype, match="takes FP16"):
        model.answer(request(Tensor("x", np.ones(1, np.float32))), None)


def test_an_open_hint_is_checked_under_whatever_name_the_only_input_comes(serve):
    class TakesAnyName(Runtime):
        any_input_name = True

        def predict(self, x: NDArray[np.floating[Any]]):
            return x

    model = serve(TakesAnyName)

    assert model.answer(request(Tensor("input-0", [1.0])), None)["output"].tolist() == [1]
    with pytest.raises(WrongDatatype, match="'input-0' is INT64; the model takes FP16 or FP32 or FP64"):
        model.answer(request(Tensor("input-0", [1])), None)


@pytest.mark.parametrize(
    "hint, shape",
    [
        (np.ndarray[tuple[int, int], np.dtype[np.float32]], (-1, -1)),
        (np.ndarray[tuple[int, Literal[3]], np.dtype[np.float32]], (-1, 3)),
        (np.ndarray[tuple[()], np.dtype[np.float32]], ()),
        (Points, (-1, 2)),
        (Annotated[np.ndarray[tuple[int, int], np.dtype[np.float32]], Spec("FP32")], (-1, -1)),
    ],
)
def test_a_hint_that_says_the_dimensions_declares_and_checks_them(serve, hint, shape):
    model = serve(taking(hint))

    assert bare(model.metadata.inputs) == (Spec("FP32", shape, "x"),)
    with pytest.raises(WrongShape, match=r"Input 'x' has shape \[2\]"):
        model.answer(request(Tensor("x", np.ones(2, np.float32))), None)


@pytest.mark.parametrize(
    "hint, sentence",
    [
        (lambda: NDArray[np.complex64], "an array of complex64, which no datatype of the protocol can carry; .*FP32"),
        (lambda: NDArray[np.datetime64], "an array of datetime64, which no datatype"),
        (lambda: NDArray[np.float32 | np.complex64], "an array of complex64"),
        (lambda: np.ndarray[np.float32], r"a datatype where a shape belongs; write NDArray\[np.float32\]"),
        (lambda: NDArray[np.float32] | list[str], r"which may be any of list\[str\], ndarray; hint the one"),
        (lambda: written("type Alias = Nowhere"), "predict's argument 'x' has a hint .*'Nowhere' is not defined"),
        (lambda: written("type Alias = Other; type Other = Alias"), "Alias, which means itself|Other, which means"),
        (lambda: written("type Alias = Alias | None"), "means itself"),
        (lambda: "Nowhere[np.float32]", "predict's type hints cannot be read: name 'Nowhere' is not defined"),
    ],
    ids=["complex", "datetime64", "union", "shape", "two kinds", "nowhere", "endless", "endless union", "text"],
)
def test_a_hint_that_means_no_tensor_is_refused_at_load_by_the_name_of_its_argument(serve, hint, sentence):
    with pytest.raises(BadSignature, match=sentence):
        serve(taking(hint()))


def test_an_array_of_two_dimensions_and_any_datatype_has_its_dimensions_checked(serve):
    model = serve(taking(np.ndarray[tuple[int, int], np.dtype[Any]]))

    assert bare(model.metadata.inputs) == ()
    with pytest.raises(WrongShape, match=r"has shape \[1\]; the model takes \[-1, -1\]"):
        model.answer(request(Tensor("x", ["a"])), None)


TEXT = [NDArray[np.str_], np.ndarray[Any, np.dtypes.StrDType]]
if hasattr(np.dtypes, "StringDType"):
    TEXT.append(np.ndarray[Any, np.dtypes.StringDType])


@pytest.mark.parametrize("hint", TEXT, ids=str)
def test_an_array_of_str_is_one(serve, hint):
    class Compares(Runtime):
        def predict(self, x, other=None):
            return {"same": x == np.array("ü"), "kind": [type(x.dtype).__name__]}

    Compares.predict.__annotations__["x"] = hint
    model = serve(Compares)

    response = model.answer(request(Tensor("x", [["a", "ü"]])), None)

    assert response["same"].tolist() == [[False, True]]
    assert response["kind"].tolist() == [b"StringDType" if "StringDType" in str(hint) else b"StrDType"]
    assert model.answer(request(Tensor("x", [], "BYTES", [0])), None)["same"].size == 0
    with pytest.raises(InvalidInput, match="'x' holds bytes that are not UTF-8; the model takes an array of str"):
        model.answer(request(Tensor("x", [b"\xff"])), None)


def test_an_array_of_str_cannot_end_in_what_numpy_drops(serve):
    with pytest.raises(InvalidInput, match="'x' holds text that ends in NUL"):
        serve(taking(NDArray[np.str_])).answer(request(Tensor("x", [b"a\0"])), None)


class Called:
    def __call__(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        return x


@pytest.mark.parametrize("predict", [Called(), partial(Called())], ids=["object", "partial"])
def test_an_object_that_can_be_called_is_read_as_a_method_is(serve, predict):
    class Takes(Runtime):
        def load(self):
            self.predict = predict

    assert bare(serve(Takes).metadata.inputs) == (Spec("FP32", None, "x"),)


def test_sentences_name_the_method_that_is_meant(serve):
    class Streams(Runtime):
        def predict_stream(self, x: complex): ...

    with pytest.raises(BadSignature, match="predict_stream's argument 'x' is hinted with complex"):
        serve(Streams)


@pytest.mark.parametrize(
    "hint",
    [
        List[str],  # noqa: UP006
        typing.Optional[List[str]],  # noqa: UP006, UP045
        list[NewType("Word", str)],
        list[Annotated[str, "a word"]],
    ],
)
def test_a_list_is_read_however_it_is_written(serve, hint):
    model = serve(taking(hint))

    assert model.answer(request(Tensor("x", ["a"])), None)["kind"].tolist() == [b"list"]
    assert bare(model.metadata.inputs) == (Spec("BYTES", None, "x"),)


def test_an_alias_of_the_request_or_of_a_stream_is_what_it_stands_for(serve):
    asked = backported("Asked", InferenceRequest)
    frames = backported("Frames", Iterator[NDArray[np.float32]])

    class Streams(Runtime):
        def predict_stream(self, anything: asked) -> frames:
            yield anything["x"]

    model = serve(Streams)
    (response,) = model.stream(request(Tensor("x", [1.0])), None)

    assert response["output"].tolist() == [1]
    assert bare(model.metadata.outputs) == (Spec("FP32", None, "output"),)


def test_any_is_no_hint(serve):
    class Takes(Runtime):
        def predict(self, x: Any, y: object):
            return x + y

    model = serve(Takes)

    assert model.answer(request(Tensor("x", [1]), Tensor("y", [2])), None)["output"].tolist() == [3]
    with pytest.raises(UnknownInput):
        model.answer(request(Tensor("x", [1]), Tensor("z", [2])), None)

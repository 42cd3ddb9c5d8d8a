"""The codec that a request or the settings choose gives the type that predict's hint names, or it is refused."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from srv.codec import InputCodec
from srv.codecs import Codecs
from srv.errors import InvalidInput
from srv.inference.signatures import BadSignature
from srv.messages import InferenceRequest
from srv.model_settings import ModelParameters, Spec
from srv.runtime import Runtime
from srv.tensors import Tensor
from srv.testing import isolated_plugins


class Words(Runtime):
    def predict(self, words: list[str]) -> list[str]:
        return [word.upper() for word in words]

    def predict_stream(self, words: list[str]) -> Iterator[list[str]]:
        for word in words:
            yield [word.upper()]


class Frame(Runtime):
    def predict(self, table: pd.DataFrame) -> list[str]:
        return list(table.columns)


class Both(Runtime):
    def predict(self, table: pd.DataFrame, words: list[str]) -> list[str]:
        return [*table.columns, *words]


class Numbers(Runtime):
    def predict(self, x: NDArray[np.float64], words: list[str] | None = None):
        return x


class Unhinted(Runtime):
    def predict(self, x, other=None):
        return [type(x).__name__]


class Anything(Runtime):
    def predict(self, x: list[Any], other: Any = None):
        return [type(x).__name__, type(x[0]).__name__]


class Texts(Runtime):
    def predict(self, words: Sequence[str], more: Iterable[bytes] = ()) -> list[str]:
        return [*words, *(each.decode() for each in more)]


def asking(tensor, *, request=None, tensors=()):
    parameters = {} if request is None else {"content_type": request}
    return InferenceRequest([tensor, *tensors], parameters=parameters)


def text(name, content_type=None, value="SGk="):
    return Tensor(name, [value], parameters={} if content_type is None else {"content_type": content_type})


def numbers(name, content_type=None):
    return Tensor(name, [1.0], parameters={} if content_type is None else {"content_type": content_type})


@pytest.mark.parametrize(
    "runtime, request_, sentence",
    [
        (
            Words,
            asking(text("words", "np")),
            r"Input 'words' has .* 'np', which gives ndarray; .*'?s predict takes list",
        ),
        (
            Words,
            asking(text("words"), request="np"),
            r"'np', which gives ndarray; .* takes list\[str\], content type str",
        ),
        (Words, asking(text("words", "json", "{}")), r"'json', which gives list\[Any\]; .* takes list\[str\]"),
        (Words, asking(text("words", "base64")), r"'base64', which gives list\[bytes\]"),
        (Words, asking(text("words", "datetime")), r"'datetime', which gives list\[datetime.datetime\]"),
        (Words, asking(text("words"), request="base64"), r"'base64', which gives list\[bytes\]"),
        (
            Frame,
            asking(numbers("a"), request="np"),
            r"The request has .*'np', which gives ndarray; .*DataFrame.*type pd",
        ),
        (Frame, asking(text("a"), request="str"), r"The request has .*'str', which gives list\[str\]"),
        (Frame, asking(text("a"), request="base64"), r"The request has .*'base64', which gives list\[bytes\]"),
        (Numbers, asking(numbers("x", "str")), r"Input 'x' has .*'str', which gives list\[str\]; .*takes .*type np"),
        (Numbers, asking(numbers("x"), request="np", tensors=[text("words")]), "Input 'words' has .*'np'"),
        (Texts, asking(text("words", "json", "1")), r"takes collections.abc.Sequence\[str\], content type str"),
    ],
)
def test_a_content_type_that_gives_another_type_than_the_hint_is_a_bad_request(serve, runtime, request_, sentence):
    with pytest.raises(InvalidInput, match=sentence):
        serve(runtime).answer(request_, None)


def test_a_stream_is_as_strict_and_names_its_method(serve):
    with pytest.raises(InvalidInput, match=r"'np', which gives ndarray; the model's predict_stream takes list\[str\]"):
        list(serve(Words).stream(asking(text("words", "np")), None))


@pytest.mark.parametrize(
    "runtime, request_, answer",
    [
        (Words, asking(text("words", "str", "hi")), ["HI"]),
        (Words, asking(text("words", None, "hi"), request="str"), ["HI"]),
        (Words, asking(text("words", None, "hi"), request="pd"), ["HI"]),
        (Words, asking(text("words", "srv-inference:str", "hi")), ["HI"]),
        (Frame, asking(numbers("a")), ["a"]),
        (Frame, asking(numbers("a"), request="pd"), ["a"]),
        (Frame, asking(text("a", "datetime", "2026-01-01"), request="pd"), ["a"]),
        (Numbers, asking(numbers("x", "np")), [1.0]),
        (Numbers, asking(numbers("x"), request="np"), [1.0]),
        (Numbers, asking(numbers("x"), request="np", tensors=[text("words", "str")]), [1.0]),
        (Unhinted, asking(text("x", "np")), ["ndarray"]),
        (Unhinted, asking(text("x", "json", "1")), ["list"]),
        (Anything, asking(text("x", "str")), ["list", "str"]),
        (Anything, asking(text("x", "base64")), ["list", "bytes"]),
        (Anything, asking(text("x", None, "1")), ["list", "int"]),
        (Texts, asking(text("words", None, "a"), tensors=[text("more", "base64")]), ["a", "Hi"]),
    ],
)
def test_a_content_type_that_gives_what_the_hint_names_is_taken_twice_as_once(serve, runtime, request_, answer):
    model = serve(runtime)

    for _ in range(2):
        (output,) = model.answer(request_, None).outputs
        assert [each.decode() if isinstance(each, bytes) else each for each in output.data.tolist()] == answer


def test_a_table_beside_an_input_is_read_by_pd_and_the_input_by_its_hint(serve):
    request = asking(text("words", None, "hi"), request="pd")

    assert serve(Both).answer(request, None)["output"].tolist() == [b"words", b"hi"]


def declared(content_type, name="words"):
    return {"inputs": (Spec("BYTES", None, name, {"content_type": content_type}),)}


def of_all(content_type):
    return {"parameters": ModelParameters(content_type=content_type)}


@pytest.mark.parametrize(
    "runtime, settings, sentence",
    [
        (Words, declared("np"), r"input 'words' the content type 'np', which gives ndarray; predict takes list\[str\]"),
        (Words, declared("json"), r"'json', which gives list\[Any\]; .*Take it out, or say str"),
        (Words, of_all("np"), r"input 'words' the content type 'np'"),
        (Frame, of_all("np"), "the whole request the content type 'np', which gives ndarray; .*DataFrame.*or say pd"),
        (Frame, of_all("base64"), "the whole request the content type 'base64'"),
        (Numbers, of_all("str"), "input 'x' the content type 'str'"),
    ],
)
def test_settings_that_give_another_type_than_the_hint_are_refused_at_load(serve, runtime, settings, sentence):
    with pytest.raises(BadSignature, match=sentence):
        serve(runtime, **settings)


@pytest.mark.parametrize(
    "runtime, settings, tensor",
    [
        (Words, declared("str"), text("words")),
        (Words, of_all("str"), text("words")),
        (Words, of_all("pd"), text("words")),
        (Frame, of_all("pd"), text("words")),
        (Unhinted, declared("json", "x"), text("x", value="1")),
        (Anything, declared("base64", "x"), text("x")),
    ],
)
def test_settings_that_give_what_the_hint_names_are_taken(serve, runtime, settings, tensor):
    serve(runtime, **settings).answer(asking(tensor), None)


def test_the_settings_read_the_only_input_of_any_name(serve):
    class Only(Runtime):
        any_input_name = True

        def predict(self, x: list[Any]):
            return [type(x[0]).__name__]

    model = serve(Only, **declared("base64", "told"))

    assert model.answer(asking(text("called")), None)["output"].tolist() == [b"bytes"]


@pytest.mark.parametrize("hint", [list, Sequence[Any], Iterable], ids=str)
def test_a_hint_that_several_codecs_fit_is_refused_at_load(serve, hint):
    class Takes(Runtime):
        def predict(self, x, other=None): ...

    Takes.predict.__annotations__["x"] = hint

    with pytest.raises(BadSignature, match=r"'x' is hinted with .*, which may be any of .*list\[str\].*; hint the one"):
        serve(Takes)


class Picture(np.ndarray):
    """An array of a class of its own."""


class PictureCodec(InputCodec):
    content_type = "picture"
    type_hint = Picture

    def can_encode(self, value):
        return False

    def decode(self, tensor):
        return np.zeros(2).view(Picture)


class Takes(Runtime):
    def predict(self, x: np.ndarray, other: list[str] | None = None):
        return [type(x).__name__]


def test_a_codec_of_a_subclass_gives_what_the_hint_names(serve):
    with isolated_plugins(codecs=[PictureCodec]) as plugins:
        model = serve(Takes, codecs=Codecs(plugins))

        (output,) = model.answer(asking(text("x", "picture")), None).outputs

    assert output.data.tolist() == [b"Picture"]


class Apart(Runtime):
    def predict(self, x: list[bytes]) -> list[bytes]:
        return x

    def predict_stream(self, x: list[str]) -> Iterator[list[str]]:
        yield x


def test_an_input_that_only_one_method_reads_as_base64_is_refused_at_load(serve):
    with pytest.raises(
        BadSignature, match="'x' has the content type 'base64' by predict's hint, and 'str' by predict_str"
    ):
        serve(Apart)

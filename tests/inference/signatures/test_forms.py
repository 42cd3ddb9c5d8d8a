"""Values and records over the wire: the same in JSON, as binary data and over gRPC."""

from base64 import b64encode
from dataclasses import dataclass

import pytest

from srv import Runtime, Tensor
from srv.testing import Client, model
from srv.testing.requests import as_request
from srv.testing.transports import FORMS


@dataclass
class Sampling:
    key: bytes
    weights: list[float]
    most: int = 3
    greedy: bool = False
    name: str = "x"


@dataclass
class Told:
    key: bytes
    total: float
    said: str
    greedy: bool
    places: list[int]


class Values(Runtime):
    def predict(self, sampling: Sampling) -> Told:
        places = list(range(sampling.most))
        return Told(sampling.key[::-1], sum(sampling.weights), sampling.name * 2, sampling.greedy, places)


class Words(Runtime):
    def predict(self, words: list[str]) -> list[str]:
        return [word.upper() for word in words]


INPUTS = {
    "key": Tensor("key", b"\xff\0"),
    "weights": Tensor("weights", [[1.5], [2.0]], "FP32"),
    "most": Tensor("most", [2], "UINT8"),
    "greedy": Tensor("greedy", [[True]]),
    "name": ["ü"],
}


@pytest.fixture(scope="module")
def client():
    with Client.of(model(Values), model(Words)) as client:
        yield client


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
def test_values_are_the_same_in_every_form(client, form):
    inputs = INPUTS
    if not form.carries(as_request(inputs)):
        inputs = {**INPUTS, "key": Tensor("key", b64encode(b"\xff\0").decode())}

    answer = form.infer(client, "Values", as_request(inputs))

    assert answer.ok, answer
    given = {output.name: output.data.tolist() for output in answer.response.outputs}
    assert given.pop("key") in ([b"\0\xff"], [b64encode(b"\0\xff")])
    assert given == {"total": [3.5], "said": ["üü".encode()], "greedy": [True], "places": [0, 1]}


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
@pytest.mark.parametrize(
    "change, sentence",
    [
        ({"most": Tensor("most", [2.0])}, "'most' is FP64; the model takes UINT8"),
        ({"most": [1, 2]}, "'most' has shape [2]; the model takes one int"),
        ({"greedy": [1]}, "'greedy' is INT64; the model takes BOOL"),
        ({"name": ["a", "b"]}, "'name' has shape [2]; the model takes one str"),
        ({"weights": None}, "'weights' is missing"),
    ],
    ids=["float", "two", "no bool", "two texts", "missing"],
)
def test_a_wrong_value_is_a_bad_request_in_every_form(client, form, change, sentence):
    inputs = {**INPUTS, "key": Tensor("key", b64encode(b"\xff").decode()), **change}
    answer = form.infer(client, "Values", as_request({name: each for name, each in inputs.items() if each is not None}))

    assert answer.status == 400
    assert sentence in str(answer)


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
@pytest.mark.parametrize("place", ["input", "request"])
def test_a_content_type_that_does_not_fit_the_hint_is_a_bad_request_in_every_form(client, form, place):
    chosen = {"content_type": "np"}
    words = Tensor("words", ["hi"], parameters=chosen if place == "input" else {})

    answer = form.infer(client, "Words", as_request([words], parameters=chosen if place == "request" else {}))

    assert answer.status == 400
    assert "'words' has the content type 'np', which gives ndarray; the model's predict takes list[str]" in str(answer)

"""The generate extension: what stands beside `text_input`, and bodies in infer's form."""

import json
from collections.abc import Iterator

import numpy as np
import pytest

from srv import InferenceRequest, InferenceResponse, Runtime, Spec, Tensor
from srv.testing import model
from srv.testing.requests import as_binary, as_request

SAID = {"text_input": "a b c d"}


class Hears(Runtime):
    """Tells the parameters that reached it, as text."""

    def predict(self, request: InferenceRequest) -> InferenceResponse:
        heard = {"parameters": dict(request.parameters), "inputs": {one.name: one.shape for one in request.inputs}}
        return InferenceResponse([Tensor("text_output", [json.dumps(heard)])])

    def predict_stream(self, request: InferenceRequest) -> Iterator[InferenceResponse]:
        yield self.predict(request)


class Nested(Hears):
    nested_parameters = True


class Words(Runtime):
    """Takes what a client of generate may say by its signature."""

    def predict(self, text_input: str, max_tokens: int = 2, stop: list[str] | None = None) -> str:
        return " ".join(word for word in text_input.split()[:max_tokens] if word not in (stop or ()))

    def predict_stream(self, text_input: str, max_tokens: int = 2, stop: list[str] | None = None) -> Iterator[str]:
        yield from self.predict(text_input, max_tokens, stop).split()


class Talks(Runtime):
    """Takes more where it streams."""

    def predict(self, text_input: str) -> str:
        return text_input

    def predict_stream(self, text_input: str, max_tokens: int = 2) -> Iterator[str]:
        yield from text_input.split()[:max_tokens]


class Prompt(Runtime):
    any_input_name = True

    def predict(self, prompt: list[str]) -> list[str]:
        return [text.upper() for text in prompt]


@pytest.fixture
def generate(srv_client):
    """What a model answers to a body, or the sentence and code with which it refuses."""

    def ask(runtime, body, *, stream=False, **settings):
        client = srv_client(model(runtime, name="m", **settings))
        answer = client.post(f"/v2/models/m/generate{'_stream' if stream else ''}", body)
        if not answer.ok:
            return answer.status, answer.code, answer.error
        return frames(answer) if stream else answer.json

    return ask


def frames(answer):
    *texts, end = answer.body.decode().split("\n\n")
    assert end == ""
    return [json.loads(text.removeprefix("data: ")) for text in texts]


def heard(answer):
    return json.loads(answer["text_output"])["parameters"]


# -- parameters --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [False, True], ids=["generate", "generate_stream"])
def test_keys_beside_the_text_are_parameters_too(generate, stream):
    body = SAID | {"max_tokens": 5, "temperature": 0.5, "echo": True, "stop": "b", "parameters": {"seed": 7}}

    answer = generate(Hears, body, stream=stream)

    assert heard(answer[0] if stream else answer) == {
        "max_tokens": 5,
        "temperature": 0.5,
        "echo": True,
        "stop": "b",
        "seed": 7,
    }


def test_an_id_is_no_parameter_and_comes_back(generate):
    answer = generate(Hears, SAID | {"id": "seven", "parameters": None})

    assert (answer["id"], heard(answer)) == ("seven", {})
    assert "id" not in generate(Hears, SAID | {"id": ""})


def test_a_parameter_that_is_given_twice_is_refused(generate):
    said = generate(Hears, SAID | {"max_tokens": 5, "parameters": {"max_tokens": 6}})

    assert said == (
        400,
        "INVALID_INPUT",
        "'max_tokens' is given twice: beside text_input and in parameters. Send one of the two.",
    )


@pytest.mark.parametrize("place", ["beside", "among"])
def test_a_null_says_that_a_parameter_is_not_there(generate, place):
    given = {"p": None, "q": 1}

    answer = generate(Hears, SAID | (given if place == "beside" else {"parameters": given}))

    assert answer == generate(Hears, SAID | {"q": 1})


@pytest.mark.parametrize("stream", [False, True], ids=["generate", "generate_stream"])
@pytest.mark.parametrize("value, kind", [([1], "array"), ({"a": 1}, "object")], ids=["array", "object"])
@pytest.mark.parametrize("place", ["beside", "among"])
def test_a_value_that_is_no_parameter_is_refused(generate, stream, value, kind, place):
    body = SAID | ({"p": value} if place == "beside" else {"parameters": {"p": value}})

    assert generate(Hears, body, stream=stream) == (
        400,
        "INVALID_INPUT",
        f"parameters['p']: expected boolean or integer or number or string, got {kind}.",
    )


def test_lists_and_objects_reach_a_runtime_that_takes_them(generate):
    body = SAID | {"tools": [{"name": "a", "deep": [None, [1.5]]}], "parameters": {"schema": {"type": "object"}}}

    assert heard(generate(Nested, body)) == {
        "tools": [{"name": "a", "deep": [None, [1.5]]}],
        "schema": {"type": "object"},
    }


@pytest.mark.parametrize(
    "text, sentence",
    [
        (b'{"text_input": "a", "p": 1e999}', "parameters['p']: number out of range."),
        (b'{"text_input": "a", "p": 99999999999999999999999}', "parameters['p']: integer out of range."),
        (b'{"text_input": "a", "p": "\\ud800"}', "p: the text holds half of a surrogate pair, which UTF-8 cannot say."),
        (b'{"text_input": "\\ud800"}', "text_input: the text holds half of a surrogate pair, which UTF-8 cannot say."),
        (b'{"text_input": "a", "p": nul}', "The body is not valid JSON: invalid character (byte 26)."),
        (b'["text_input"]', "The body: expected object, got array."),
        (b'{"text_input": "a", "parameters": []}', "parameters: expected object or null, got array."),
        (b"", "The body is empty; a JSON object belongs there."),
    ],
)
def test_what_is_no_value_is_refused_by_its_name(generate, text, sentence):
    assert generate(Hears, text) == (400, "INVALID_INPUT", sentence)


# -- inputs of the model's own -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["beside", "among"])
@pytest.mark.parametrize("stream", [False, True], ids=["generate", "generate_stream"])
def test_a_parameter_that_the_signature_names_is_its_argument(generate, stream, place):
    body = SAID | ({"max_tokens": 3} if place == "beside" else {"parameters": {"max_tokens": 3}})

    answer = generate(Words, body, stream=stream)

    words = [frame["text_output"] for frame in answer] if stream else answer["text_output"].split()
    assert words == ["a", "b", "c"]


def test_a_parameter_is_an_argument_of_the_method_that_answers(generate):
    body = SAID | {"max_tokens": 3}

    assert [frame["text_output"] for frame in generate(Talks, body, stream=True)] == ["a", "b", "c"]
    assert generate(Talks, body)["text_output"] == "a b c d"


def test_an_argument_that_is_a_list_takes_a_list(generate):
    assert generate(Words, SAID | {"max_tokens": 4, "stop": ["b", "c"]})["text_output"] == "a d"
    assert generate(Words, SAID | {"max_tokens": 4, "stop": "b"})["text_output"] == "a c d"


@pytest.mark.parametrize(
    "value, sentence",
    [
        ("3", "max_tokens.data[0]: expected integer, got string."),
        (1.5, "max_tokens.data[0]: expected integer, got number."),
        ([1, 2], None),
    ],
)
def test_an_argument_of_another_kind_is_refused(generate, value, sentence):
    status, code, said = generate(Words, SAID | {"max_tokens": value})

    assert (status, code) == (400, "INVALID_INPUT")
    assert said == sentence or "max_tokens" in said


@pytest.mark.parametrize("shape", [(1,), (-1,), (-1, 1), ()], ids=str)
def test_the_text_has_the_shape_that_the_model_declares(generate, shape):
    declared = [{"name": "text_input", "datatype": "BYTES", "shape": list(shape)}]

    answer = generate(Hears, SAID, inputs=declared)

    assert json.loads(answer["text_output"])["inputs"] == {"text_input": [1] * len(shape)}


def test_a_model_that_takes_its_only_input_under_any_name_takes_the_text(generate):
    assert generate(Prompt, SAID)["text_output"] == "A B C D"


# -- bodies of infer ---------------------------------------------------------------------------------------------------

MLSERVERS = {
    "inputs": [
        {
            "name": "text_input",
            "datatype": "BYTES",
            "shape": [1],
            "data": ["a b c"],
            "parameters": {"content_type": "str"},
        }
    ],
    "outputs": [],
}


def test_a_body_with_inputs_is_taken_and_answered_as_infer_does_it(srv_client):
    client = srv_client(model(Words, name="m"))
    body = MLSERVERS | {"id": "seven"}

    generated, inferred = client.post("/v2/models/m/generate", body), client.post("/v2/models/m/infer", body)

    assert generated.json == inferred.json
    assert generated.json["outputs"][0]["data"] == ["a b"]


def test_a_body_with_inputs_is_streamed_as_infer_stream_does_it(srv_client):
    client = srv_client(model(Words, name="m"))

    generated, inferred = (
        client.post(f"/v2/models/m/{route}", MLSERVERS) for route in ("generate_stream", "infer_stream")
    )

    assert generated.headers["content-type"] == inferred.headers["content-type"] == "text/event-stream"
    assert frames(generated) == frames(inferred)
    assert [frame["outputs"][0]["data"] for frame in frames(generated)] == [["a"], ["b"]]


def test_a_binary_body_is_taken_as_infer_takes_it(srv_client):
    class Double(Runtime):
        def predict(self, x: np.ndarray) -> np.ndarray:
            return 2 * x

    client = srv_client(model(Double, name="m"))
    body, headers = as_binary(as_request({"x": np.arange(3.0)}))

    answer = client.request("POST", "/v2/models/m/generate", body, headers=headers)

    assert answer["output"].tolist() == [0, 2, 4]
    assert answer.headers["content-type"] == "application/octet-stream"


def test_what_is_wrong_in_a_body_with_inputs_is_told_as_infer_tells_it(generate):
    body = {"inputs": [{"name": "text_input", "datatype": "BYTES", "shape": [2], "data": ["a"]}]}

    assert generate(Words, body) == (
        400,
        "INVALID_INPUT",
        "inputs[0].data: 1 value does not fill the shape [2], which has 2.",
    )


@pytest.mark.parametrize("stream", [False, True], ids=["generate", "generate_stream"])
def test_a_body_of_both_forms_is_refused(generate, stream):
    assert generate(Words, SAID | MLSERVERS, stream=stream) == (
        400,
        "INVALID_INPUT",
        "The body has both text_input and inputs; send one of the two.",
    )


def test_what_a_model_declares_by_itself_is_given_to_it_too(generate):
    class Declares(Hears):
        def load(self) -> None:
            self.inputs = [Spec("BYTES", (-1,), "text_input"), Spec("FP32", (1,), "temperature")]

    answer = generate(Declares, SAID | {"temperature": 0.5})

    told = json.loads(answer["text_output"])
    assert told == {"parameters": {"temperature": 0.5}, "inputs": {"text_input": [1], "temperature": [1]}}


@pytest.mark.parametrize("stream", [False, True], ids=["generate", "generate_stream"])
@pytest.mark.parametrize("stop", [[None], ["a", None]])
def test_null_in_a_list_of_texts_is_refused_as_infer_refuses_it(generate, stop, stream):
    status, code, sentence = generate(Words, SAID | {"stop": stop}, stream=stream)

    place = stop.index(None)
    assert (status, code) == (400, "INVALID_INPUT")
    assert sentence == f"Input 'stop': its value [{place}] is null; this model takes no missing values."

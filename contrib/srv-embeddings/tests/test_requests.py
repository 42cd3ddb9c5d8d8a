"""What a request may say, and what is refused with which sentence."""

from functools import partial

import numpy as np
import pytest
from tiny_models import sentence_model, static_model, tokenizer

WRONG = "INVALID_INPUT"


@pytest.fixture
def client(served):
    return served(sentence_model, max_characters=1000)


def refused(answer):
    assert (answer.status, answer.code) == (400, WRONG)
    return answer.error


def elements(*given):
    return np.array(given, dtype=object)


@pytest.mark.parametrize("name", ["text", "input", "predict", "input-0"])
@pytest.mark.parametrize("shape", [(2,), (2, 1)])
def test_the_texts_may_have_any_name_and_one_column(client, name, shape):
    answer = client.infer("m", {name: elements(b"fox", b"dog").reshape(shape)}, form="binary")
    assert answer["embedding"].shape == (2, 16)
    assert np.array_equal(answer["embedding"], client.infer("m", {"text": ["fox", "dog"]}, form="binary")["embedding"])


@pytest.mark.parametrize(
    "inputs, said",
    [
        ({"text": np.ones(2)}, "Input 'text' is FP64; texts are BYTES."),
        ({"text": elements(b"a", b"b").reshape(1, 2)}, "Input 'text' has the shape [1, 2]; texts are [n] or [n,1]."),
        ({"text": elements(b"a").reshape(())}, "Input 'text' has the shape []; texts are [n] or [n,1]."),
        ({"text": elements(b"a", b"\xff\xfe")}, "Input 'text', row 1: the bytes are not UTF-8, which texts are."),
        ({"text": elements(b"a", b"\xed\xa0\x80")}, "Input 'text', row 1: the bytes are not UTF-8, which texts are."),
        ({"x": elements(b"a"), "y": elements(b"a")}, "Input 'x' is unknown; the model takes text."),
        ({}, "Input 'text' is missing; the request brings none."),
        (
            {"text": elements(b"a", b"b" * 1001)},
            "Input 'text', row 1: the text has 1001 characters, more than the 1000 that parameters.extra.max_characters allows.",
        ),
    ],
)
def test_what_is_no_text_is_refused(client, inputs, said):
    assert refused(client.infer("m", inputs, form="binary")) == said


@pytest.mark.parametrize("values", [[None], ["a", None]])
def test_null_is_no_text(client, values):
    body = {"inputs": [{"name": "text", "datatype": "BYTES", "shape": [len(values)], "data": values}]}
    assert "this model takes no missing values" in refused(client.post("/v2/models/m/infer", body))


@pytest.mark.parametrize("text", ["\\ud83d", "a \\ud83d b", "\\ude00"])
def test_half_a_surrogate_pair_is_no_text(client, text):
    body = '{"inputs": [{"name": "text", "datatype": "BYTES", "shape": [1], "data": ["' + text + '"]}]}'
    answer = client.post("/v2/models/m/infer", body.encode())
    assert refused(answer)


def test_the_content_type_json_is_refused_with_what_is_taken(client):
    body = {"name": "text", "datatype": "BYTES", "shape": [1], "data": ['"a"'], "parameters": {"content_type": "json"}}
    said = refused(client.post("/v2/models/m/infer", {"inputs": [body]}))
    assert said == "Input 'text' has the content type 'json'; texts are str."


@pytest.mark.parametrize(
    "parameters, said",
    [
        ({"normalize": "yes"}, "Parameter 'normalize' is 'yes'; it must be true or false."),
        ({"normalise": True}, "Parameter 'normalise' is unknown. Did you mean 'normalize'?"),
        ({"dimension": 4}, "Parameter 'dimension' is unknown. Did you mean 'dimensions'?"),
        ({"dimensions": 0}, "Parameter 'dimensions' is '0'; it must be an integer from 1 to 16."),
        ({"dimensions": 17}, "Parameter 'dimensions' is '17'; it must be an integer from 1 to 16."),
        ({"dimensions": True}, "Parameter 'dimensions' is 'True'; it must be an integer from 1 to 16."),
        ({"dimensions": 4.0}, "Parameter 'dimensions' is '4.0'; it must be an integer from 1 to 16."),
        ({"prompt": 1}, "Parameter 'prompt' is '1'; it must be a text."),
        (
            {"prompt": "a", "prompt_name": "query"},
            "Parameter 'prompt_name' is 'query'; it must be absent where there is a prompt.",
        ),
        (
            {"prompt_name": "querry"},
            "The model has no prompt called 'querry'; it has passage, query. Did you mean 'query'?",
        ),
        ({"truncate": 0}, "Parameter 'truncate' is '0'; it must be true or false."),
    ],
)
def test_parameters_that_cannot_be_are_refused(client, parameters, said):
    assert refused(client.infer("m", {"text": ["fox"]}, parameters=parameters)) == said


def test_parameters_that_are_for_others_are_left_to_them(client):
    assert client.infer("m", {"text": ["fox"]}, parameters={"priority": 1, "tenant": "shop"}).ok


def test_a_text_that_is_too_long_is_cut_or_refused(client):
    long = ["fox", "fox " * 99]
    assert client.infer("m", {"text": long}).ok
    said = refused(client.infer("m", {"text": long}, parameters={"truncate": False}))
    assert (
        said == "Input 'text', row 1: the text has more than the 32 tokens that the model takes, and truncate is false."
    )
    assert client.infer("m", {"text": ["fox"]}, parameters={"truncate": False}).ok


def test_the_place_of_a_text_counts_from_the_first_of_all(served):
    client = served(static_model, max_characters=10_000)
    given = elements(*[b"fox"] * 5000, b"fox " * 600)
    said = refused(client.infer("m", {"text": given}, parameters={"truncate": False}, form="binary"))
    assert said.startswith("Input 'text', row 5000: the text has more than the 512 tokens")


def test_no_texts_have_no_vectors(client):
    answer = client.infer("m", {"text": elements()}, outputs=["embedding", "tokens"], form="binary")
    assert (answer["embedding"].shape, answer["tokens"].shape) == ((0, 16), (0,))


def test_odd_texts_have_vectors(client):
    given = ["", " ", "\0", "😀👩‍👩‍👧", "ﷺ" * 50, "\n\t", "[MASK] [SEP]", "é", "e\u0301"]
    answer = client.infer("m", {"text": given})
    assert answer["embedding"].shape == (len(given), 16)
    assert np.isfinite(answer["embedding"]).all()


def test_a_text_without_tokens_has_no_vector(served):
    def make(folder):
        network = sentence_model(folder)
        made = tokenizer()
        made.post_processor = None
        made.save(str(folder / "tokenizer.json"))
        return network

    said = refused(served(make).infer("m", {"text": ["fox", ""]}))
    assert said == "Input 'text', row 1: the text has no tokens, so that there is no vector of it."


def test_a_text_without_tokens_beside_its_prompt_has_no_vector(served):
    def make(folder):
        network = sentence_model(folder, include_prompt=False)
        made = tokenizer()
        made.post_processor = None
        made.save(str(folder / "tokenizer.json"))
        return network

    said = refused(served(make).infer("m", {"text": ["fox", ""]}, parameters={"prompt_name": "query"}))
    assert (
        said
        == "Input 'text', row 1: the text has no tokens beside those of the prompt, so that there is no vector of it."
    )


def test_another_models_settings_of_numpy_change_nothing(served):
    client = served(partial(static_model, normalize=True))
    with np.errstate(all="raise"):
        assert client.infer("m", {"text": ["", "fox"]}).ok


def test_metadata_tells_what_the_model_is(client):
    told = client.metadata("m").json
    assert told["inputs"] == [
        {"name": "text", "datatype": "BYTES", "shape": [-1], "parameters": {"content_type": "str"}}
    ]
    assert [(each["name"], each["datatype"], each["shape"]) for each in told["outputs"]] == [
        ("embedding", "FP32", [-1, -1]),
        ("tokens", "INT64", [-1]),
    ]
    versions = {name: told["parameters"].pop(name) for name in ("onnxruntime", "tokenizers")}
    assert all(versions.values())
    assert told["parameters"] == {
        "kind": "transformer",
        "dimension": 16,
        "pooling": "mean",
        "normalized": False,
        "max_tokens": 32,
        "prompts": {"query": "query: ", "passage": "passage: "},
        "default_prompt": None,
        "similarity": "cosine",
        "model": "onnx/model.onnx",
    }

"""What requests may not be: each a 400 whose sentence says what does not fit."""

import io
import wave

import numpy as np
import pytest
from tiny_models import sentences

LONG = " ".join(["cat"] * 70)
SILENCE = np.zeros((1, 16000), dtype=np.float32)


def refusal(served, name, inputs, **parameters):
    answer = served.infer(name, inputs, parameters=parameters, form="binary")
    assert answer.status == 400, answer
    return answer.json["error"]


def wav(rate):
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setparams((1, 2, rate, 0, "NONE", ""))
        writer.writeframes(bytes(2 * rate))
    return file.getvalue()


@pytest.mark.parametrize(
    "name, inputs, parameters, said",
    [
        pytest.param("bert", {"text": np.array([1.5])}, {}, "Input 'text' is FP64 [1]; the model takes BYTES", id="number as text"),
        pytest.param("bert", {"text": np.array([["a", "b"]])}, {}, "Input 'text' is BYTES [1, 2]; the model takes", id="two columns"),
        pytest.param("bert", {"text": np.array([], dtype=object).astype("S")}, {}, "'text' is empty", id="no rows"),
        pytest.param("bert", {"text": [b"\xff\xfe"]}, {}, "not UTF-8", id="no text"),
        pytest.param("bert", {"text": ["a"], "other": ["b"]}, {}, "'other' is unknown", id="unknown input"),
        pytest.param("bert", {"text": ["cat", LONG]}, {}, "row 1, has 72 tokens, and the model takes 64", id="too long"),
        pytest.param("ner", {"text": [LONG]}, {}, "has 72 tokens, and the model takes 64", id="too long for entities"),
        pytest.param("features", {"text": [LONG]}, {}, "truncation: true", id="too long for features"),
        pytest.param("bert", {"text": ["a"]}, {"top_k": 4}, "'top_k' is 4, and the model has 3 classes", id="too many classes"),
        pytest.param("bert", {"text": ["a"]}, {"top_k": "2"}, "'top_k': Not a valid integer", id="text as number"),
        pytest.param("bert", {"text": ["a"]}, {"top_k": 0}, "'top_k': Must be greater than or equal to 1", id="out of range"),
        pytest.param("bert", {"text": ["a"]}, {"truncation": 1}, "'truncation': Must be true or false", id="number as boolean"),
        pytest.param("bert", {"text": ["a"]}, {"function_to_apply": "tanh"}, "Must be one of: sigmoid, softmax, none", id="unknown function"),
        pytest.param("bert", {"text": ["a"]}, {"max_new_tokens": 3}, "'max_new_tokens' is unknown", id="another task's parameter"),
        pytest.param("pairs", {"text": ["a"]}, {}, "'text_pair' is missing", id="half a pair"),
        pytest.param("pairs", {"text": ["a"], "text_pair": ["b", "c"]}, {}, "'text' has 1 elements and 'text_pair' 2", id="uneven pairs"),
        pytest.param("zero", {"text": ["a"]}, {"candidate_labels": []}, "'candidate_labels': Must be a text", id="no candidates"),
        pytest.param("zero", {"text": ["a"]}, {"hypothesis_template": "so"}, "no {}", id="no place for the class"),
        pytest.param("ner", {"text": ["a"]}, {"aggregation_strategy": "best"}, "Must be one of: none, simple", id="unknown strategy"),
        pytest.param("mask", {"text": ["[MASK] cat", "cat"]}, {}, "row 1, has 0 masks; write [MASK] once", id="no mask"),
        pytest.param("mask", {"text": ["[MASK] [MASK]"]}, {}, "row 0, has 2 masks", id="two masks"),
        pytest.param("mask", {"text": ["[MASK]"]}, {"targets": ["elephant"]}, "'elephant', which is no token", id="unknown target"),
        pytest.param("mask", {"text": ["[MASK]"]}, {"targets": ["cat"], "top_k": 2}, "there are 1 words", id="too few targets"),
        pytest.param("qa", {"question": ["who"]}, {}, "'context' is missing", id="no context"),
        pytest.param("qa", {"question": ["who"], "context": [" "]}, {}, "'context', row 0, is empty", id="empty context"),
        pytest.param("qa", {"question": [LONG], "context": ["cat"]}, {}, "has 70 tokens, and with the context", id="question too long"),
        pytest.param("gpt2", {"text": [""]}, {}, "row 0, is empty", id="no prompt"),
        pytest.param("gpt2", {"text": ["cat " * 60]}, {"max_new_tokens": 50}, "that is more than the 128", id="too long to continue"),
        pytest.param("gpt2", {"text": ["cat"]}, {"max_new_tokens": 3, "min_new_tokens": 4}, "'min_new_tokens' is 4, and", id="least above most"),
        pytest.param("gpt2", {"text": ["cat"]}, {"temperature": 0.5}, "send do_sample: true too", id="temperature alone"),
        pytest.param("gpt2", {"text": ["cat"]}, {"temperature": "0.5"}, "'temperature': Must be a number", id="text as temperature"),
        pytest.param("gpt2", {"text": ["cat"]}, {"top_p": 2, "do_sample": True}, "'top_p': Must be greater than 0", id="share above one"),
        pytest.param("t5", {"text": [LONG]}, {}, "has 72 tokens, and the model takes 64", id="too long to transform"),
        pytest.param("vit", {"image": [b"\x89PNG broken"]}, {}, "row 0, is no image that can be read", id="broken image"),
        pytest.param("vit", {"image": np.zeros((2, 2, 3), np.uint8)}, {}, "the model takes BYTES [n]", id="pixels of one image"),
        pytest.param("vit", {"image": np.zeros((1, 2, 2, 4), np.uint8)}, {}, "pixels in RGB", id="four channels"),
        pytest.param("vit", {"image": np.zeros((1, 2, 2, 3))}, {}, "is FP64 [1, 2, 2, 3]", id="pixels as floats"),
        pytest.param("wav2vec2", {"audio": [b"RIFF, but no more"]}, {}, "is no WAV file", id="broken sound"),
        pytest.param("wav2vec2", {"audio": [wav(8000)]}, {}, "has 8000 samples a second, and the model takes 16000", id="another rate"),
        pytest.param("wav2vec2", {"audio": SILENCE}, {}, "'sampling_rate' is missing", id="no rate"),
        pytest.param("wav2vec2", {"audio": SILENCE}, {"sampling_rate": 8000}, "the model takes 16000", id="another rate of samples"),
        pytest.param("wav2vec2", {"audio": SILENCE * np.nan}, {"sampling_rate": 16000}, "holds NaN", id="no number"),
        pytest.param("wav2vec2", {"audio": SILENCE[:, :10]}, {"sampling_rate": 16000}, "has 10 samples", id="too short"),
        pytest.param("whisper", {"audio": np.zeros((1, 16000 * 31), np.float32)}, {"sampling_rate": 16000}, "longer than the 30 seconds", id="too long a sound"),
        pytest.param("whisper", {"audio": SILENCE}, {"sampling_rate": 16000, "language": "de"}, "knows one language", id="language of one"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_with_the_reason(served, name, inputs, parameters, said):
    assert said in refusal(served, name, inputs, **parameters)


def test_an_unknown_parameter_is_refused_with_the_nearest_known_one(served):
    assert "Did you mean 'truncation'?" in refusal(served, "bert", {"text": ["a"]}, truncate=True)


def test_a_text_that_is_too_long_is_cut_where_the_request_says_so(served):
    for name in ("bert", "ner", "features"):
        answer = served.infer(name, {"text": [LONG, "cat"]}, parameters={"truncation": True})
        assert answer.ok, answer
    assert answer["features"].shape == (2, 64, 32)


def test_texts_may_stand_in_a_column(served):
    rows = sentences(3)
    flat = served.infer("bert", {"text": rows})
    column = served.infer("bert", {"text": np.array(rows).reshape(3, 1)})
    assert flat["label"].tolist() == column["label"].tolist()


def test_parameters_of_the_settings_hold_where_the_request_has_none(served):
    own = served.infer("zero", {"text": ["cat"]})
    assert sorted(own["labels"].reshape(-1).tolist()) == [b"animal", b"city"]
    given = served.infer("zero", {"text": ["cat"]}, parameters={"candidate_labels": ["a", "b", "c"]})
    assert given["scores"].shape == (1, 3)


def test_parameters_of_the_protocol_say_nothing_to_the_model(served):
    assert served.infer("bert", {"text": ["cat"]}, parameters={"priority": 1, "timeout": 1000}).ok


def test_messages_become_a_prompt_by_the_models_template(served):
    messages = b'[{"role": "user", "content": "the cat"}]'
    body = {"name": "text", "datatype": "BYTES", "shape": [1], "parameters": {"content_type": "json"}}
    ask = {"inputs": [{**body, "data": [messages.decode()]}], "parameters": {"max_new_tokens": 4}}

    answer = served.post("/v2/models/chat/infer", ask)
    same = served.infer("chat", {"text": ["<user>the cat\n<assistant>"]}, parameters={"max_new_tokens": 4})

    assert answer["text_output"].tolist() == same["text_output"].tolist()
    assert answer["prompt_tokens"].tolist() == same["prompt_tokens"].tolist()
    assert "no chat template" in served.post("/v2/models/gpt2/infer", ask).json["error"]
    ask["inputs"][0]["data"] = ['["the cat"]']
    assert "row 0, is no list of messages" in served.post("/v2/models/chat/infer", ask).json["error"]


def test_metadata_say_what_the_folder_says(served):
    parameters = served.metadata("bert").json["parameters"]
    assert parameters == {
        "task": "text-classification",
        "architecture": "BertForSequenceClassification",
        "labels": ["negative", "neutral", "positive"],
        "max_tokens": 64,
        "transformers": parameters["transformers"],
    }
    assert served.metadata("chat").json["parameters"]["chat"] is True
    [audio] = served.metadata("whisper").json["inputs"]
    assert (audio["name"], audio["datatype"], audio["parameters"]) == ("audio", "BYTES", {"content_type": "base64"})

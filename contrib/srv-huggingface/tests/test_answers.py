"""Over each face, a model's answers are those of transformers' own pipeline, or of the model itself."""

import json
from functools import cache

import numpy as np
import pytest
import torch
import transformers
from tiny_models import sentences

FORMS = ["json", "binary", "grpc"]
ROWS = 1000


@cache
def pipe(root, name, task):
    return transformers.pipeline(task, model=str(root / name), device="cpu")


@cache
def by_pipeline(root, name, task, rows, **options):
    """The pipeline's own answers, made once for all forms."""
    return pipe(root, name, task)(list(rows), **options)


def texts(array):
    return [value.decode() for value in array.reshape(-1).tolist()]


@pytest.fixture(params=FORMS)
def form(request):
    return request.param


@pytest.mark.parametrize("name", ["bert", "gpt2class"])
def test_classes_are_those_of_the_pipeline(served, root, form, name):
    rows = sentences(ROWS)
    expected = by_pipeline(root, name, "text-classification", tuple(rows))

    answer = served.infer(name, {"text": rows}, form=form)

    assert answer.ok, answer
    assert texts(answer["label"]) == [each["label"] for each in expected]
    np.testing.assert_allclose(answer["score"], [each["score"] for each in expected], atol=2e-5)


@pytest.mark.parametrize("function", ["sigmoid", "softmax", "none"])
def test_the_likeliest_classes_are_those_of_the_pipeline(served, root, function):
    rows = sentences(50, seed=1)
    expected = pipe(root, "bert", "text-classification")(rows, top_k=2, function_to_apply=function)

    parameters = {"top_k": 2, "function_to_apply": function}
    answer = served.infer("bert", {"text": rows}, parameters=parameters)

    assert answer["label"].shape == (50, 2)
    assert texts(answer["label"]) == [each["label"] for row in expected for each in row]
    np.testing.assert_allclose(
        answer["score"].reshape(-1), [each["score"] for row in expected for each in row], atol=2e-5
    )


def test_pairs_of_texts_are_read_together(served, root):
    one, other = sentences(100, seed=2), sentences(100, seed=3)
    pairs = [{"text": first, "text_pair": second} for first, second in zip(one, other, strict=True)]
    expected = pipe(root, "pairs", "text-classification")(pairs)

    answer = served.infer("pairs", {"text": one, "text_pair": other}, outputs=["score", "label", "logits"])

    assert texts(answer["label"]) == [each["label"] for each in expected]
    np.testing.assert_allclose(answer["score"], [each["score"] for each in expected], atol=2e-5)
    assert answer["logits"].shape == (100, 3)


@pytest.mark.parametrize("several", [False, True])
def test_candidate_classes_are_those_of_the_pipeline(served, root, several):
    rows = sentences(100, seed=4, longest=8)
    candidates = ["dog", "house", "Berlin"]
    expected = pipe(root, "zero", "zero-shot-classification")(rows, candidates, multi_label=several)

    parameters = {"candidate_labels": "dog, house,Berlin", "multi_label": several}
    answer = served.infer("zero", {"text": rows}, parameters=parameters)

    assert texts(answer["labels"]) == [label for each in expected for label in each["labels"]]
    np.testing.assert_allclose(answer["scores"], [each["scores"] for each in expected], atol=2e-5)


@pytest.mark.parametrize("strategy", ["none", "simple", "first", "average", "max"])
def test_entities_are_those_of_the_pipeline(served, root, strategy):
    rows = sentences(ROWS if strategy == "simple" else 50, seed=5)
    expected = by_pipeline(root, "ner", "token-classification", tuple(rows), aggregation_strategy=strategy)

    answer = served.infer("ner", {"text": rows}, parameters={"aggregation_strategy": strategy})

    found = [json.loads(text) for text in texts(answer["entities"])]
    assert [[without_score(each) for each in row] for row in found] == [
        [without_score(each) for each in row] for row in expected
    ]
    scores = [[each["score"] for row in rows for each in row] for rows in (found, expected)]
    np.testing.assert_allclose(*scores, atol=2e-5)


def without_score(entity):
    return {name: value for name, value in entity.items() if name != "score"}


def test_words_for_a_mask_are_those_of_the_pipeline(served, root, form):
    rows = [f"{one} [MASK] {other}" for one, other in zip(sentences(ROWS), sentences(ROWS, seed=6), strict=True)]
    expected = by_pipeline(root, "mask", "fill-mask", tuple(rows), top_k=3)

    answer = served.infer("mask", {"text": rows}, parameters={"top_k": 3}, form=form)

    flat = [each for row in expected for each in row]
    assert answer["token"].reshape(-1).tolist() == [each["token"] for each in flat]
    assert texts(answer["token_str"]) == [each["token_str"] for each in flat]
    assert texts(answer["sequence"]) == [each["sequence"] for each in flat]
    np.testing.assert_allclose(answer["score"].reshape(-1), [each["score"] for each in flat], atol=2e-5)


def test_words_for_a_mask_are_chosen_among_targets(served, root):
    rows = ["the [MASK] sat", "a [MASK] sleeps on the mat"]
    expected = pipe(root, "mask", "fill-mask")(rows, targets=["dog", "cat", "river"], top_k=2)

    answer = served.infer("mask", {"text": rows}, parameters={"targets": ["dog", "cat", "river"], "top_k": 2})

    assert answer["token"].tolist() == [[each["token"] for each in row] for row in expected]


def test_features_are_those_of_the_pipeline_for_each_token(served, root, form):
    rows = sentences(ROWS, seed=7)
    expected = by_pipeline(root, "features", "feature-extraction", tuple(rows))

    answer = served.infer("features", {"text": rows}, form=form)

    for found, mask, [own] in zip(answer["features"], answer["attention_mask"], expected, strict=True):
        assert mask.sum() == len(own)
        np.testing.assert_allclose(found[: len(own)], own, atol=1e-4)
        assert not found[len(own) :].any()


@pytest.mark.parametrize("form", ["binary", "grpc"])
def test_entities_are_json_in_each_form(served, form):
    rows = sentences(5, seed=5)
    over_json = served.infer("ner", {"text": rows})
    assert texts(served.infer("ner", {"text": rows}, form=form)["entities"]) == texts(over_json["entities"])


@cache
def of_answers(root):
    """Tokenizer and model of question answering."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(root / "qa")
    return tokenizer, transformers.AutoModelForQuestionAnswering.from_pretrained(root / "qa")


@cache
def brute_force(root, question, context, longest):
    """The best span of one question by trying all of them, in the same words as the papers have it."""
    tokenizer, model = of_answers(root)
    encoded = tokenizer(question, context, return_tensors="pt", return_offsets_mapping=True)
    offsets = encoded.pop("offset_mapping")[0].tolist()
    parts = encoded.sequence_ids(0)
    with torch.no_grad():
        found = model(**encoded)
    counted = [place for place, part in enumerate(parts) if part == 1 or place == 0]
    first = torch.softmax(found.start_logits[0, counted], 0)
    last = torch.softmax(found.end_logits[0, counted], 0)
    score, one, two = max(
        (float(first[one] * last[two]), counted[one], counted[two])
        for one in range(1, len(counted))
        for two in range(one, min(one + longest, len(counted)))
    )
    return context[offsets[one][0] : offsets[two][1]], score, offsets[one][0], offsets[two][1]


def test_answers_are_the_best_spans_of_the_context(served, root, form):
    questions, contexts = sentences(60, seed=8, longest=5), sentences(60, seed=9)
    expected = [brute_force(root, *each, 3) for each in zip(questions, contexts, strict=True)]

    answer = served.infer(
        "qa", {"question": questions, "context": contexts}, parameters={"max_answer_len": 3}, form=form
    )

    assert texts(answer["answer"]) == [each[0] for each in expected]
    np.testing.assert_allclose(answer["score"], [each[1] for each in expected], atol=2e-5)
    assert answer["start"].tolist() == [each[2] for each in expected]
    assert answer["end"].tolist() == [each[3] for each in expected]


def test_an_answer_is_found_in_each_piece_of_a_long_context(served):
    filler = "the dog runs under the tree in the house . " * 12
    contexts = [f"{filler} Anna works for Siemens . {filler}"]

    answer = served.infer("qa", {"question": ["who works"], "context": contexts}, parameters={"max_seq_len": 32})

    assert answer.ok, answer
    start, end = answer["start"][0], answer["end"][0]
    assert contexts[0][start:end] == texts(answer["answer"])[0] != ""


@pytest.mark.parametrize("name", ["gpt2", "chat"])
def test_generated_text_is_that_of_the_pipeline(served, root, form, name):
    prompts = sentences(60, seed=10)
    options = {"max_new_tokens": 6, "do_sample": False, "return_full_text": False}
    expected = by_pipeline(root, name, "text-generation", tuple(prompts), **options)

    answer = served.infer(name, {"text": prompts}, parameters={"max_new_tokens": 6}, form=form)

    assert texts(answer["text_output"]) == [each[0]["generated_text"] for each in expected]
    lengths = [len(ids) for ids in pipe(root, name, "text-generation").tokenizer(prompts)["input_ids"]]
    assert answer["prompt_tokens"].tolist() == lengths


@cache
def from_text(root, rows):
    """What the T5 itself makes of each text alone."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(root / "t5")
    model = transformers.AutoModelForSeq2SeqLM.from_pretrained(root / "t5")
    found = []
    for row in rows:
        ids = tokenizer(row, return_tensors="pt")["input_ids"]
        found.append(tokenizer.decode(model.generate(ids, max_new_tokens=8)[0], skip_special_tokens=True))
    return found


def test_text_from_text_is_that_of_the_model(served, root, form):
    rows = sentences(40, seed=11)

    answer = served.infer("t5", {"text": rows}, parameters={"max_new_tokens": 8}, form=form)

    assert texts(answer["text_output"]) == from_text(root, tuple(rows))

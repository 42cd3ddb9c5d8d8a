"""Rerankers: a score for each pair of a query and a text."""

from functools import partial

import numpy as np
import pytest
from tiny_models import reranking_model, texts, tokenizer

TEXTS = texts(1000, seed=2)


def elements(given):
    return np.array([text.encode() for text in given], dtype=object)


def scores(network, pairs):
    made = tokenizer()
    made.enable_truncation(32)
    encodings = [made.encode(*pair) for pair in pairs]
    logits = np.array([network.logits(each.ids, each.type_ids)[0] for each in encodings])
    return 1 / (1 + np.exp(-logits))


def asked(client, query, given, **parameters):
    inputs = {"query": elements(query), "text": elements(given)}
    return client.infer("m", inputs, parameters=parameters, form="binary")


def test_a_score_for_each_text_is_that_of_the_pair_alone(served):
    client = served(reranking_model)
    answer = asked(client, ["quick fox"], TEXTS)
    wanted = scores(client.made, [("quick fox", text) for text in TEXTS])
    assert np.abs(answer["score"] - wanted).max() < 1e-5
    assert client.infer("m", {"query": ["a"], "text": ["b"]}, outputs=["tokens"])["tokens"].tolist() == [5]


def test_each_text_may_have_a_query_of_its_own(served):
    client = served(reranking_model)
    queries = TEXTS[::-1][:50]
    answer = asked(client, queries, TEXTS[:50])
    assert np.abs(answer["score"] - scores(client.made, list(zip(queries, TEXTS[:50], strict=True)))).max() < 1e-5


def test_the_files_say_what_makes_a_score_of_a_logit(served):
    client = served(partial(reranking_model, activation="torch.nn.modules.linear.Identity"))
    wanted = scores(client.made, [("fox", text) for text in TEXTS[:50]])
    assert np.abs(asked(client, ["fox"], TEXTS[:50])["score"] - np.log(wanted / (1 - wanted))).max() < 1e-3
    assert client.metadata("m").json["parameters"]["activation"] == "identity"


@pytest.mark.parametrize(
    "inputs, said",
    [
        (
            {"query": ["a", "b"], "text": ["c"]},
            "Input 'query' has 2 texts and input 'text' 1; give one query for all texts",
        ),
        ({"text": ["c"]}, "Input 'query' is missing; the request brings 'text'."),
        (
            {"query": ["a"], "text": ["c"], "documents": ["d"]},
            "Input 'documents' is unknown; the model takes query, text.",
        ),
        ({"query": np.ones(1), "text": ["c"]}, "Input 'query' is FP64; texts are BYTES."),
    ],
)
def test_what_is_no_query_with_texts_is_refused(served, inputs, said):
    answer = served(reranking_model).infer("m", inputs)
    assert (answer.status, answer.code) == (400, "INVALID_INPUT")
    assert said in answer.error


def test_a_pair_that_is_too_long_is_refused_where_nothing_may_be_cut(served):
    client = served(reranking_model)
    answer = asked(client, ["fox"], ["dog", "dog " * 99], truncate=False)
    assert (
        answer.error
        == "Input 'text', row 1: the text has more than the 32 tokens that the model takes, and truncate is false."
    )
    assert asked(client, ["fox"], ["dog"], truncate=False).ok


def test_no_texts_have_no_scores(served):
    assert asked(served(reranking_model), ["fox"], [])["score"].shape == (0,)

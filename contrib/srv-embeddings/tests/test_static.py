"""Static models: the mean of the vectors of a text's tokens, as model2vec and sentence-transformers compute it."""

from functools import partial

import numpy as np
import pytest
from tiny_models import WIDTH, static_model, texts, tokenizer, write

TEXTS = texts(1000, seed=7)


def vectors_of(client, given, **parameters):
    elements = np.array([text.encode() for text in given], dtype=object)
    answer = client.infer("m", {"text": elements}, parameters=parameters, form="binary")
    assert answer.ok, answer.error
    return answer["embedding"]


def means(vectors, given, *, unknown=True, limit=None, weights=None, mapping=None):
    """The mean for each text, one after the other."""
    made = tokenizer()
    if limit is not None:
        made.enable_truncation(limit)
    found = []
    for text in given:
        ids = [each for each in made.encode(text, add_special_tokens=False).ids if unknown or each != 1]
        rows = vectors[[mapping[each] for each in ids] if mapping is not None else ids].astype(np.float32)
        rows = rows if weights is None else rows * weights[ids][:, np.newaxis]
        found.append(rows.mean(axis=0) if ids else np.zeros(WIDTH, np.float32))
    return np.stack(found)


def unit(vectors):
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)


def close(given, wanted, most=1e-5):
    return given.shape == wanted.shape and np.abs(given - wanted).max() < most


def test_a_folder_of_model2vec_leaves_unknown_words_out_and_normalises(served):
    client = served(static_model)
    assert close(vectors_of(client, TEXTS), unit(means(client.made, TEXTS, unknown=False)))
    assert close(vectors_of(client, TEXTS, normalize=False), means(client.made, TEXTS, unknown=False))
    assert close(vectors_of(client, TEXTS[:9], dimensions=3), unit(means(client.made, TEXTS[:9], unknown=False)[:, :3]))


def test_a_folder_of_sentence_transformers_counts_unknown_words(served):
    client = served(partial(static_model, own=False, normalize=False))
    assert close(vectors_of(client, TEXTS), means(client.made, TEXTS))
    client = served(partial(static_model, own=False))
    assert close(vectors_of(client, TEXTS), unit(means(client.made, TEXTS)))


def test_what_model2vec_takes_of_a_text_is_what_its_files_say(served):
    def make(folder):
        vectors = static_model(folder)
        write(folder / "config.json", {"model_type": "model2vec", "normalize": False, "max_length": 5})
        return vectors

    client = served(make)
    short = [text for text in TEXTS if len(text) < 12]  # so that model2vec's cut by characters takes nothing away
    assert close(vectors_of(client, short), means(client.made, short, unknown=False, limit=5))
    answer = client.infer("m", {"text": ["fox", "the lazy dog jumps over the fox"]}, parameters={"truncate": False})
    assert answer.error == (
        "Input 'text', row 1: the text has more than the 5 tokens that the model takes, and truncate is false."
    )


@pytest.mark.parametrize("kind", ["float16", "int8"])
def test_vectors_of_smaller_numbers_are_summed_as_floats(served, kind):
    smaller = (np.random.default_rng(3).normal(size=(tokenizer().get_vocab_size(), WIDTH)) * 20).astype(kind)
    client = served(partial(static_model, normalize=False, embeddings=smaller))
    assert close(vectors_of(client, TEXTS), means(smaller, TEXTS, unknown=False), most=1e-4)


def test_a_vocabulary_in_clusters_has_a_mapping_and_weights(served):
    size = tokenizer().get_vocab_size()
    random = np.random.default_rng(9)
    tensors = {
        "embeddings": random.normal(size=(10, WIDTH)).astype(np.float32),
        "mapping": random.integers(0, 10, size),
        "weights": random.random(size).astype(np.float32),
    }
    client = served(partial(static_model, normalize=False, **tensors))
    wanted = means(tensors["embeddings"], TEXTS, unknown=False, weights=tensors["weights"], mapping=tensors["mapping"])
    assert close(vectors_of(client, TEXTS), wanted)


def test_a_text_of_many_tokens_is_summed_in_parts(served):
    client = served(partial(static_model, own=False, normalize=False))
    long = ["the quick fox " * 30_000, "dog"]
    assert close(vectors_of(client, long), means(client.made, long), most=1e-3)


def test_the_numbers_of_tokens_are_those_that_count(served):
    client = served(static_model)
    answer = client.infer("m", {"text": ["the fox", "zebra 日本", ""]}, outputs=["tokens", "embedding"])
    made = tokenizer()
    counts = [
        sum(each != 1 for each in made.encode(text, add_special_tokens=False).ids) for text in ("the fox", "zebra 日本")
    ]
    assert answer["tokens"].tolist() == [*counts, 0]
    assert not answer["embedding"][2].any()

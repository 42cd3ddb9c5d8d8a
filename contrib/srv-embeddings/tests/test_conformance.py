"""Served by srv, each kind of model does what every runtime must do."""

import numpy as np
from tiny_models import embedded, reranking_model, sentence_model, static_model

from srv.testing import assert_runtime_conforms


def files_of(folder):
    """The files of a folder as the kit takes them."""
    return {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}


DEEP = np.full((1, 1, 1), b"fox", dtype=object)


def test_a_transformer_conforms(tmp_path):
    network = sentence_model(tmp_path)
    assert_runtime_conforms(
        "embeddings",
        files=files_of(tmp_path),
        request={"text": ["the quick fox", "", "日本 😀"]},
        expected={"embedding": embedded(network, ["the quick fox", "", "日本 😀"])},
        wrong=[{"text": DEEP}, {"text": [1.0]}, {"a": ["x"], "b": ["x"]}],
    )


def test_a_static_model_conforms(tmp_path):
    static_model(tmp_path)
    assert_runtime_conforms(
        "embeddings",
        files=files_of(tmp_path),
        request={"text": ["the quick fox", ""]},
        wrong=[{"text": DEEP}, {"text": [1.0]}],
    )


def test_a_reranker_conforms(tmp_path):
    reranking_model(tmp_path)
    assert_runtime_conforms(
        "embeddings",
        files=files_of(tmp_path),
        request={"query": ["fox", "dog"], "text": ["the quick fox", ""]},
        wrong=[{"query": ["fox"]}, {"query": DEEP, "text": ["a"]}, {"query": ["fox"], "text": [1.0]}],
    )

"""Static models: a vector for each token, and the mean of them for a text."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from srv.errors import listed
from srv_embeddings.errors import UnfitFolder
from srv_embeddings.folder import ModelFolder
from srv_embeddings.pooling import Array
from srv_embeddings.steps import read_tensors
from srv_embeddings.tokens import Tokens
from srv_embeddings.windows import Place

#: What model2vec takes of a text where its config.json says nothing.
_MAX_TOKENS = 512
#: So many vectors are looked up at once.
_AT_ONCE = 65_536


class StaticVectors:
    """The mean of the vectors of a text's tokens; zeros for a text without any.

    A folder of model2vec is answered as model2vec does it, which leaves unknown tokens out and takes the first 512; one of
    sentence-transformers as that does it, which does neither.
    """

    #: How the vectors of tokens become one, as the metadata says it.
    pooling = "mean"

    def __init__(self, folder: ModelFolder) -> None:
        own = folder.kind == "model2vec"
        tensors = read_tensors(folder.model)
        name = next((name for name in ("embeddings", "embedding.weight") if name in tensors), None)
        if name is None:
            raise UnfitFolder(folder.model.name, f"has no table of vectors; it has {listed(tensors)}")
        self._vectors: Array = tensors[name]
        self._width = int(self._vectors.shape[1])
        self._mapping: Array | None = tensors.get("mapping")
        self._weights: Array | None = tensors.get("weights")
        limit = folder.config.get("max_length", _MAX_TOKENS) if own else None
        self.tokens = Tokens(replace(folder.tokenizer, max_tokens=limit), special=False)
        self._check_size(folder)
        self._unknown = _unknown_token(self.tokens.tokenizer) if own else None
        #: model2vec takes so many characters of a text before it makes tokens.
        self._characters = None if limit is None else limit * self._median_length()

    def encode(self, texts: Sequence[str], prompt: str, place: Place) -> tuple[Array, Array]:
        """Return a vector for each text, and how many tokens it is made of."""
        whole = [prompt + text for text in texts] if prompt else texts
        most = self._characters
        if most is not None and place.truncate:
            whole = [text[:most] for text in whole]
        encodings = self.tokens(whole)
        place.check(encodings, self.tokens.max_tokens)
        return self._means(encodings)

    def _means(self, encodings: Sequence[Any]) -> tuple[Array, Array]:
        ids = [self._known(np.array(each.ids, np.int64)) for each in encodings]
        counts = np.fromiter(map(len, ids), np.int64, len(ids))
        vectors = np.zeros((len(ids), self._width), np.float32)
        first = 0
        ends = counts.cumsum()
        while first < len(ids):
            done = ends[first] - counts[first]
            last = max(first + 1, int(np.searchsorted(ends, done + _AT_ONCE, side="right")))
            vectors[first:last] = self._sums(ids[first:last], counts[first:last])
            first = last
        return vectors / np.maximum(counts, 1)[:, np.newaxis].astype(np.float32), counts

    def _sums(self, ids: Sequence[Array], counts: Array) -> Array:
        sums = np.zeros((len(ids), self._width), np.float32)
        if len(ids) == 1:
            for first in range(0, len(ids[0]), _AT_ONCE):
                sums[0] += self._looked_up(ids[0][first : first + _AT_ONCE]).sum(axis=0)
            return sums
        filled = counts > 0  # because reduceat gives an empty text the vector of the next one
        if filled.any():
            starts = np.concatenate([[0], counts[filled].cumsum()[:-1]])
            sums[filled] = np.add.reduceat(self._looked_up(np.concatenate(ids)), starts, axis=0)
        return sums

    def _looked_up(self, ids: Array) -> Array:
        vectors = self._vectors[ids if self._mapping is None else self._mapping[ids]].astype(np.float32, copy=False)
        if self._weights is not None:
            vectors = vectors * self._weights[ids].astype(np.float32)[:, np.newaxis]
        return vectors

    def _known(self, ids: Array) -> Array:
        return ids if self._unknown is None else ids[ids != self._unknown]

    def _median_length(self) -> int:
        return int(np.median([len(token) for token in self.tokens.tokenizer.get_vocab()]))

    def _check_size(self, folder: ModelFolder) -> None:
        """Refuse a table that lacks tokens of the tokenizer, or a mapping that leads outside of it."""
        size = max(self.tokens.tokenizer.get_vocab().values(), default=-1) + 1
        rows = len(self._vectors) if self._mapping is None else len(self._mapping)
        too_far = self._mapping is not None and len(self._mapping) and self._mapping.max() >= len(self._vectors)
        if rows < size or too_far or (self._weights is not None and len(self._weights) < size):
            raise UnfitFolder(
                folder.model.name, f"has no vector for some of the {size} tokens of {folder.tokenizer.file.name}"
            )


def _unknown_token(tokenizer: Any) -> int | None:
    """Return the number of the token that stands for unknown words; None where the tokenizer has none."""
    model = json.loads(tokenizer.to_str())["model"]
    number: int | None = model.get("unk_id")  # of a Unigram model
    if model.get("unk_token") is not None:
        number = tokenizer.token_to_id(model["unk_token"])
    return number

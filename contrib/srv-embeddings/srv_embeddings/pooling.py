"""Pooling: the vectors of a text's tokens become one vector, as sentence-transformers does it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np

Array: TypeAlias = np.ndarray[Any, Any]


@dataclass(frozen=True)
class TokenVectors:
    """The vectors of a batch of texts, `[texts, tokens, numbers]`, and which of the tokens count."""

    vectors: Array
    #: 1 for a token that counts, 0 for padding and for a prompt that does not count: `[texts, tokens]`, integers.
    counted: Array

    @cached_property
    def weights(self) -> Array:
        """1 for a token that counts, 0 for another one, in the datatype of the vectors."""
        weights: Array = self.counted.astype(self.vectors.dtype)
        return weights

    @cached_property
    def total(self) -> Array:
        """The sum of the vectors that count."""
        return self.weighted_sum(self.weights)

    def weighted_sum(self, weights: Array) -> Array:
        """Return the sum of the vectors, each by its weight."""
        total: Array = np.matmul(weights[:, np.newaxis, :], self.vectors)[:, 0, :]
        return total


def without_prompt(attended: Array, length: int) -> Array:
    """Return which tokens count when the first `length` tokens of each text, those of its prompt, do not."""
    counted: Array = attended * (np.arange(attended.shape[1]) >= length)
    return counted


def pooled(tokens: TokenVectors, modes: tuple[str, ...]) -> Array:
    """Return one vector for each text; those of several modes stand side by side."""
    vectors = [_MODES[mode](tokens) for mode in modes]
    return vectors[0] if len(vectors) == 1 else np.concatenate(vectors, axis=1)


def _cls(tokens: TokenVectors) -> Array:
    """Return the vector of the first token that counts."""
    return _at(tokens, tokens.counted.argmax(axis=1))


def _last_token(tokens: TokenVectors) -> Array:
    last = tokens.counted.shape[1] - 1 - tokens.counted[:, ::-1].argmax(axis=1)
    return _at(tokens, last)


def _max(tokens: TokenVectors) -> Array:
    lowest = tokens.vectors.dtype.type(-np.inf)
    largest: Array = np.where(tokens.counted[:, :, np.newaxis] != 0, tokens.vectors, lowest).max(axis=1)
    return largest


def _mean(tokens: TokenVectors) -> Array:
    mean: Array = tokens.total / tokens.weights.sum(axis=1, keepdims=True)
    return mean


def _mean_sqrt_len(tokens: TokenVectors) -> Array:
    mean: Array = tokens.total / np.sqrt(tokens.weights.sum(axis=1, keepdims=True))
    return mean


def _weighted_mean(tokens: TokenVectors) -> Array:
    """Return the mean in which a token weighs as much as its place, counted from 1 and with the prompt."""
    places = np.arange(1, tokens.weights.shape[1] + 1, dtype=tokens.weights.dtype)
    weights = tokens.weights * places
    mean: Array = tokens.weighted_sum(weights) / weights.sum(axis=1, keepdims=True)
    return mean


def _at(tokens: TokenVectors, places: Array) -> Array:
    vectors: Array = tokens.vectors[np.arange(len(places)), places]
    return vectors


_MODES: Mapping[str, Callable[[TokenVectors], Array]] = {
    "cls": _cls,
    "max": _max,
    "mean": _mean,
    "mean_sqrt_len_tokens": _mean_sqrt_len,
    "weightedmean": _weighted_mean,
    "lasttoken": _last_token,
}

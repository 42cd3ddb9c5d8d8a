"""Many texts in parts, so that memory is bounded, and the places of texts in a request, for errors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import numpy as np

from srv_embeddings.errors import UnfitRow
from srv_embeddings.pooling import Array
from srv_embeddings.tokens import Text

#: A text, or a pair of texts.
AnyText = TypeVar("AnyText", str, tuple[str, str])
#: So many texts, and so many characters of them, become tokens at once.
_TEXTS, _CHARACTERS = 4096, 1_000_000


class Numbers(NamedTuple):
    """What a model gives for texts, FP32 with a row for each, and how many tokens each text has, INT64."""

    values: Array
    tokens: Array


@dataclass(frozen=True)
class Place:
    """Where a part of an input's texts begins, and whether texts that are too long are cut."""

    name: str
    first: int = 0
    truncate: bool = True

    def check(self, encodings: Sequence[Any], most: int | None) -> None:
        """Raise UnfitRow for a text that is too long, where texts are not cut."""
        if self.truncate:
            return
        for row, encoding in enumerate(encodings):
            if encoding.overflowing:
                raise self.refusal(
                    row, f"the text has more than the {most} tokens that the model takes, and truncate is false"
                )

    def refusal(self, row: int, why: str) -> UnfitRow:
        """Return the error for a text of the part."""
        return UnfitRow(self.name, self.first + row, why)

    def check_tokens(self, counts: Array, what: str) -> None:
        """Raise UnfitRow for a text with no tokens; `what` ends the sentence."""
        if not counts.all():
            raise self.refusal(
                int(np.argmin(counts != 0)), f"the text has no tokens{what}, so that there is no vector of it"
            )


def windows(texts: Sequence[AnyText]) -> Iterator[tuple[int, Sequence[AnyText]]]:
    """Yield parts of texts with the place of their first; a text that is longer than a part is one alone."""
    if len(texts) <= _TEXTS and sum(map(_length, texts)) <= _CHARACTERS:
        if texts:
            yield 0, texts
        return
    first, size = 0, 0
    for place, text in enumerate(texts):
        length = _length(text)
        if place > first and (place - first == _TEXTS or size + length > _CHARACTERS):
            yield first, texts[first:place]
            first, size = place, 0
        size += length
    yield first, texts[first:]


def _length(text: Text) -> int:
    return len(text) if isinstance(text, str) else len(text[0]) + len(text[1])

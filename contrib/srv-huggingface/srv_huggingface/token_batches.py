"""Tokens of texts, and padded batches of them: one tokenizer for all threads, used by one at a time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch

from srv.errors import InvalidInput

#: Above this a tokenizer's model_max_length stands for "I do not know".
_UNLIMITED = 10**9


class TextTooLong(InvalidInput):
    """A text has more tokens than the model takes."""

    def __init__(self, name: str, row: int, found: int, most: int, *, may_cut: bool) -> None:
        cut = ", or let it be cut with the parameter truncation: true" if may_cut else ""
        super().__init__(
            f"Input '{name}', row {row}, has {found} tokens, and the model takes {most}. Send a shorter text{cut}."
        )


class EmptyText(InvalidInput):
    """A text has no token, and the model needs one."""

    def __init__(self, name: str, row: int) -> None:
        super().__init__(f"Input '{name}', row {row}, is a text without any token. Send a text that has one.")


class Tokens:
    """A tokenizer that threads share. It keeps padding and truncation in itself, so one thread may use it at a time."""

    def __init__(self, tokenizer: Any, model: Any) -> None:
        self.tokenizer = tokenizer
        self.lock = threading.Lock()
        self.longest = longest(tokenizer, model)
        pad = tokenizer.pad_token_id
        self.pad = pad if pad is not None else 0
        #: Whether texts of different lengths may stand in one batch, because the model can tell what is padding.
        self.can_pad = pad is not None and "attention_mask" in tokenizer.model_input_names

    def encode(
        self,
        name: str,
        texts: Sequence[str],
        pairs: Sequence[str] | None = None,
        *,
        truncation: bool = False,
        **options: Any,
    ) -> list[dict[str, list[int]]]:
        """Return for each text what the model takes of it. Raises TextTooLong, or EmptyText."""
        if truncation and self.longest is not None:
            options |= {"truncation": True, "max_length": self.longest}
        with self.lock:
            found = self.tokenizer(list(texts), None if pairs is None else list(pairs), verbose=False, **options)
        keys = list(found)
        rows = [dict(zip(keys, values, strict=True)) for values in zip(*found.values(), strict=True)]
        for place, row in enumerate(rows):
            count = len(row["input_ids"])
            if self.longest is not None and count > self.longest:
                raise TextTooLong(name, place, count, self.longest, may_cut=True)
            if not count:
                raise EmptyText(name, place)
        return rows

    def decode(self, ids: Sequence[Sequence[int]], *, skip_special_tokens: bool = True) -> list[str]:
        """Return the text of each sequence of tokens."""
        with self.lock:
            texts = self.tokenizer.batch_decode(ids, skip_special_tokens=skip_special_tokens)
        return [str(text) for text in texts]

    def batches(
        self, rows: Sequence[Mapping[str, Sequence[int]]], size: int, *, left: bool = False
    ) -> Iterator[tuple[list[int], dict[str, torch.Tensor]]]:
        """Yield batches: the places of their rows, and the tensors, padded with what the tokenizer says.

        Rows of like length come together. Where the model cannot tell padding, all rows of a batch have one length.
        """
        order = sorted(range(len(rows)), key=lambda place: len(rows[place]["input_ids"]))
        for places in _chunks(order, size, lambda place: len(rows[place]["input_ids"]) if not self.can_pad else 0):
            yield places, {key: self._padded([rows[place][key] for place in places], key, left=left) for key in rows[0]}

    def _padded(self, rows: Sequence[Sequence[int]], key: str, *, left: bool) -> torch.Tensor:
        fill = {"input_ids": self.pad, "token_type_ids": self.tokenizer.pad_token_type_id, "special_tokens_mask": 1}
        tensors = [torch.tensor(row) for row in rows]
        side = "left" if left or self.tokenizer.padding_side == "left" else "right"
        return torch.nn.utils.rnn.pad_sequence(
            tensors, batch_first=True, padding_value=fill.get(key, 0), padding_side=side
        )


def _chunks(order: Sequence[int], size: int, kind: Callable[[int], int]) -> Iterator[list[int]]:
    """Yield the places in order, at most `size` at once and all of one kind."""
    chunk: list[int] = []
    for place in order:
        if chunk and (len(chunk) == size or kind(place) != kind(chunk[0])):
            yield chunk
            chunk = []
        chunk.append(place)
    if chunk:
        yield chunk


def longest(tokenizer: Any, model: Any) -> int | None:
    """Return how many tokens the model takes; None where there is no limit that its files say."""
    said = tokenizer.model_max_length
    positions = positions_of(model)
    if positions is None:
        positions = getattr(model.config, "max_position_embeddings", None)
    limits = [said] if said < _UNLIMITED else []
    if isinstance(positions, int) and positions > 0:
        limits.append(positions)
    return min(limits, default=None)


def positions_of(model: Any) -> int | None:
    """Return how many places the model has learnt; None where it computes them."""
    found = []
    for name, module in model.named_modules():
        if name.rpartition(".")[2] in ("position_embeddings", "wpe", "embed_positions"):
            places = getattr(module, "num_embeddings", None)
            if places is not None:
                # Models after RoBERTa count positions from behind the padding's, those after BART keep an offset.
                padding = getattr(module, "padding_idx", None)
                found.append(places - (padding + 1 if padding is not None else getattr(module, "offset", 0)))
    return min(found, default=None)

"""Tokens of texts: the tokenizer of a model's folder, and batches of texts of about one length."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from tokenizers import Tokenizer, normalizers  # the module is imported by load, because this library is heavy

from srv_embeddings.errors import UnfitFolder
from srv_embeddings.folder import TokenizerFiles
from srv_embeddings.pooling import Array

#: A text, or a query and a text.
Text: TypeAlias = str | tuple[str, str]


@dataclass(frozen=True)
class Batch:
    """Texts that are computed together, padded to one length: `rows` are their places among all texts."""

    rows: Array
    ids: Array
    types: Array
    #: 1 for a token of the text, 0 for padding.
    attended: Array


class Tokens:
    """Makes tokens of texts, from any number of threads: nothing of the tokenizer is changed once it is made.

    Padding is none of the tokenizer's business here, so that one tokenizer serves all batches.
    """

    def __init__(self, files: TokenizerFiles, *, special: bool = True) -> None:
        if not files.file.is_file():
            raise UnfitFolder(
                files.file.name,
                "is missing. transformers writes it: AutoTokenizer.from_pretrained(folder).save_pretrained(folder)",
            )
        try:
            self._tokenizer = Tokenizer.from_file(str(files.file))
        except Exception as error:  # noqa: BLE001 - the library raises nothing narrower
            raise UnfitFolder(files.file.name, f"is no tokenizer that this release reads: {error}") from None
        self.max_tokens = files.max_tokens
        self._special = special
        self._has_types = files.has_types
        self._pad = self._number_of(files.pad)
        if files.lower_case:
            self._lower()
        self._tokenizer.no_padding()
        if files.max_tokens is None:
            self._tokenizer.no_truncation()
        else:
            self._tokenizer.enable_truncation(files.max_tokens, direction=files.truncation_side)
        self._special_ids = frozenset(
            each["id"] for each in json.loads(self._tokenizer.to_str())["added_tokens"] if each["special"]
        )
        self._encode: Any = getattr(self._tokenizer, "encode_batch_fast", self._tokenizer.encode_batch)

    def __call__(self, texts: Sequence[Text]) -> list[Any]:
        """Return the encodings of texts, in their order."""
        encoded: list[Any] = self._encode(texts, add_special_tokens=self._special)
        return encoded

    @property
    def tokenizer(self) -> Any:
        """The tokenizer itself."""
        return self._tokenizer

    def length_of_prompt(self, prompt: str) -> int:
        """Return how many tokens a prompt has before the text, with the special ones at its beginning."""
        if not prompt:
            return 0
        [encoding] = self([prompt])
        ids = encoding.ids
        return len(ids) - (1 if ids and ids[-1] in self._special_ids else 0)

    def batches(self, encodings: Sequence[Any], most: int, *, may_pad: bool) -> Iterator[Batch]:
        """Yield batches of at most `most` tokens with their padding, the longest texts first, each text in one of them.

        Padding follows the text, also where the files put it before: so each token has the place that it has in its text
        alone. Where no token is known to pad with, or none may, only texts of one length are put together.
        """
        lengths = np.fromiter(map(len, encodings), np.int64, len(encodings))
        order = np.argsort(-lengths, kind="stable")
        pads = may_pad and self._pad is not None
        first = 0
        while first < len(order):
            longest = int(lengths[order[first]])
            last = first + max(1, most // max(1, longest))
            rows = order[first:last]
            if not pads:
                rows = rows[lengths[rows] == longest]
            yield self._batch(rows, [encodings[row] for row in rows.tolist()], lengths[rows], longest)
            first += len(rows)

    def _batch(self, rows: Array, encodings: Sequence[Any], lengths: Array, longest: int) -> Batch:
        places = np.arange(longest)
        attended = places < lengths[:, np.newaxis]
        ids = np.full(attended.shape, self._pad or 0, np.int64)
        ids[attended] = np.concatenate([np.array(each.ids, np.int64) for each in encodings])
        types = np.zeros(attended.shape, np.int64)
        if self._has_types:
            types[attended] = np.concatenate([np.array(each.type_ids, np.int64) for each in encodings])
        return Batch(rows, ids, types, attended.astype(np.int64))

    def _number_of(self, pad: str | int | None) -> int | None:
        if isinstance(pad, str):
            number: int | None = self._tokenizer.token_to_id(pad)
            return number
        if pad is None and self._tokenizer.padding is not None:
            return int(self._tokenizer.padding["pad_id"])
        return pad

    def _lower(self) -> None:
        """Let the tokenizer lower the letters of texts before all else, as sentence-transformers does."""
        own, lower = self._tokenizer.normalizer, normalizers.Lowercase()
        self._tokenizer.normalizer = lower if own is None else normalizers.Sequence([lower, own])


def was_cut(encoding: Any) -> bool:
    """Whether a text has more tokens than the model takes."""
    return bool(encoding.overflowing)

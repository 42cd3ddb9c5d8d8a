"""Question answering: the likeliest span of a context, over pieces of it where it is long.

transformers 5 has no pipeline for it any more, so what that did is done here: pieces that overlap, shares over the
tokens of the context alone, and the best span of at most so many tokens.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch

from srv import InferenceRequest, InvalidInput, Spec, Tensor
from srv.errors import SrvError
from srv_huggingface.loading import Loaded, to_device
from srv_huggingface.parameters import OfAnswers, Plain
from srv_huggingface.task import TEXT, DifferentLengths, Task, text_output
from srv_huggingface.token_batches import Tokens

_LONGEST_ANSWER, _LONGEST_PIECE, _OVERLAP = 15, 384, 128


class NoOffsets(SrvError):
    """The tokenizer does not say where in the text its tokens stand."""

    def __init__(self) -> None:
        super().__init__(
            "The task question-answering needs a fast tokenizer (tokenizer.json), which says where tokens stand."
        )


class QuestionTooLong(InvalidInput):
    """The question leaves no room for the context."""

    def __init__(self, row: int, found: int, most: int) -> None:
        super().__init__(
            f"Input 'question', row {row}, has {found} tokens, and with the context the model reads {most} at once, of which "
            "pieces share 'doc_stride'. Send a shorter question, or a smaller doc_stride."
        )


class NothingToAnswerFrom(InvalidInput):
    """A question or a context has no token."""

    def __init__(self, name: str, row: int) -> None:
        super().__init__(f"Input '{name}', row {row}, is empty.")


class QuestionAnswering(Task):
    """An answer to each question, out of its context."""

    parameters: ClassVar[type[Plain]] = OfAnswers

    def __init__(self, loaded: Loaded) -> None:
        super().__init__(loaded)
        tokenizer = loaded.tokenizer()
        if not tokenizer.is_fast:
            raise NoOffsets
        self._tokens = Tokens(tokenizer, self.model)
        self.inputs = [Spec("BYTES", (-1,), name=name, parameters=TEXT) for name in ("question", "context")]
        self.outputs = [
            Spec("BYTES", (-1,), name="answer", parameters=TEXT),
            Spec("FP32", (-1,), name="score"),
            Spec("INT64", (-1,), name="start"),
            Spec("INT64", (-1,), name="end"),
        ]
        self.described = {"max_tokens": self._tokens.longest}

    def predict(self, request: InferenceRequest, given: Mapping[str, Any]) -> list[Tensor]:
        """Return the answers, their scores, and where in the context they begin and end, in characters."""
        questions, contexts = self.texts(request, "question"), self.texts(request, "context")
        if len(questions) != len(contexts):
            raise DifferentLengths("question", len(questions), "context", len(contexts))
        for name, texts in (("question", questions), ("context", contexts)):
            for row, text in enumerate(texts):
                if not text.strip():
                    raise NothingToAnswerFrom(name, row)
        pieces, owners, offsets = self._pieces(questions, contexts, given)
        spans = self._spans(pieces, owners, offsets, len(questions), given)
        answers = [context[start:end] for context, (_, start, end) in zip(contexts, spans, strict=True)]
        return [
            text_output("answer", answers),
            Tensor("score", np.array([score for score, _, _ in spans], dtype=np.float32)),
            Tensor("start", np.array([start for _, start, _ in spans], dtype=np.int64)),
            Tensor("end", np.array([end for _, _, end in spans], dtype=np.int64)),
        ]

    def _pieces(
        self, questions: Sequence[str], contexts: Sequence[str], given: Mapping[str, Any]
    ) -> tuple[list[dict[str, Any]], list[int], list[Any]]:
        """Return the tokens of each piece, the row that it is of, and where its context's tokens stand; None elsewhere."""
        most = given.get("max_seq_len", _LONGEST_PIECE)
        if self._tokens.longest is not None:
            most = min(most, self._tokens.longest)
        tokenizer = self._tokens.tokenizer
        rows, owners, offsets = [], [], []
        with self._tokens.lock:
            lengths = [
                len(ids) for ids in tokenizer(list(questions), add_special_tokens=False, verbose=False)["input_ids"]
            ]
            extra = tokenizer.num_special_tokens_to_add(pair=True)
            for row, (question, context) in enumerate(zip(questions, contexts, strict=True)):
                room = most - lengths[row] - extra
                overlap = given.get("doc_stride", min(_OVERLAP, max(room // 2, 0)))
                if room <= overlap:
                    raise QuestionTooLong(row, lengths[row], most)
                found = tokenizer(
                    question, context, truncation="only_second", max_length=most, stride=overlap,
                    return_overflowing_tokens=True, return_offsets_mapping=True,
                )  # fmt: skip
                for place in range(len(found["input_ids"])):
                    parts = found.sequence_ids(place)
                    offsets.append(
                        [
                            where if part == 1 else None
                            for where, part in zip(found["offset_mapping"][place], parts, strict=True)
                        ]
                    )
                    rows.append({name: found[name][place] for name in tokenizer.model_input_names if name in found})
                    owners.append(row)
        return rows, owners, offsets

    def _spans(
        self, pieces: list[dict[str, Any]], owners: list[int], offsets: list[Any], count: int, given: Mapping[str, Any]
    ) -> list[tuple[float, int, int]]:
        """Return the best span of each row: its score, and its first and last character."""
        best: list[tuple[float, int, int]] = [(-1.0, 0, 0)] * count
        empty = [1.0] * count
        left = self._tokens.tokenizer.padding_side == "left"
        with torch.inference_mode():
            for places, batch in self._tokens.batches(pieces, self.loaded.order.batch_size):
                found = self.model(**to_device(batch, self.model))
                starts, ends = found.start_logits.float().cpu().numpy(), found.end_logits.float().cpu().numpy()
                for row, place in enumerate(places):
                    length = len(offsets[place])
                    own = slice(starts.shape[1] - length, None) if left else slice(0, length)
                    score, start, end, none = best_span(
                        starts[row, own], ends[row, own], offsets[place], given.get("max_answer_len", _LONGEST_ANSWER)
                    )
                    owner = owners[place]
                    empty[owner] = min(empty[owner], none)
                    if score > best[owner][0]:
                        best[owner] = (score, start, end)
        if given.get("handle_impossible_answer", False):
            best = [(none, 0, 0) if none > each[0] else each for none, each in zip(empty, best, strict=True)]
        return best


def best_span(
    starts: np.ndarray[Any, Any], ends: np.ndarray[Any, Any], offsets: Sequence[Any], longest: int
) -> tuple[float, int, int, float]:
    """Return the likeliest span's score, its first and last character, and the score of no answer at all.

    `offsets` has None where no token of the context stands; the first token stands for no answer.
    """
    inside = np.array([offset is not None for offset in offsets])
    counted = inside.copy()
    counted[0] = True
    first, last = _shares(starts, counted), _shares(ends, counted)
    none = float(first[0] * last[0])
    first[~inside] = 0.0
    last[~inside] = 0.0
    scores = np.tril(np.triu(np.outer(first, last)), longest - 1)
    start, end = divmod(int(scores.argmax()), len(offsets))
    if offsets[start] is None or offsets[end] is None:
        return 0.0, 0, 0, none
    return float(scores[start, end]), int(offsets[start][0]), int(offsets[end][1]), none


def _shares(logits: np.ndarray[Any, Any], counted: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    masked = np.where(counted, logits.astype(np.float64), -np.inf)
    shares = np.exp(masked - masked.max())
    return np.asarray(shares / shares.sum())

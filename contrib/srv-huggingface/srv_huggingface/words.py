"""What models say of single tokens: entities, words for a mask, and features."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import msgspec
import numpy as np
import torch

from srv import InferenceRequest, InvalidInput, Spec, Tensor
from srv.errors import SrvError, quoted
from srv_huggingface.classes import forward_options
from srv_huggingface.loading import Loaded, to_device
from srv_huggingface.parameters import OfEntities, OfMasks, OfTexts, Plain
from srv_huggingface.task import JSON, TEXT, Task, text_output
from srv_huggingface.token_batches import Tokens

_TOP_K = 5


class WrongMasks(InvalidInput):
    """A text has no mask, or several."""

    def __init__(self, row: int, found: int, mask: str) -> None:
        super().__init__(f"Input 'text', row {row}, has {found} masks; write {mask} once in each text.")


class NoMask(SrvError):
    """The tokenizer has no mask."""

    def __init__(self) -> None:
        super().__init__("The task fill-mask needs a tokenizer with a mask token; this model's has none.")


class UnknownTarget(InvalidInput):
    """A word to choose from is no token of the model."""

    def __init__(self, word: str) -> None:
        super().__init__(f"Parameter 'targets' has {quoted(word)}, which is no token of the model.")


class TooManyWords(InvalidInput):
    """More words are asked for than there are to choose from."""

    def __init__(self, asked: int, there: int) -> None:
        super().__init__(f"Parameter 'top_k' is {asked}, and there are {there} words to choose from.")


class WordsNeedFastTokenizer(InvalidInput):
    """The strategy joins tokens by words, which only a fast tokenizer knows."""

    def __init__(self, strategy: str) -> None:
        super().__init__(
            f"Parameter 'aggregation_strategy' is '{strategy}', and the tokenizer does not know words; send 'none' or "
            "'simple'."
        )


class TokenClassification(Task):
    """Entities: a list for each text, as JSON. What joins tokens is transformers' own."""

    parameters: ClassVar[type[Plain]] = OfEntities

    def __init__(self, loaded: Loaded) -> None:
        super().__init__(loaded)
        tokenizer = loaded.tokenizer()
        self._tokens = Tokens(tokenizer, self.model)
        self._options = forward_options(self.model)
        # Here, because importing one pipeline imports all of them, which the other tasks need not wait for.
        from transformers.pipelines.token_classification import AggregationStrategy, TokenClassificationPipeline

        self._strategies = AggregationStrategy
        self._joining = TokenClassificationPipeline(
            model=self.model, tokenizer=tokenizer, device=self.model.device, task="token-classification"
        )
        labels = [str(self.model.config.id2label[place]) for place in range(self.model.config.num_labels)]
        self.outputs = [Spec("BYTES", (-1,), name="entities", parameters=JSON)]
        self.described = {"labels": labels, "max_tokens": self._tokens.longest}

    def predict(self, request: InferenceRequest, given: Mapping[str, Any]) -> list[Tensor]:
        """Return the entities of each text."""
        texts = self.texts(request)
        strategy = given.get("aggregation_strategy", "none")
        is_fast = self._tokens.tokenizer.is_fast
        if strategy not in ("none", "simple") and not is_fast:
            raise WordsNeedFastTokenizer(strategy)
        rows = self._tokens.encode(
            "text",
            texts,
            truncation=given.get("truncation", False),
            return_special_tokens_mask=True,
            return_offsets_mapping=is_fast,
        )
        asides = [
            {key: row.pop(key) for key in ("special_tokens_mask", "offset_mapping") if key in row} for row in rows
        ]
        found: list[Any] = [None] * len(texts)
        with torch.inference_mode():
            for places, batch in self._tokens.batches(rows, self.loaded.order.batch_size):
                logits = self.model(**to_device(batch, self.model), **self._options).logits.float().cpu()
                for row, place in enumerate(places):
                    count = len(rows[place]["input_ids"])
                    start = logits.shape[1] - count if self._tokens.tokenizer.padding_side == "left" else 0
                    found[place] = self._entities(
                        texts[place], rows[place], asides[place], logits[row : row + 1, start : start + count], given
                    )
        return [Tensor("entities", [msgspec.json.encode(each) for each in found], "BYTES", parameters=JSON)]

    def _entities(
        self, text: str, row: Mapping[str, Any], aside: Mapping[Any, Any], logits: Any, given: Mapping[str, Any]
    ) -> list[dict[str, Any]]:
        offsets = aside.get("offset_mapping")
        outputs = {
            "logits": logits,
            "sentence": text,
            "input_ids": torch.tensor([row["input_ids"]]),
            "special_tokens_mask": torch.tensor([aside["special_tokens_mask"]]),
            "offset_mapping": None if offsets is None else torch.tensor([offsets]),
            "is_last": True,
            "word_ids": None,
            "word_to_chars_map": None,
        }
        strategy = self._strategies[given.get("aggregation_strategy", "none").upper()]
        with self._tokens.lock:
            entities = self._joining.postprocess([outputs], strategy, given.get("ignore_labels"))
        return [{key: _plain(value) for key, value in entity.items()} for entity in entities]


class FillMask(Task):
    """The likeliest words for the mask of each text."""

    parameters: ClassVar[type[Plain]] = OfMasks

    def __init__(self, loaded: Loaded) -> None:
        super().__init__(loaded)
        tokenizer = loaded.tokenizer()
        if tokenizer.mask_token_id is None:
            raise NoMask
        self._tokens = Tokens(tokenizer, self.model)
        self._vocabulary: Mapping[str, int] = tokenizer.get_vocab()
        self._options = forward_options(self.model)
        self.outputs = [
            Spec("BYTES", (-1, -1), name="token_str", parameters=TEXT),
            Spec("FP32", (-1, -1), name="score"),
            Spec("INT64", (-1, -1), name="token"),
            Spec("BYTES", (-1, -1), name="sequence", parameters=TEXT),
        ]
        self.described = {"mask": tokenizer.mask_token, "max_tokens": self._tokens.longest}

    def predict(self, request: InferenceRequest, given: Mapping[str, Any]) -> list[Tensor]:
        """Return words, scores, tokens and filled texts, the likeliest first."""
        texts = self.texts(request)
        targets = self._targets(given)
        there = len(targets) if targets is not None else self.model.config.vocab_size
        top_k = given.get("top_k", min(_TOP_K, there))
        if top_k > there:
            raise TooManyWords(top_k, there)
        rows = self._tokens.encode("text", texts, truncation=given.get("truncation", False))
        mask = self._tokens.tokenizer.mask_token_id
        for place, row in enumerate(rows):
            if row["input_ids"].count(mask) != 1:
                raise WrongMasks(place, row["input_ids"].count(mask), self._tokens.tokenizer.mask_token)
        scores = np.empty((len(rows), top_k), dtype=np.float32)
        words = np.empty((len(rows), top_k), dtype=np.int64)
        with torch.inference_mode():
            for places, batch in self._tokens.batches(rows, self.loaded.order.batch_size):
                logits = self.model(**to_device(batch, self.model), **self._options).logits
                likely = logits[batch["input_ids"] == mask].float().softmax(dim=-1)
                best = (likely if targets is None else likely[:, targets]).topk(top_k)
                scores[places] = best.values.cpu().numpy()
                words[places] = (best.indices if targets is None else targets[best.indices]).cpu().numpy()
        return [
            text_output(
                "token_str",
                self._decoded([[word] for word in words.reshape(-1).tolist()], words.shape, skips_special=False),
            ),
            Tensor("score", scores),
            Tensor("token", words),
            text_output("sequence", self._decoded(self._filled(rows, words), words.shape, skips_special=True)),
        ]

    def _targets(self, given: Mapping[str, Any]) -> torch.Tensor | None:
        if given.get("targets") is None:
            return None
        for word in given["targets"]:
            if word not in self._vocabulary:
                raise UnknownTarget(word)
        return torch.tensor(sorted({self._vocabulary[word] for word in given["targets"]}))

    def _filled(self, rows: list[dict[str, list[int]]], words: np.ndarray[Any, Any]) -> list[list[int]]:
        mask = self._tokens.tokenizer.mask_token_id
        filled = []
        for row, several in zip(rows, words.tolist(), strict=True):
            place = row["input_ids"].index(mask)
            filled += [[*row["input_ids"][:place], word, *row["input_ids"][place + 1 :]] for word in several]
        return filled

    def _decoded(self, ids: list[list[int]], shape: tuple[int, ...], *, skips_special: bool) -> np.ndarray[Any, Any]:
        texts = self._tokens.decode(ids, skip_special_tokens=skips_special)
        return np.array(texts, dtype=object).reshape(shape)


class FeatureExtraction(Task):
    """The last hidden state: a vector for each token. Nothing is pooled, because the folder does not say how."""

    parameters: ClassVar[type[Plain]] = OfTexts

    def __init__(self, loaded: Loaded) -> None:
        super().__init__(loaded)
        self._tokens = Tokens(loaded.tokenizer(), self.model)
        self._options = forward_options(self.model)
        width = getattr(self.model.config, "hidden_size", -1)
        self.outputs = [
            Spec("FP32", (-1, -1, width), name="features"),
            Spec("INT64", (-1, -1), name="attention_mask"),
        ]
        self.described = {"max_tokens": self._tokens.longest}

    def predict(self, request: InferenceRequest, given: Mapping[str, Any]) -> list[Tensor]:
        """Return the vectors of each text's tokens, zeros behind the last one, and a mask with 1 where a token is."""
        rows = self._tokens.encode("text", self.texts(request), truncation=given.get("truncation", False))
        lengths = [len(row["input_ids"]) for row in rows]
        mask = (np.arange(max(lengths)) < np.array(lengths)[:, None]).astype(np.int64)
        features: np.ndarray[Any, Any] | None = None
        left = self._tokens.tokenizer.padding_side == "left"
        with torch.inference_mode():
            for places, batch in self._tokens.batches(rows, self.loaded.order.batch_size):
                found = self.model(**to_device(batch, self.model), **self._options)[0].float().cpu().numpy()
                if features is None:
                    features = np.zeros((*mask.shape, found.shape[-1]), dtype=np.float32)
                for row, place in enumerate(places):
                    count = lengths[place]
                    features[place, :count] = found[row, -count:] if left else found[row, :count]
        assert features is not None
        return [Tensor("features", features), Tensor("attention_mask", mask)]


def _plain(value: Any) -> Any:
    """Return a number of NumPy's as Python's."""
    return value.item() if isinstance(value, np.generic) else value

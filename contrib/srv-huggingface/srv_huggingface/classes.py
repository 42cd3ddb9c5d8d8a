"""Classes of texts: logits become scores, and scores the likeliest labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch

from srv import InferenceRequest, InvalidInput, Spec, Tensor
from srv.errors import SrvError
from srv_huggingface.loading import Loaded, to_device
from srv_huggingface.parameters import OfCandidates, OfClasses, Plain
from srv_huggingface.task import TEXT, DifferentLengths, Task, text_output, texts_of
from srv_huggingface.token_batches import Tokens


class TooFewClasses(InvalidInput):
    """The request asks for more classes than there are."""

    def __init__(self, asked: int, there: int) -> None:
        super().__init__(f"Parameter 'top_k' is {asked}, and the model has {there} classes.")


class NoCandidates(InvalidInput):
    """Neither the request nor the settings say between which classes to choose."""

    def __init__(self) -> None:
        super().__init__(
            "Parameter 'candidate_labels' is missing: a list of the classes to choose from, or a text with commas."
        )


class NoPlaceForLabel(InvalidInput):
    """The sentence of a class has no place for it."""

    def __init__(self) -> None:
        super().__init__("Parameter 'hypothesis_template' has no {}, where the class belongs.")


class NoEntailment(SrvError):
    """The model cannot say whether one text follows from another."""

    def __init__(self, labels: Sequence[str]) -> None:
        super().__init__(
            f"The task zero-shot-classification needs a model with the label 'entailment'; this one has {', '.join(labels)}."
        )


class Scores:
    """Labels and scores of logits, as the model's config says."""

    def __init__(self, config: Any) -> None:
        self.labels = [str(config.id2label[place]) for place in range(config.num_labels)]
        self._names = texts_of(self.labels)
        self._function = _function_of(config)

    def of(self, logits: np.ndarray[Any, Any], function: str | None) -> np.ndarray[Any, Any]:
        """Return the scores of each row."""
        match function or self._function:
            case "sigmoid":
                return np.asarray(1.0 / (1.0 + np.exp(-logits)))
            case "softmax":
                shifted = np.exp(logits - logits.max(axis=-1, keepdims=True))
                return np.asarray(shifted / shifted.sum(axis=-1, keepdims=True))
        return logits

    def outputs(
        self, logits: np.ndarray[Any, Any], request: InferenceRequest, given: Mapping[str, Any]
    ) -> list[Tensor]:
        """Return label and score of each row, or of its `top_k` likeliest classes, and logits where they are asked for.

        Raises TooFewClasses.
        """
        asked = given.get("top_k")
        if asked is not None and asked > len(self.labels):
            raise TooFewClasses(asked, len(self.labels))
        scores = self.of(logits, given.get("function_to_apply"))
        if asked is None:
            places = scores.argmax(axis=-1)
            best = np.take_along_axis(scores, places[:, None], axis=-1)[:, 0]
        else:
            places = np.argsort(-scores, axis=-1, kind="stable")[:, :asked]
            best = np.take_along_axis(scores, places, axis=-1)
        found = [
            Tensor("label", self._names[places], "BYTES", parameters=TEXT),
            Tensor("score", best.astype(np.float32, copy=False)),
        ]
        if any(output.name == "logits" for output in request.outputs or ()):
            found.append(Tensor("logits", logits))
        return found

    def specs(self) -> list[Spec]:
        """Return what these outputs are."""
        return [
            Spec("BYTES", None, name="label", parameters=TEXT),
            Spec("FP32", None, name="score"),
            Spec("FP32", (-1, len(self.labels)), name="logits"),
        ]


class TextClassification(Task):
    """A class for each text, or for each pair of texts."""

    parameters: ClassVar[type[Plain]] = OfClasses

    def __init__(self, loaded: Loaded) -> None:
        super().__init__(loaded)
        self._tokens = Tokens(loaded.tokenizer(), self.model)
        self._scores = Scores(self.model.config)
        self._options = forward_options(self.model)
        self.outputs = self._scores.specs()
        self.described = {"labels": self._scores.labels, "max_tokens": self._tokens.longest}
        if loaded.order.takes_pairs:
            self.inputs = [*self.inputs, Spec("BYTES", (-1,), name="text_pair", parameters=TEXT)]

    def predict(self, request: InferenceRequest, given: Mapping[str, Any]) -> list[Tensor]:
        """Return label, score and logits of each text."""
        texts = self.texts(request)
        pairs = self.texts(request, "text_pair") if self.loaded.order.takes_pairs else None
        if pairs is not None and len(pairs) != len(texts):
            raise DifferentLengths("text", len(texts), "text_pair", len(pairs))
        rows = self._tokens.encode("text", texts, pairs, truncation=given.get("truncation", False))
        return self._scores.outputs(self.logits(rows), request, given)

    def logits(self, rows: Sequence[Mapping[str, Sequence[int]]]) -> np.ndarray[Any, Any]:
        """Return the logits of each row of tokens."""
        # A model that reads its answer at the last token must be told what padding is, or get one text at a time.
        size = self.loaded.order.batch_size if getattr(self.model.config, "pad_token_id", None) is not None else 1
        logits = np.empty((len(rows), len(self._scores.labels)), dtype=np.float32)
        with torch.inference_mode():
            for places, batch in self._tokens.batches(rows, size):
                found = self.model(**to_device(batch, self.model), **self._options).logits
                logits[places] = found.float().cpu().numpy()
        return logits


class ZeroShotClassification(TextClassification):
    """The likeliest of classes that the request names, by whether the sentence of a class follows from the text."""

    parameters: ClassVar[type[Plain]] = OfCandidates

    def __init__(self, loaded: Loaded) -> None:
        super().__init__(loaded)
        labels = [label.lower() for label in self._scores.labels]
        self._entailment = next((place for place, label in enumerate(labels) if label.startswith("entail")), None)
        if self._entailment is None:
            raise NoEntailment(self._scores.labels)
        self.inputs = self.inputs[:1]
        self.outputs = [
            Spec("BYTES", (-1, -1), name="labels", parameters=TEXT),
            Spec("FP32", (-1, -1), name="scores"),
        ]
        self.described = {"max_tokens": self._tokens.longest}

    def predict(self, request: InferenceRequest, given: Mapping[str, Any]) -> list[Tensor]:
        """Return for each text the classes and their scores, the likeliest first."""
        candidates, template = given.get("candidate_labels"), given.get("hypothesis_template", "This example is {}.")
        if not candidates:
            raise NoCandidates
        if "{}" not in template:
            raise NoPlaceForLabel
        texts = self.texts(request)
        pairs = [template.replace("{}", candidate) for _ in texts for candidate in candidates]
        repeated = [text for text in texts for _ in candidates]
        rows = self._tokens.encode("text", repeated, pairs, truncation=given.get("truncation", False))
        logits = self.logits(rows).reshape(len(texts), len(candidates), -1)
        scores = self._shares(logits, several=given.get("multi_label", False) or len(candidates) == 1)
        order = np.argsort(-scores, axis=-1, kind="stable")
        return [
            text_output("labels", np.array(candidates, dtype=object)[order]),
            Tensor("scores", np.take_along_axis(scores, order, axis=-1)),
        ]

    def _shares(self, logits: np.ndarray[Any, Any], *, several: bool) -> np.ndarray[Any, Any]:
        """Return the score of each class: each by itself where a text may be of several, else as shares of one."""
        assert self._entailment is not None
        if several:
            against = -1 if self._entailment == 0 else 0
            return self._scores.of(logits[..., [against, self._entailment]], "softmax")[..., 1]
        return self._scores.of(logits[..., self._entailment], "softmax")


def forward_options(model: Any) -> dict[str, Any]:
    """Return what keeps a model from remembering tokens for the next ones, where it could."""
    import inspect

    return {"use_cache": False} if "use_cache" in inspect.signature(model.forward).parameters else {}


def _function_of(config: Any) -> str:
    problem = getattr(config, "problem_type", None)
    if problem == "regression":
        return "none"
    if problem == "multi_label_classification" or config.num_labels == 1:
        return "sigmoid"
    return "softmax"

"""Parameters of requests: a schema for each task, and a 400 that names the parameter which does not fit it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from marshmallow import RAISE, Schema, ValidationError, fields, validate

from srv.errors import InvalidInput, listed, nearest, quoted

#: Parameters of the protocol and of its clients, which say nothing to the model.
_OF_THE_PROTOCOL = frozenset(
    {"content_type", "headers", "binary_data_output", "priority", "timeout", "sequence_id", "sequence_start",
     "sequence_end", "triton_enable_empty_final_response"}
)  # fmt: skip


class UnknownParameter(InvalidInput):
    """The request has a parameter that the task does not know."""

    def __init__(self, name: str, known: list[str]) -> None:
        super().__init__(
            f"Parameter {quoted(name)} is unknown; the model takes {listed(known, most=len(known))}.{nearest(name, known)}"
        )


class UnfitParameter(InvalidInput):
    """A parameter's value is of another kind than the task takes, or out of range."""

    def __init__(self, name: str, said: str) -> None:
        super().__init__(f"Parameter {quoted(name)}: {said}")


class Flag(fields.Field[bool]):
    """True or false, and neither 1 nor "true"."""

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> bool:
        if not isinstance(value, bool):
            raise ValidationError("Must be true or false.")
        return value


class Number(fields.Field[float]):
    """A number, and no text that looks like one."""

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValidationError("Must be a number.")
        return float(value)


class Words(fields.Field[list[str]]):
    """A list of texts; a single text, which gRPC can carry too, is a list of one, or several separated by `split`."""

    def __init__(self, *, split: str | None = None, **options: Any) -> None:
        super().__init__(**options)
        self._split = split

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> list[str]:
        words = value
        if isinstance(value, str):
            words = [word.strip() for word in value.split(self._split)] if self._split else [value]
        if not isinstance(words, list) or not words or not all(isinstance(word, str) and word for word in words):
            raise ValidationError("Must be a text, or a list of texts, none of them empty.")
        return words


def whole(least: int, most: int | None = None, **options: Any) -> fields.Integer:
    """Return a field for an integer of that range."""
    return fields.Integer(strict=True, validate=validate.Range(least, most), **options)


def _said(text: str) -> dict[str, str]:
    return {"description": text}


class Plain(Schema):
    """A task without parameters."""

    class Meta:
        """Refuse what is not known."""

        unknown = RAISE


class OfTexts(Plain):
    """What each task takes that reads whole texts."""

    truncation = Flag(metadata=_said("Cut a text that is longer than the model takes, in place of refusing it."))


class OfClasses(OfTexts):
    """Text classification."""

    top_k = whole(1, metadata=_said("Give so many classes, the likeliest first, in place of one."))
    function_to_apply = fields.String(
        validate=validate.OneOf(["sigmoid", "softmax", "none"]),
        metadata=_said("What makes scores of logits, in place of what the model's config says."),
    )


class OfImages(Plain):
    """Image classification."""

    top_k = whole(1, metadata=_said("Give so many classes, the likeliest first, in place of one."))
    function_to_apply = fields.String(
        validate=validate.OneOf(["sigmoid", "softmax", "none"]),
        metadata=_said("What makes scores of logits, in place of what the model's config says."),
    )


class OfCandidates(OfTexts):
    """Zero-shot classification."""

    candidate_labels = Words(split=",", metadata=_said("The classes: a list, or a text with commas."))
    hypothesis_template = fields.String(metadata=_said("The sentence of a class, with {} for it."))
    multi_label = Flag(metadata=_said("Whether a text may be of several classes."))


class OfEntities(OfTexts):
    """Token classification."""

    aggregation_strategy = fields.String(
        validate=validate.OneOf(["none", "simple", "first", "average", "max"]),
        metadata=_said("How tokens become entities."),
    )
    ignore_labels = Words(metadata=_said("Labels that are left out."))


class OfMasks(OfTexts):
    """Fill-mask."""

    top_k = whole(1, metadata=_said("How many words to give for the mask; 5 by itself."))
    targets = Words(metadata=_said("Choose among these words, which must be tokens of the model."))


class OfAnswers(Plain):
    """Question answering."""

    max_answer_len = whole(1, metadata=_said("How many tokens an answer may have; 15 by itself."))
    max_seq_len = whole(
        8, metadata=_said("How many tokens the model reads at once; 384 by itself, if it takes as many.")
    )
    doc_stride = whole(0, metadata=_said("How many tokens two pieces of a long context share; 128 by itself."))
    handle_impossible_answer = Flag(metadata=_said("Whether the answer may be empty."))


class OfGeneration(Plain):
    """Text generation."""

    max_new_tokens = whole(1, metadata=_said("How many tokens to generate at most."))
    min_new_tokens = whole(0, metadata=_said("How many tokens to generate at least."))
    do_sample = Flag(metadata=_said("Draw tokens by their likelihood, in place of the likeliest."))
    temperature = Number(validate=validate.Range(0, min_inclusive=False), metadata=_said("How evenly to draw."))
    top_k = whole(0, metadata=_said("Draw among so many tokens; 0 for all."))
    top_p = Number(
        validate=validate.Range(0, 1, min_inclusive=False), metadata=_said("Draw among the likeliest up to this sum.")
    )
    repetition_penalty = Number(
        validate=validate.Range(0, min_inclusive=False), metadata=_said("Above 1, make repeated tokens less likely.")
    )
    no_repeat_ngram_size = whole(0, metadata=_said("Let no sequence of so many tokens come twice."))
    num_beams = whole(1, metadata=_said("How many beams to search with."))
    stop = Words(metadata=_said("Texts at which generation stops; they end the answer."))


class OfSpeech(Plain):
    """Speech recognition by a model that says a letter for each moment, such as Wav2Vec2."""

    sampling_rate = whole(1, metadata=_said("Samples a second, where the audio comes as numbers."))


class OfGeneratedSpeech(OfSpeech):
    """Speech recognition by a model that generates text, such as Whisper."""

    max_new_tokens = whole(1, metadata=_said("How many tokens to generate at most."))
    num_beams = whole(1, metadata=_said("How many beams to search with."))
    language = fields.String(metadata=_said("The language that is spoken, where the model asks for it."))
    task = fields.String(
        validate=validate.OneOf(["transcribe", "translate"]), metadata=_said("Write down, or translate into English.")
    )


def read(given: Mapping[str, Any], schema: Schema, defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Return a request's parameters, completed by the settings'. Raises UnknownParameter or UnfitParameter."""
    mine = {name: value for name, value in given.items() if name not in _OF_THE_PROTOCOL}
    if not mine:
        return dict(defaults)
    for name in mine:
        if name not in schema.fields:
            raise UnknownParameter(name, list(schema.fields))
    try:
        return {**defaults, **schema.load(mine)}
    except ValidationError as error:
        name, messages = next(iter(error.messages_dict.items()))
        raise UnfitParameter(str(name), " ".join(map(str, messages))) from None

"""Speech recognition: WAV files or samples become text."""

from __future__ import annotations

import io
import wave
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from transformers import StoppingCriteriaList

from srv import InferenceRequest, InvalidInput, Spec, Tensor
from srv.errors import quoted
from srv_huggingface.generation import Abandoned
from srv_huggingface.loading import Loaded, to_device
from srv_huggingface.media import are_files, files_of
from srv_huggingface.parameters import OfGeneratedSpeech, OfSpeech, Plain
from srv_huggingface.task import TEXT, NoRows, Task, text_output
from srv_huggingface.token_batches import Tokens

Samples = np.ndarray[Any, Any]
#: The fewest samples that make a sound, for models that shorten what they hear.
_FEWEST = 400


class NotAudio(InvalidInput):
    """An element is no WAV file that can be read."""

    def __init__(self, name: str, row: int, why: str) -> None:
        super().__init__(
            f"Input {quoted(name)}, row {row}, is no WAV file of whole numbers (PCM): {why}. Convert it, or send samples as FP32."
        )


class NotOfAudio(InvalidInput):
    """An input is neither of files nor of samples."""

    def __init__(self, tensor: Tensor) -> None:
        super().__init__(
            f"Input {quoted(tensor.name)} is {tensor.datatype} {list(tensor.shape)}; the model takes BYTES [n], a WAV file for "
            "each row, or FP32 [n, samples] between -1 and 1."
        )


class WrongRate(InvalidInput):
    """The audio has another number of samples a second than the model was trained on."""

    def __init__(self, row: int, found: int, wanted: int) -> None:
        super().__init__(
            f"Input 'audio', row {row}, has {found} samples a second, and the model takes {wanted}. Resample it."
        )


class RateMissing(InvalidInput):
    """Samples come without the number of them that make a second."""

    def __init__(self, wanted: int) -> None:
        super().__init__(
            f"Parameter 'sampling_rate' is missing: samples a second, which must be {wanted} for this model."
        )


class UnfitAudio(InvalidInput):
    """Audio is too short or too long for the model, or holds what is no number."""

    def __init__(self, row: int, what: str) -> None:
        super().__init__(f"Input 'audio', row {row}, {what}.")


class NotMultilingual(InvalidInput):
    """A language or a translation is asked of a model of one language."""

    def __init__(self, name: str) -> None:
        super().__init__(f"Parameter '{name}' does not go with this model, which knows one language.")


class UnknownLanguage(InvalidInput):
    """The model does not know the language."""

    def __init__(self, language: str) -> None:
        super().__init__(f"Parameter 'language' is {quoted(language)}, which the model does not know.")


class SpeechRecognition(Task):
    """Text for each piece of audio, by a model that says a letter for each moment."""

    parameters: ClassVar[type[Plain]] = OfSpeech

    def __init__(self, loaded: Loaded) -> None:
        super().__init__(loaded)
        self._hear = loaded.read("AutoFeatureExtractor", "feature extractor")
        self._tokens = Tokens(loaded.tokenizer(), self.model)
        self._rate = int(self._hear.sampling_rate)
        self.inputs = [Spec("BYTES", (-1,), name="audio", parameters={"content_type": "base64"})]
        self.outputs = [Spec("BYTES", (-1,), name="text", parameters=TEXT)]
        self.described = {"sampling_rate": self._rate}

    def predict(self, request: InferenceRequest, given: Mapping[str, Any]) -> list[Tensor]:
        """Return the text of each piece."""
        self.check_inputs(request)
        pieces = read_audio(request.tensor("audio"), self._rate, given.get("sampling_rate"))
        for row, samples in enumerate(pieces):
            if len(samples) < _FEWEST:
                raise UnfitAudio(row, f"has {len(samples)} samples; the model needs {_FEWEST} or more")
            if not np.isfinite(samples).all():
                raise UnfitAudio(row, "holds NaN or infinity")
        return [text_output("text", self.heard(pieces, request, given))]

    def heard(self, pieces: Sequence[Samples], request: InferenceRequest, given: Mapping[str, Any]) -> list[str]:  # noqa: ARG002
        """Return the texts. Pieces of one length run as one batch, because many of these models cannot tell padding."""
        lengths: dict[int, list[int]] = {}
        for place, samples in enumerate(pieces):
            lengths.setdefault(len(samples), []).append(place)
        texts = [""] * len(pieces)
        with torch.inference_mode():
            for places in lengths.values():
                inputs = self._hear([pieces[place] for place in places], sampling_rate=self._rate, return_tensors="pt")
                letters = self.model(**to_device(dict(inputs), self.model)).logits.argmax(dim=-1).tolist()
                for place, text in zip(places, self._tokens.decode(letters, skip_special_tokens=False), strict=True):
                    texts[place] = text
        return texts


class GeneratedSpeech(SpeechRecognition):
    """Text for each piece of audio, by a model that generates it."""

    parameters: ClassVar[type[Plain]] = OfGeneratedSpeech

    def __init__(self, loaded: Loaded) -> None:
        super().__init__(loaded)
        self._longest = getattr(self._hear, "n_samples", None)
        config = self.model.generation_config
        self._languages = getattr(config, "lang_to_id", None)
        if self._longest is not None:
            self.described["max_seconds"] = self._longest / self._rate

    def heard(self, pieces: Sequence[Samples], request: InferenceRequest, given: Mapping[str, Any]) -> list[str]:
        """Return the texts, generated until the client leaves or its deadline passes."""
        for row, samples in enumerate(pieces):
            if self._longest is not None and len(samples) > self._longest:
                seconds = self._longest / self._rate
                raise UnfitAudio(row, f"is longer than the {seconds:g} seconds that the model takes; send pieces of it")
        options = {name: value for name, value in given.items() if name != "sampling_rate"}
        for name in ("language", "task"):
            if name in options and not self._languages:
                raise NotMultilingual(name)
        size = self.loaded.order.batch_size
        texts: list[str] = []
        abandoned = Abandoned(request)
        with torch.inference_mode():
            for first in range(0, len(pieces), size):
                inputs = self._hear(
                    list(pieces[first : first + size]),
                    sampling_rate=self._rate,
                    return_tensors="pt",
                    return_attention_mask=True,
                )
                try:
                    found = self.model.generate(
                        **to_device(dict(inputs), self.model),
                        **options,
                        stopping_criteria=StoppingCriteriaList([abandoned]),
                    )
                except ValueError as error:
                    if "language" in options and "language" in str(error).lower():
                        raise UnknownLanguage(options["language"]) from error
                    raise
                abandoned.check()
                texts += self._tokens.decode(found.tolist())
        return texts


def read_audio(tensor: Tensor, wanted: int, said: int | None) -> list[Samples]:
    """Return the samples of each row, as FP32. Raises InvalidInput where they are of another rate than wanted."""
    if are_files(tensor):
        return [_read_wav(tensor.name, row, value, wanted) for row, value in enumerate(files_of(tensor))]
    if tensor.datatype not in ("FP32", "FP64", "FP16") or len(tensor.shape) != 2:
        raise NotOfAudio(tensor)
    if not tensor.shape[0]:
        raise NoRows(tensor.name)
    if said is None:
        raise RateMissing(wanted)
    if said != wanted:
        raise WrongRate(0, said, wanted)
    return list(tensor.data.astype(np.float32))


def _read_wav(name: str, row: int, value: bytes, wanted: int) -> Samples:
    """Return the samples of a WAV file between -1 and 1, the mean of its channels."""
    try:
        with wave.open(io.BytesIO(value)) as file:
            width, channels, rate = file.getsampwidth(), file.getnchannels(), file.getframerate()
            data = file.readframes(file.getnframes())
    except (wave.Error, EOFError, ValueError) as error:
        raise NotAudio(name, row, str(error) or "it ends too early") from error
    if rate != wanted:
        raise WrongRate(row, rate, wanted)
    data = data[: len(data) // (width * channels) * width * channels]
    match width:
        case 1:
            samples = (np.frombuffer(data, dtype=np.uint8).astype(np.float32) - 128) / 128
        case 2:
            samples = np.frombuffer(data, dtype="<i2").astype(np.float32) / 2**15
        case 3:
            bytes_of = np.frombuffer(data, dtype=np.uint8).reshape(-1, 3)
            wide = np.zeros((len(bytes_of), 4), dtype=np.uint8)
            wide[:, 1:] = bytes_of
            samples = (wide.view("<i4").reshape(-1).astype(np.float64) / 2**31).astype(np.float32)
        case 4:
            samples = (np.frombuffer(data, dtype="<i4").astype(np.float64) / 2**31).astype(np.float32)
        case _:
            raise NotAudio(name, row, f"its samples have {width} bytes")
    return np.asarray(samples.reshape(-1, channels).mean(axis=1, dtype=np.float32))

"""Folders of transformers models: whether one is such a folder, which task it is for, and which file has its weights."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from srv.errors import SrvError, listed, nearest, quoted

CONFIG = "config.json"
#: Files of weights that hold data, and those that are code.
SAFE = ("model.safetensors", "model.safetensors.index.json")
PICKLED = ("pytorch_model.bin", "pytorch_model.bin.index.json")
#: What sentence-transformers writes beside a model: the steps that make one vector of the vectors of a text's tokens.
_STEPS_BEHIND = "modules.json"
#: Model types whose folders look like transformers' and belong to other libraries.
_FOREIGN = frozenset({"model2vec"})

#: Task → the class of transformers that loads its models. Their names, because importing transformers takes seconds.
TASKS: Mapping[str, str] = {
    "text-classification": "AutoModelForSequenceClassification",
    "zero-shot-classification": "AutoModelForSequenceClassification",
    "token-classification": "AutoModelForTokenClassification",
    "fill-mask": "AutoModelForMaskedLM",
    "question-answering": "AutoModelForQuestionAnswering",
    "feature-extraction": "AutoModel",
    "text-generation": "AutoModelForCausalLM",
    "text2text-generation": "AutoModelForSeq2SeqLM",
    "image-classification": "AutoModelForImageClassification",
    "automatic-speech-recognition": "AutoModelForCTC",
}
#: Other names of tasks, which transformers takes too.
ALIASES: Mapping[str, str] = {"sentiment-analysis": "text-classification", "ner": "token-classification"}
#: End of an architecture's name → task.
_HEADS: Mapping[str, str] = {
    "ForSequenceClassification": "text-classification",
    "ForTokenClassification": "token-classification",
    "ForMaskedLM": "fill-mask",
    "ForQuestionAnswering": "question-answering",
    "ForCausalLM": "text-generation",
    "LMHeadModel": "text-generation",
    "ForImageClassification": "image-classification",
    "ForCTC": "automatic-speech-recognition",
    "ForSpeechSeq2Seq": "automatic-speech-recognition",
    "MTModel": "text2text-generation",
}
#: Types of models that turn speech into text by generating it.
SPEECH = frozenset({"whisper", "speech_to_text", "moonshine"})
#: Types of models whose architecture ends in ForConditionalGeneration and that turn text into text.
_TEXT_TO_TEXT = frozenset(
    {"t5", "mt5", "umt5", "longt5", "switch_transformers", "bart", "mbart", "plbart", "pegasus", "pegasus_x", "led",
     "blenderbot", "blenderbot-small", "m2m_100", "nllb-moe", "fsmt", "bigbird_pegasus", "prophetnet", "t5gemma"}
)  # fmt: skip


class NoTransformersModel(SrvError):
    """The folder's config.json is none of transformers."""

    def __init__(self, why: str) -> None:
        super().__init__(f"{CONFIG} is not that of a transformers model: {why}. Save the model with save_pretrained().")


class UnknownTask(SrvError):
    """The settings name a task that srv-huggingface does not serve."""

    def __init__(self, task: str) -> None:
        known = [*TASKS, *ALIASES]
        super().__init__(
            f"parameters.extra.task is {quoted(task)}, which srv-huggingface does not serve; "
            f"it serves {listed(known, most=len(known))}.{nearest(task, known)}"
        )


class TaskNotSaid(SrvError):
    """Neither the settings nor the architecture say what the model is for."""

    def __init__(self, architecture: str) -> None:
        super().__init__(
            f"{quoted(architecture)} in {CONFIG} does not say which task the model is for. Set parameters.extra.task to "
            f"one of {listed(TASKS, most=len(TASKS))}."
        )


class PoolingBelongsElsewhere(SrvError):
    """The folder is one of sentence-transformers, whose vectors need more than the model."""

    def __init__(self) -> None:
        super().__init__(
            f"{_STEPS_BEHIND} says that this is a model of sentence-transformers: one vector of a text is made by pooling, "
            "which srv-embeddings does as the files say. For a vector of each token, set parameters.extra.task to "
            "'feature-extraction'."
        )


class PicklesNotAllowed(SrvError):
    """The only weights in the folder are pickles, and the operator has not allowed these."""

    def __init__(self, file: str) -> None:
        super().__init__(
            f"{file} is a pickle, and so may be code. Convert it to model.safetensors with "
            "save_pretrained(), or set allow_pickle to true in the model-settings.json of the folder that srv start is "
            "given, or in SRV_MODEL__ALLOW_PICKLE; a file that travels with the model is not asked."
        )


class NoWeights(SrvError):
    """There is a config.json and no file of weights beside it."""

    def __init__(self) -> None:
        super().__init__(f"No {' or '.join(SAFE)} is beside {CONFIG}. Put the whole folder of save_pretrained() there.")


def is_model(path: Path) -> bool:
    """Return whether the folder of a file is that of a model that transformers can serve by itself."""
    folder = path.parent
    try:
        config = read_config(folder / CONFIG)
    except (SrvError, OSError):
        return False
    return (
        config.get("model_type") not in _FOREIGN
        and not (folder / _STEPS_BEHIND).exists()
        and any((folder / name).is_file() for name in (*SAFE, *PICKLED))
    )


def read_config(file: Path) -> Mapping[str, Any]:
    """Return what config.json says. Raises NoTransformersModel where it is none of a transformers model."""
    try:
        config = json.loads(file.read_bytes())
    except ValueError:
        raise NoTransformersModel("it is not JSON") from None
    if not isinstance(config, dict):
        raise NoTransformersModel("it holds no object")
    if not isinstance(config.get("model_type"), str) and not config.get("architectures"):
        raise NoTransformersModel("it has neither model_type nor architectures")
    return config


def architecture_of(config: Mapping[str, Any]) -> str:
    """Return the first architecture that config.json names; the model's type where it names none."""
    architectures = config.get("architectures")
    if isinstance(architectures, list) and architectures:
        return str(architectures[0])
    return str(config.get("model_type", ""))


def task_of(folder: Path, config: Mapping[str, Any], said: str | None) -> str:
    """Return the task: that of the settings, or the one that the model's architecture is for.

    Raises UnknownTask, TaskNotSaid, or PoolingBelongsElsewhere where the folder's own files ask for more than the model.
    """
    if said is not None:
        task = ALIASES.get(said, said)
        if task not in TASKS:
            raise UnknownTask(said)
        return task
    if (folder / _STEPS_BEHIND).exists():
        raise PoolingBelongsElsewhere
    architecture = architecture_of(config)
    for end, task in _HEADS.items():
        if architecture.endswith(end):
            return task
    kind = config.get("model_type")
    if architecture.endswith("ForConditionalGeneration"):
        if kind in SPEECH:
            return "automatic-speech-recognition"
        if kind in _TEXT_TO_TEXT:
            return "text2text-generation"
    elif architecture.endswith("Model") and _has_tokenizer(folder):
        return "feature-extraction"
    raise TaskNotSaid(architecture)


def check_weights(folder: Path, *, allow_pickle: bool) -> bool:
    """Return whether the weights are safetensors. Raises NoWeights, or PicklesNotAllowed for those that are not."""
    if any((folder / name).is_file() for name in SAFE):
        return True
    for name in PICKLED:
        if (folder / name).is_file():
            if not allow_pickle:
                raise PicklesNotAllowed(name)
            return False
    raise NoWeights


def _has_tokenizer(folder: Path) -> bool:
    return any((folder / name).is_file() for name in ("tokenizer.json", "tokenizer_config.json", "vocab.txt"))

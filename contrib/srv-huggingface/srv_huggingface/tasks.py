"""The classes of tasks, by name. Importing this module imports transformers and torch, which takes seconds."""

from __future__ import annotations

from collections.abc import Mapping

from srv_huggingface.answers import QuestionAnswering
from srv_huggingface.classes import TextClassification, ZeroShotClassification
from srv_huggingface.generation import Generation
from srv_huggingface.loading import Order, load
from srv_huggingface.pictures import ImageClassification
from srv_huggingface.speech import GeneratedSpeech, SpeechRecognition
from srv_huggingface.task import Task
from srv_huggingface.words import FeatureExtraction, FillMask, TokenClassification

_TASKS: Mapping[str, type[Task]] = {
    "text-classification": TextClassification,
    "zero-shot-classification": ZeroShotClassification,
    "token-classification": TokenClassification,
    "fill-mask": FillMask,
    "question-answering": QuestionAnswering,
    "feature-extraction": FeatureExtraction,
    "text-generation": Generation,
    "text2text-generation": Generation,
    "image-classification": ImageClassification,
    "automatic-speech-recognition": SpeechRecognition,
}


def load_task(order: Order) -> Task:
    """Return the task of a model, ready to predict."""
    kind = GeneratedSpeech if order.generates_speech else _TASKS[order.task]
    return kind(load(order))

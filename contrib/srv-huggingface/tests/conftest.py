"""A server in this process with a tiny model for each task, all from folders without settings where that suffices."""

import json
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # because each thread of a test would bring a team of its own

import pytest
import tiny_models
import transformers

from srv.testing import Client

transformers.utils.logging.disable_progress_bar()

CLASSES = ["negative", "neutral", "positive"]
ENTITIES = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]


def settings(folder, **extra):
    (folder / "model-settings.json").write_text(json.dumps({"runtime": "huggingface", "parameters": {"extra": extra}}))


@pytest.fixture(scope="session")
def root(tmp_path_factory):
    """The folder of all models."""
    root = tmp_path_factory.mktemp("models")
    tiny_models.bert(root / "bert", labels=CLASSES)
    settings(tiny_models.bert(root / "pairs", labels=CLASSES, seed=1), text_pairs=True)
    settings(
        tiny_models.bert(root / "zero", labels=["entailment", "neutral", "contradiction"], seed=2),
        task="zero-shot-classification",
        parameters={"candidate_labels": ["animal", "city"]},
    )
    tiny_models.bert(root / "ner", "ForTokenClassification", labels=ENTITIES)
    tiny_models.bert(root / "mask", "ForMaskedLM")
    tiny_models.bert(root / "qa", "ForQuestionAnswering")
    tiny_models.bert(root / "features", "Model")
    tiny_models.gpt2(root / "gpt2")
    tiny_models.gpt2(root / "chat", chat=True, pad=True, seed=3)
    tiny_models.gpt2(root / "gpt2class", head="ForSequenceClassification", seed=4)
    tiny_models.t5(root / "t5")
    tiny_models.vit(root / "vit")
    tiny_models.wav2vec2(root / "wav2vec2")
    tiny_models.whisper(root / "whisper")
    return root


@pytest.fixture(scope="session")
def served(root):
    """A client of a server of all models."""
    with Client.of(root) as client:
        yield client
